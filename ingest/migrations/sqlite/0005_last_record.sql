-- The last record before the next one, by which a topic that was made anew is noticed.
ALTER TABLE kafka_offsets ADD COLUMN last_offset INTEGER;
ALTER TABLE kafka_offsets ADD COLUMN last_checksum INTEGER;
