-- The last record before the next one, by which a topic that was made anew is noticed.
ALTER TABLE kafka_offsets ADD COLUMN last_offset bigint;
ALTER TABLE kafka_offsets ADD COLUMN last_checksum bigint;
COMMENT ON COLUMN kafka_offsets.last_offset IS 'Of the last record before the next one; null when that is not known, as after a reset.';
COMMENT ON COLUMN kafka_offsets.last_checksum IS 'CRC-32 over that record''s time, key and payload: when reading resumes it is compared, to notice a topic that was made anew.';
