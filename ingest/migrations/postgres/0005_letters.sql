-- A letter is known by its place and by what it is: a topic that was recreated, another cluster or a recording has other
-- records at the same places.
ALTER TABLE dead_letters ADD COLUMN fingerprint bytea NOT NULL DEFAULT '';
ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_topic_partition_kafka_offset_key;
ALTER TABLE dead_letters ADD UNIQUE (topic, partition, kafka_offset, fingerprint);
COMMENT ON COLUMN dead_letters.fingerprint IS 'SHA-256 over time, key and payload: of different records at one place each is kept. Empty in letters of earlier versions, until the record comes again.';
