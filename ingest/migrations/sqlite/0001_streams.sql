-- What ingest keeps in SQLite: the tables of PostgreSQL, with times as milliseconds since 1970 and
-- amounts and prices as text, which is exact. Addresses, signatures and hashes are raw bytes.

CREATE TABLE kafka_offsets (
    lane INTEGER PRIMARY KEY AUTOINCREMENT,
    consumer_group TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER,
    batch INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    UNIQUE (consumer_group, topic, partition)
) STRICT;

CREATE TABLE dex_trades (
    slot INTEGER NOT NULL,
    transaction_index INTEGER NOT NULL,
    instruction INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    time INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    base_decimals INTEGER,
    quote_decimals INTEGER,
    base_usd REAL,
    quote_usd REAL,
    base_unit_usd REAL,
    quote_unit_usd REAL,
    buy INTEGER NOT NULL,
    jupiter INTEGER NOT NULL,
    native INTEGER NOT NULL,
    signature BLOB NOT NULL,
    base BLOB NOT NULL,
    quote BLOB NOT NULL,
    market BLOB,
    trader BLOB,
    program BLOB,
    base_amount TEXT NOT NULL,
    quote_amount TEXT NOT NULL,
    price TEXT,
    protocol TEXT NOT NULL,
    family TEXT NOT NULL,
    base_symbol TEXT NOT NULL,
    quote_symbol TEXT NOT NULL,
    UNIQUE (slot, signature, instruction, ordinal)
) STRICT;
CREATE INDEX dex_trades_by_pair ON dex_trades (base, quote, time);
CREATE INDEX dex_trades_by_time ON dex_trades (time);
CREATE INDEX dex_trades_by_batch ON dex_trades (batch);

CREATE TABLE transfers (
    slot INTEGER NOT NULL,
    transaction_index INTEGER NOT NULL,
    instruction INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    time INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    decimals INTEGER,
    usd REAL,
    signature BLOB NOT NULL,
    mint BLOB NOT NULL,
    sender BLOB,
    sender_owner BLOB,
    receiver BLOB,
    receiver_owner BLOB,
    authority BLOB,
    amount TEXT NOT NULL,
    symbol TEXT NOT NULL,
    UNIQUE (slot, signature, instruction, ordinal)
) STRICT;
CREATE INDEX transfers_by_mint ON transfers (mint, time);
CREATE INDEX transfers_by_time ON transfers (time);

CREATE TABLE transactions (
    slot INTEGER NOT NULL,
    transaction_index INTEGER NOT NULL,
    time INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    instructions INTEGER NOT NULL,
    fee_usd REAL,
    success INTEGER NOT NULL,
    jupiter INTEGER NOT NULL,
    signature BLOB NOT NULL,
    fee_payer BLOB,
    signer BLOB,
    programs BLOB NOT NULL,
    fee TEXT NOT NULL,
    error TEXT NOT NULL,
    UNIQUE (slot, signature)
) STRICT;
CREATE INDEX transactions_by_time ON transactions (time);

CREATE TABLE slots (
    slot INTEGER PRIMARY KEY,
    parent INTEGER,
    height INTEGER,
    time INTEGER NOT NULL,
    block_time INTEGER,
    hash BLOB
) STRICT;
CREATE INDEX slots_by_time ON slots (time);

CREATE TABLE dead_letters (
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
    UNIQUE (topic, partition, kafka_offset)
) STRICT;

CREATE TABLE ingest_gaps (
    consumer_group TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    from_offset INTEGER NOT NULL,
    to_offset INTEGER NOT NULL,
    noticed_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    PRIMARY KEY (consumer_group, topic, partition, from_offset)
) STRICT;
