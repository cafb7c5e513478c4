-- What ingest keeps in PostgreSQL. Addresses, signatures and hashes are raw bytes: half as long as
-- base58, of which the functions at the end make one of the other.

-- How far each partition was read, by each consumer group. A lane is one such partition.
CREATE TABLE kafka_offsets (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    lane integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    -- Of the next record to read; null until the first batch.
    next_offset bigint,
    -- The last one committed: milliseconds since 1970, or one more than the one before if that is
    -- greater. So batches of a lane go up even when a backup was restored.
    batch bigint NOT NULL DEFAULT 0,
    -- Goes up when the lane gets a new writer; the former one can commit no more.
    epoch bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic, partition)
) WITH (fillfactor = 50);

-- One trade on one market. Partitioned by the slot, which is the clock that all deliveries of a
-- trade agree on; see add_partition.
CREATE TABLE dex_trades (
    slot bigint NOT NULL,
    -- Of the transaction in its block.
    transaction_index bigint NOT NULL,
    -- Of the instruction in its transaction.
    instruction bigint NOT NULL,
    -- Of the trade among those of its instruction.
    ordinal bigint NOT NULL,
    -- With which batch of which lane it came.
    batch bigint NOT NULL,
    -- The block's time where the message says it, else that of the record.
    time timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    lane integer NOT NULL,
    base_decimals smallint,
    quote_decimals smallint,
    -- Dollars as the message tells them, in single precision.
    base_usd real,
    quote_usd real,
    base_unit_usd real,
    quote_unit_usd real,
    -- Whether the base was bought, else it was sold.
    buy boolean NOT NULL,
    -- Whether Jupiter had a hand in it.
    jupiter boolean NOT NULL,
    -- Whether wrapped SOL stands for native SOL.
    native boolean NOT NULL,
    signature bytea NOT NULL,
    base bytea NOT NULL,
    quote bytea NOT NULL,
    -- Null for the sum that an aggregator tells of its route.
    market bytea,
    trader bytea,
    program bytea,
    -- In base units.
    base_amount numeric(20, 0) NOT NULL,
    quote_amount numeric(20, 0) NOT NULL,
    -- How much of the quote one base costs.
    price numeric,
    protocol text NOT NULL,
    family text NOT NULL,
    base_symbol text NOT NULL,
    quote_symbol text NOT NULL,
    PRIMARY KEY (slot, signature, instruction, ordinal)
) PARTITION BY RANGE (slot);
CREATE INDEX dex_trades_by_pair ON dex_trades (base, quote, time);
-- Rows come nearly in these orders, so a few bytes per hundred pages are index enough.
CREATE INDEX dex_trades_by_time ON dex_trades USING brin (time) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX dex_trades_by_batch ON dex_trades USING brin (batch) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE transfers (
    slot bigint NOT NULL,
    transaction_index bigint NOT NULL,
    instruction bigint NOT NULL,
    ordinal bigint NOT NULL,
    time timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    decimals smallint,
    usd real,
    signature bytea NOT NULL,
    mint bytea NOT NULL,
    -- Null when tokens were minted.
    sender bytea,
    sender_owner bytea,
    -- Null when tokens were burned.
    receiver bytea,
    receiver_owner bytea,
    authority bytea,
    amount numeric(20, 0) NOT NULL,
    symbol text NOT NULL,
    PRIMARY KEY (slot, signature, instruction, ordinal)
) PARTITION BY RANGE (slot);
CREATE INDEX transfers_by_mint ON transfers (mint, time);
CREATE INDEX transfers_by_time ON transfers USING brin (time) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE transactions (
    slot bigint NOT NULL,
    transaction_index bigint NOT NULL,
    time timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    instructions bigint NOT NULL,
    fee_usd real,
    success boolean NOT NULL,
    jupiter boolean NOT NULL,
    signature bytea NOT NULL,
    fee_payer bytea,
    signer bytea,
    -- The programs that ran, 32 bytes each.
    programs bytea NOT NULL,
    -- In lamports.
    fee numeric(20, 0) NOT NULL,
    -- Empty when it did not fail.
    error text NOT NULL,
    PRIMARY KEY (slot, signature)
) PARTITION BY RANGE (slot);
CREATE INDEX transactions_by_time ON transactions USING brin (time) WITH (pages_per_range = 32, autosummarize = on);

-- What was heard of slots. Later messages fill in what earlier ones did not know.
CREATE TABLE slots (
    slot bigint NOT NULL,
    parent bigint,
    height bigint,
    time timestamptz NOT NULL,
    block_time timestamptz,
    hash bytea,
    PRIMARY KEY (slot)
) PARTITION BY RANGE (slot);

-- Records that could not be used, or not all of their transactions.
CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    recorded_at timestamptz,
    key bytea,
    payload bytea,
    -- What is wrong, by a fixed set of words.
    class text NOT NULL,
    -- What is wrong, for a person.
    error text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When it could be used after all.
    replayed_at timestamptz,
    UNIQUE (topic, partition, kafka_offset)
);

-- What was lost because the broker no longer had it.
CREATE TABLE ingest_gaps (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    -- The first that is missing.
    from_offset bigint NOT NULL,
    -- The first that is not missing.
    to_offset bigint NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic, partition, from_offset)
);

-- Makes the partition of a table for these slots, unless there is one.
CREATE FUNCTION add_partition(parent text, low bigint, high bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('perijove ' || parent));
    IF to_regclass(quote_ident(parent || '_' || low)) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s)',
            parent || '_' || low, parent, low, high);
    END IF;
END $$;

-- Drops the partitions of a table all of whose rows are older. Says how many those were.
CREATE FUNCTION drop_partitions(parent text, before timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    child text;
    old boolean;
    dropped integer := 0;
BEGIN
    FOR child IN
        SELECT relation.oid::regclass::text FROM pg_inherits
        JOIN pg_class relation ON relation.oid = inhrelid
        WHERE inhparent = to_regclass(quote_ident(parent))
    LOOP
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM %1$s) AND NOT EXISTS (SELECT FROM %1$s WHERE time >= $1)',
            child) INTO old USING before;
        IF old THEN
            EXECUTE format('DROP TABLE %s', child);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END $$;

-- Bytes as Solana writes them, for people: SELECT base58(signature) FROM dex_trades LIMIT 10.
CREATE FUNCTION base58(bytes bytea) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    alphabet CONSTANT text := '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
    number numeric := 0;
    shown text := '';
    place integer;
BEGIN
    FOR place IN 0 .. length(bytes) - 1 LOOP
        number := number * 256 + get_byte(bytes, place);
    END LOOP;
    WHILE number > 0 LOOP
        shown := substr(alphabet, (number % 58)::integer + 1, 1) || shown;
        number := div(number, 58);
    END LOOP;
    FOR place IN 0 .. length(bytes) - 1 LOOP
        EXIT WHEN get_byte(bytes, place) > 0;
        shown := '1' || shown;
    END LOOP;
    RETURN shown;
END $$;

-- The other way: WHERE base = from_base58('So11111111111111111111111111111111111111112').
CREATE FUNCTION from_base58(shown text) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    alphabet CONSTANT text := '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
    number numeric := 0;
    bytes bytea := '';
    digit integer;
    place integer;
BEGIN
    FOR place IN 1 .. length(shown) LOOP
        digit := strpos(alphabet, substr(shown, place, 1)) - 1;
        IF digit < 0 THEN
            RAISE EXCEPTION 'not base58: %', shown USING ERRCODE = 'invalid_text_representation';
        END IF;
        number := number * 58 + digit;
    END LOOP;
    WHILE number > 0 LOOP
        bytes := set_byte('\x00'::bytea, 0, (number % 256)::integer) || bytes;
        number := div(number, 256);
    END LOOP;
    FOR place IN 1 .. length(shown) LOOP
        EXIT WHEN substr(shown, place, 1) <> '1';
        bytes := '\x00'::bytea || bytes;
    END LOOP;
    RETURN bytes;
END $$;
