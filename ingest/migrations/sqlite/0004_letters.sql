-- A letter is known by its place and by what it is: a topic that was recreated, another cluster or a recording has other
-- records at the same places. SQLite cannot change the key of a table.
CREATE TABLE letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    kafka_offset INTEGER NOT NULL,
    recorded_at INTEGER,
    key BLOB,
    payload BLOB,
    class TEXT NOT NULL,
    error TEXT NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    replayed_at INTEGER,
    fingerprint BLOB NOT NULL DEFAULT X'',
    UNIQUE (topic, partition, kafka_offset, fingerprint)
) STRICT;
INSERT INTO letters (id, topic, partition, kafka_offset, recorded_at, key, payload, class, error, created_at, replayed_at)
SELECT id, topic, partition, kafka_offset, recorded_at, key, payload, class, error, created_at, replayed_at
FROM dead_letters;
DROP TABLE dead_letters;
ALTER TABLE letters RENAME TO dead_letters;
