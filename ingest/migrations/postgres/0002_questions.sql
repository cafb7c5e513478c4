-- What people ask a database of trades: indexes for it, views, and what every column means.

-- What Token-2022 adds; a catalogue's change only, however many rows there are.
ALTER TABLE dex_trades
    ADD COLUMN base_2022 boolean NOT NULL DEFAULT false,
    ADD COLUMN quote_2022 boolean NOT NULL DEFAULT false,
    ADD COLUMN base_multiplier double precision,
    ADD COLUMN quote_multiplier double precision;
ALTER TABLE transfers
    ADD COLUMN token_2022 boolean NOT NULL DEFAULT false,
    ADD COLUMN multiplier double precision;

-- Partitions that are there already get their part of an index from the running program, one after the other and
-- without holding up who writes (ingest/src/sink/database/postgres/indexes.rs). Those made from now on are born with
-- it, and so it is with all of them in a new database.
CREATE INDEX dex_trades_by_base ON ONLY dex_trades (base, time);
CREATE INDEX dex_trades_by_market ON ONLY dex_trades (market, time);
CREATE INDEX dex_trades_by_trader ON ONLY dex_trades (trader, time);
CREATE INDEX dex_trades_by_signature ON ONLY dex_trades USING hash (signature);
CREATE INDEX dex_trades_newest ON ONLY dex_trades (time);
CREATE INDEX transfers_by_signature ON ONLY transfers USING hash (signature);
CREATE INDEX transfers_newest ON ONLY transfers (time);
CREATE INDEX transactions_by_signature ON ONLY transactions USING hash (signature);
CREATE INDEX transactions_newest ON ONLY transactions (time);

-- What these replace goes at once where nothing is stored yet, else when they are complete.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = to_regclass('dex_trades')) THEN
        DROP INDEX dex_trades_by_pair, dex_trades_by_time;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = to_regclass('transfers')) THEN
        DROP INDEX transfers_by_time;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = to_regclass('transactions')) THEN
        DROP INDEX transactions_by_time;
    END IF;
END $$;

-- Dollars of a trade: by the USDC or USDT in it, else as the message tells them.
CREATE FUNCTION trade_usd(base bytea, quote bytea, base_amount numeric, quote_amount numeric,
    base_usd real, quote_usd real) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN quote IN ('\xc6fa7af3bedbad3a3d65f36aabc97431b1bbe4c2d2f6e0e47ca60203452f5d61',
            '\xce010e60afedb22717bd63192f54145a3f965a33bb82d2c7029eb2ce1e208264') THEN quote_amount::float8 / 1e6
        WHEN base IN ('\xc6fa7af3bedbad3a3d65f36aabc97431b1bbe4c2d2f6e0e47ca60203452f5d61',
            '\xce010e60afedb22717bd63192f54145a3f965a33bb82d2c7029eb2ce1e208264') THEN base_amount::float8 / 1e6
        ELSE coalesce(quote_usd, base_usd)::float8
    END
$$;

-- Whole tokens of base units; null where the decimals are not known.
CREATE FUNCTION whole(amount numeric, decimals smallint) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT trim_scale(amount / power(10::numeric, decimals))
$$;

CREATE VIEW trades AS
SELECT time, slot, transaction_index, instruction, ordinal, signature, base, quote, market, trader,
    base58(signature) AS signature_text, base58(base) AS base_text, base58(quote) AS quote_text,
    base58(market) AS market_text, base58(trader) AS trader_text, base_symbol, quote_symbol,
    CASE WHEN buy THEN 'buy' ELSE 'sell' END AS side,
    whole(base_amount, base_decimals) AS base_amount, whole(quote_amount, quote_decimals) AS quote_amount, price,
    trade_usd(base, quote, base_amount, quote_amount, base_usd, quote_usd) AS usd, protocol, jupiter
FROM dex_trades WHERE market IS NOT NULL;

CREATE VIEW wallet_trades AS
SELECT trader AS wallet, base58(trader) AS wallet_text, time, slot, signature, base58(signature) AS signature_text,
    CASE WHEN buy THEN base ELSE quote END AS bought,
    base58(CASE WHEN buy THEN base ELSE quote END) AS bought_text,
    CASE WHEN buy THEN base_symbol ELSE quote_symbol END AS bought_symbol,
    CASE WHEN buy THEN whole(base_amount, base_decimals) ELSE whole(quote_amount, quote_decimals) END AS bought_amount,
    CASE WHEN buy THEN quote ELSE base END AS sold,
    base58(CASE WHEN buy THEN quote ELSE base END) AS sold_text,
    CASE WHEN buy THEN quote_symbol ELSE base_symbol END AS sold_symbol,
    CASE WHEN buy THEN whole(quote_amount, quote_decimals) ELSE whole(base_amount, base_decimals) END AS sold_amount,
    trade_usd(base, quote, base_amount, quote_amount, base_usd, quote_usd) AS usd, price, market,
    base58(market) AS market_text, protocol, jupiter
FROM dex_trades WHERE market IS NOT NULL AND trader IS NOT NULL;

CREATE VIEW ohlc_minutes AS
SELECT base, quote, base58(base) AS base_text, base58(quote) AS quote_text, minute,
    open, high, low, close, base_volume, quote_volume, usd, trades
FROM (
    SELECT base, quote, date_bin('1 minute', time, 'epoch') AS minute,
        (array_agg(price ORDER BY slot, transaction_index, instruction, ordinal))[1] AS open,
        max(price) AS high, min(price) AS low,
        (array_agg(price ORDER BY slot DESC, transaction_index DESC, instruction DESC, ordinal DESC))[1] AS close,
        sum(whole(base_amount, base_decimals)) AS base_volume,
        sum(whole(quote_amount, quote_decimals)) AS quote_volume,
        sum(trade_usd(base, quote, base_amount, quote_amount, base_usd, quote_usd)) AS usd,
        count(*) AS trades
    FROM dex_trades WHERE market IS NOT NULL AND price IS NOT NULL
    GROUP BY base, quote, minute
) AS candle;

CREATE VIEW ohlc_hours AS
SELECT base, quote, base58(base) AS base_text, base58(quote) AS quote_text, hour,
    open, high, low, close, base_volume, quote_volume, usd, trades
FROM (
    SELECT base, quote, date_bin('1 hour', time, 'epoch') AS hour,
        (array_agg(price ORDER BY slot, transaction_index, instruction, ordinal))[1] AS open,
        max(price) AS high, min(price) AS low,
        (array_agg(price ORDER BY slot DESC, transaction_index DESC, instruction DESC, ordinal DESC))[1] AS close,
        sum(whole(base_amount, base_decimals)) AS base_volume,
        sum(whole(quote_amount, quote_decimals)) AS quote_volume,
        sum(trade_usd(base, quote, base_amount, quote_amount, base_usd, quote_usd)) AS usd,
        count(*) AS trades
    FROM dex_trades WHERE market IS NOT NULL AND price IS NOT NULL
    GROUP BY base, quote, hour
) AS candle;

-- The same for any step, of a stretch of time that the indexes know.
CREATE FUNCTION ohlc(of_base bytea, in_quote bytea, step interval, since timestamptz, until timestamptz)
RETURNS TABLE (start timestamptz, open numeric, high numeric, low numeric, close numeric, base_volume numeric,
    quote_volume numeric, usd double precision, trades bigint)
LANGUAGE sql STABLE AS $$
    SELECT date_bin(step, time, 'epoch') AS start,
        (array_agg(price ORDER BY slot, transaction_index, instruction, ordinal))[1],
        max(price), min(price),
        (array_agg(price ORDER BY slot DESC, transaction_index DESC, instruction DESC, ordinal DESC))[1],
        sum(whole(base_amount, base_decimals)), sum(whole(quote_amount, quote_decimals)),
        sum(trade_usd(base, quote, base_amount, quote_amount, base_usd, quote_usd)), count(*)
    FROM dex_trades
    WHERE base = of_base AND quote = in_quote AND time >= since AND time < until
        AND market IS NOT NULL AND price IS NOT NULL
    GROUP BY 1 ORDER BY 1
$$;

CREATE VIEW pool_hours AS
SELECT market, base, quote, base58(market) AS market_text, base58(base) AS base_text, base58(quote) AS quote_text,
    protocol, hour, trades, wallets, base_volume, quote_volume, usd
FROM (
    SELECT market, base, quote, protocol, date_bin('1 hour', time, 'epoch') AS hour,
        count(*) AS trades, count(DISTINCT trader) AS wallets,
        sum(whole(base_amount, base_decimals)) AS base_volume,
        sum(whole(quote_amount, quote_decimals)) AS quote_volume,
        sum(trade_usd(base, quote, base_amount, quote_amount, base_usd, quote_usd)) AS usd
    FROM dex_trades WHERE market IS NOT NULL
    GROUP BY market, base, quote, protocol, hour
) AS pool;

COMMENT ON TABLE kafka_offsets IS 'How far each partition was read, by each consumer group. A lane is one such partition.';
COMMENT ON COLUMN kafka_offsets.consumer_group IS 'The consumer group; `replay` and `dead-letters` for those commands.';
COMMENT ON COLUMN kafka_offsets.topic IS 'The topic.';
COMMENT ON COLUMN kafka_offsets.partition IS 'The partition of the topic.';
COMMENT ON COLUMN kafka_offsets.lane IS 'By which rows name the lane they came with.';
COMMENT ON COLUMN kafka_offsets.next_offset IS 'Of the next record to read; null until the first batch.';
COMMENT ON COLUMN kafka_offsets.batch IS 'The last batch that was committed: milliseconds since 1970, or one more than the one before if that is greater.';
COMMENT ON COLUMN kafka_offsets.epoch IS 'Goes up when the lane gets a new writer; the former one can commit no more.';
COMMENT ON COLUMN kafka_offsets.updated_at IS 'When the last batch was committed.';

COMMENT ON TABLE dex_trades IS 'One trade on one market, or the sum that an aggregator tells of its route. Partitioned by slot.';
COMMENT ON COLUMN dex_trades.slot IS 'The slot.';
COMMENT ON COLUMN dex_trades.transaction_index IS 'Of the transaction in its block.';
COMMENT ON COLUMN dex_trades.instruction IS 'Of the instruction in its transaction.';
COMMENT ON COLUMN dex_trades.ordinal IS 'Of the trade among those of its instruction, from 0.';
COMMENT ON COLUMN dex_trades.batch IS 'With which batch of its lane it came.';
COMMENT ON COLUMN dex_trades.time IS 'Of the block where the message says it, else of the record in Kafka.';
COMMENT ON COLUMN dex_trades.recorded_at IS 'Of the record in Kafka.';
COMMENT ON COLUMN dex_trades.lane IS 'With which lane it came; see kafka_offsets.';
COMMENT ON COLUMN dex_trades.base_decimals IS 'Decimals of the base; null when the message does not tell them.';
COMMENT ON COLUMN dex_trades.quote_decimals IS 'Decimals of the quote; null when the message does not tell them.';
COMMENT ON COLUMN dex_trades.base_usd IS 'Dollars that the base amount is worth as the message tells it, in single precision.';
COMMENT ON COLUMN dex_trades.quote_usd IS 'Dollars that the quote amount is worth as the message tells it, in single precision.';
COMMENT ON COLUMN dex_trades.base_unit_usd IS 'Dollars for one base as the message tells it.';
COMMENT ON COLUMN dex_trades.quote_unit_usd IS 'Dollars for one quote as the message tells it.';
COMMENT ON COLUMN dex_trades.buy IS 'Whether the trader bought the base; else it was sold.';
COMMENT ON COLUMN dex_trades.jupiter IS 'Whether Jupiter had a hand in it.';
COMMENT ON COLUMN dex_trades.native IS 'Whether wrapped SOL stands for native SOL.';
COMMENT ON COLUMN dex_trades.signature IS 'Of the transaction.';
COMMENT ON COLUMN dex_trades.base IS 'Mint of the token whose price is told.';
COMMENT ON COLUMN dex_trades.quote IS 'Mint of the token that the price is told in.';
COMMENT ON COLUMN dex_trades.market IS 'The pool or order book; null for an aggregator''s sum, whose trades are rows of their own.';
COMMENT ON COLUMN dex_trades.trader IS 'Who signed the transaction.';
COMMENT ON COLUMN dex_trades.program IS 'The program of the market.';
COMMENT ON COLUMN dex_trades.base_amount IS 'Base units of the base.';
COMMENT ON COLUMN dex_trades.quote_amount IS 'Base units of the quote.';
COMMENT ON COLUMN dex_trades.price IS 'How much of the quote one base costs; null for sums and where decimals are not known.';
COMMENT ON COLUMN dex_trades.protocol IS 'Such as `pump_amm`.';
COMMENT ON COLUMN dex_trades.family IS 'Such as `Pumpswap`.';
COMMENT ON COLUMN dex_trades.base_symbol IS 'As its issuer names it: may be empty, or another token''s.';
COMMENT ON COLUMN dex_trades.quote_symbol IS 'As its issuer names it: may be empty, or another token''s.';

COMMENT ON COLUMN dex_trades.base_2022 IS 'Whether the base is a token of Token-2022, transfers of which may bear a fee.';
COMMENT ON COLUMN dex_trades.quote_2022 IS 'Whether the quote is a token of Token-2022, transfers of which may bear a fee.';
COMMENT ON COLUMN dex_trades.base_multiplier IS 'By how much wallets multiply amounts of the base before they show them; null where they do not. Amounts and price here are of the unscaled token.';
COMMENT ON COLUMN dex_trades.quote_multiplier IS 'The same of the quote.';

COMMENT ON TABLE transfers IS 'One transfer of a token. Partitioned by slot.';
COMMENT ON COLUMN transfers.slot IS 'The slot.';
COMMENT ON COLUMN transfers.transaction_index IS 'Of the transaction in its block.';
COMMENT ON COLUMN transfers.instruction IS 'Of the instruction in its transaction.';
COMMENT ON COLUMN transfers.ordinal IS 'Of the transfer among those of its instruction, from 0.';
COMMENT ON COLUMN transfers.time IS 'Of the block where the message says it, else of the record in Kafka.';
COMMENT ON COLUMN transfers.recorded_at IS 'Of the record in Kafka.';
COMMENT ON COLUMN transfers.decimals IS 'Decimals of the token; null when the message does not tell them.';
COMMENT ON COLUMN transfers.usd IS 'Dollars that it was worth as the message tells it.';
COMMENT ON COLUMN transfers.signature IS 'Of the transaction.';
COMMENT ON COLUMN transfers.mint IS 'The token; the system program for native SOL.';
COMMENT ON COLUMN transfers.sender IS 'The account it came from; null when tokens were minted.';
COMMENT ON COLUMN transfers.sender_owner IS 'Who owns that account.';
COMMENT ON COLUMN transfers.receiver IS 'The account it went to; null when tokens were burned.';
COMMENT ON COLUMN transfers.receiver_owner IS 'Who owns that account.';
COMMENT ON COLUMN transfers.authority IS 'Who allowed it.';
COMMENT ON COLUMN transfers.amount IS 'Base units; may be 0.';
COMMENT ON COLUMN transfers.symbol IS 'As its issuer names it: may be empty, or another token''s.';

COMMENT ON COLUMN transfers.token_2022 IS 'Whether it is a token of Token-2022, transfers of which may bear a fee: then less arrives than the amount.';
COMMENT ON COLUMN transfers.multiplier IS 'By how much wallets multiply amounts before they show them; null where they do not.';

COMMENT ON TABLE transactions IS 'One transaction, failed ones too. Partitioned by slot.';
COMMENT ON COLUMN transactions.slot IS 'The slot.';
COMMENT ON COLUMN transactions.transaction_index IS 'Of the transaction in its block.';
COMMENT ON COLUMN transactions.time IS 'Of the block where the message says it, else of the record in Kafka.';
COMMENT ON COLUMN transactions.recorded_at IS 'Of the record in Kafka.';
COMMENT ON COLUMN transactions.instructions IS 'How many instructions ran, inner ones too.';
COMMENT ON COLUMN transactions.fee_usd IS 'Dollars that the fee was worth as the message tells it.';
COMMENT ON COLUMN transactions.success IS 'Whether it succeeded.';
COMMENT ON COLUMN transactions.jupiter IS 'Whether one of Jupiter''s programs ran.';
COMMENT ON COLUMN transactions.signature IS 'Its first signature.';
COMMENT ON COLUMN transactions.fee_payer IS 'Who paid the fee.';
COMMENT ON COLUMN transactions.signer IS 'Who signed it first.';
COMMENT ON COLUMN transactions.programs IS 'The programs that ran, 32 bytes each.';
COMMENT ON COLUMN transactions.fee IS 'In lamports.';
COMMENT ON COLUMN transactions.error IS 'What the chain says of a failed one; empty when it did not fail.';

COMMENT ON TABLE slots IS 'What was heard of slots; later messages fill in what earlier ones did not know. Partitioned by slot.';
COMMENT ON COLUMN slots.slot IS 'The slot.';
COMMENT ON COLUMN slots.parent IS 'The slot before it.';
COMMENT ON COLUMN slots.height IS 'The height of its block.';
COMMENT ON COLUMN slots.time IS 'Of the block where a message says it, else of the first record.';
COMMENT ON COLUMN slots.block_time IS 'Of the block, where a message says it.';
COMMENT ON COLUMN slots.hash IS 'The hash of its block.';

COMMENT ON TABLE dead_letters IS 'Records that could not be used, or not all of their transactions.';
COMMENT ON COLUMN dead_letters.id IS 'A number, in the order in which they were stored.';
COMMENT ON COLUMN dead_letters.topic IS 'The topic it came from.';
COMMENT ON COLUMN dead_letters.partition IS 'The partition it came from.';
COMMENT ON COLUMN dead_letters.kafka_offset IS 'Its offset there.';
COMMENT ON COLUMN dead_letters.recorded_at IS 'Of the record in Kafka.';
COMMENT ON COLUMN dead_letters.key IS 'The key of the record.';
COMMENT ON COLUMN dead_letters.payload IS 'The record itself.';
COMMENT ON COLUMN dead_letters.class IS 'What is wrong, by a fixed set of words.';
COMMENT ON COLUMN dead_letters.error IS 'What is wrong, for a person.';
COMMENT ON COLUMN dead_letters.created_at IS 'When it was stored.';
COMMENT ON COLUMN dead_letters.replayed_at IS 'When it could be used after all.';

COMMENT ON TABLE ingest_gaps IS 'Records that were gone before they could be read.';
COMMENT ON COLUMN ingest_gaps.consumer_group IS 'The consumer group that missed them.';
COMMENT ON COLUMN ingest_gaps.topic IS 'The topic.';
COMMENT ON COLUMN ingest_gaps.partition IS 'The partition.';
COMMENT ON COLUMN ingest_gaps.from_offset IS 'The first that is missing.';
COMMENT ON COLUMN ingest_gaps.to_offset IS 'The first that is not missing.';
COMMENT ON COLUMN ingest_gaps.noticed_at IS 'When it was noticed.';

COMMENT ON VIEW trades IS 'The trades of pools for people: addresses as base58, amounts in whole tokens.';
COMMENT ON COLUMN trades.time IS 'Of the block where the message says it, else of the record in Kafka.';
COMMENT ON COLUMN trades.slot IS 'The slot.';
COMMENT ON COLUMN trades.transaction_index IS 'Of the transaction in its block.';
COMMENT ON COLUMN trades.instruction IS 'Of the instruction in its transaction.';
COMMENT ON COLUMN trades.ordinal IS 'Of the trade among those of its instruction, from 0.';
COMMENT ON COLUMN trades.signature IS 'Of the transaction.';
COMMENT ON COLUMN trades.base IS 'Mint of the token whose price is told; conditions on it use an index.';
COMMENT ON COLUMN trades.quote IS 'Mint of the token that the price is told in.';
COMMENT ON COLUMN trades.market IS 'The pool; conditions on it use an index.';
COMMENT ON COLUMN trades.trader IS 'Who signed the transaction; conditions on it use an index.';
COMMENT ON COLUMN trades.signature_text IS 'As base58, to look at; conditions on it use no index.';
COMMENT ON COLUMN trades.base_text IS 'As base58, to look at; conditions on it use no index.';
COMMENT ON COLUMN trades.quote_text IS 'As base58, to look at; conditions on it use no index.';
COMMENT ON COLUMN trades.market_text IS 'As base58, to look at; conditions on it use no index.';
COMMENT ON COLUMN trades.trader_text IS 'As base58, to look at; conditions on it use no index.';
COMMENT ON COLUMN trades.base_symbol IS 'As its issuer names it: may be empty, or another token''s.';
COMMENT ON COLUMN trades.quote_symbol IS 'As its issuer names it: may be empty, or another token''s.';
COMMENT ON COLUMN trades.side IS '`buy` when the trader bought the base, else `sell`.';
COMMENT ON COLUMN trades.base_amount IS 'Whole tokens of the base; null where the decimals are not known.';
COMMENT ON COLUMN trades.quote_amount IS 'Whole tokens of the quote; null where the decimals are not known.';
COMMENT ON COLUMN trades.price IS 'How much of the quote one base costs.';
COMMENT ON COLUMN trades.usd IS 'Dollars: by the USDC or USDT in it, else as the message tells them; else null.';
COMMENT ON COLUMN trades.protocol IS 'Such as `pump_amm`.';
COMMENT ON COLUMN trades.jupiter IS 'Whether Jupiter had a hand in it.';

COMMENT ON VIEW wallet_trades IS 'The trades of pools from the side of the wallet: what it bought and what it sold.';
COMMENT ON COLUMN wallet_trades.wallet IS 'Who signed the transaction; conditions on it use an index.';
COMMENT ON COLUMN wallet_trades.wallet_text IS 'As base58, to look at; conditions on it use no index.';
COMMENT ON COLUMN wallet_trades.time IS 'Of the block where the message says it, else of the record in Kafka.';
COMMENT ON COLUMN wallet_trades.slot IS 'The slot.';
COMMENT ON COLUMN wallet_trades.signature IS 'Of the transaction.';
COMMENT ON COLUMN wallet_trades.signature_text IS 'As base58, to look at; conditions on it use no index.';
COMMENT ON COLUMN wallet_trades.bought IS 'Mint of what the wallet got.';
COMMENT ON COLUMN wallet_trades.bought_text IS 'As base58, to look at; conditions on it use no index.';
COMMENT ON COLUMN wallet_trades.bought_symbol IS 'As its issuer names it: may be empty, or another token''s.';
COMMENT ON COLUMN wallet_trades.bought_amount IS 'Whole tokens; null where the decimals are not known.';
COMMENT ON COLUMN wallet_trades.sold IS 'Mint of what the wallet gave.';
COMMENT ON COLUMN wallet_trades.sold_text IS 'As base58, to look at; conditions on it use no index.';
COMMENT ON COLUMN wallet_trades.sold_symbol IS 'As its issuer names it: may be empty, or another token''s.';
COMMENT ON COLUMN wallet_trades.sold_amount IS 'Whole tokens; null where the decimals are not known.';
COMMENT ON COLUMN wallet_trades.usd IS 'Dollars: by the USDC or USDT in it, else as the message tells them; else null.';
COMMENT ON COLUMN wallet_trades.price IS 'How much of the quote one base costs; see dex_trades.';
COMMENT ON COLUMN wallet_trades.market IS 'The pool.';
COMMENT ON COLUMN wallet_trades.market_text IS 'As base58, to look at; conditions on it use no index.';
COMMENT ON COLUMN wallet_trades.protocol IS 'Such as `pump_amm`.';
COMMENT ON COLUMN wallet_trades.jupiter IS 'Whether Jupiter had a hand in it.';

COMMENT ON VIEW ohlc_minutes IS 'Candles of a minute of each pair, over all pools.';
COMMENT ON COLUMN ohlc_minutes.minute IS 'When it begins.';
COMMENT ON VIEW ohlc_hours IS 'Candles of an hour of each pair, over all pools.';
COMMENT ON COLUMN ohlc_hours.hour IS 'When it begins.';
DO $$
DECLARE
    candles text;
BEGIN
    FOREACH candles IN ARRAY ARRAY['ohlc_minutes', 'ohlc_hours'] LOOP
        EXECUTE format('COMMENT ON COLUMN %I.base IS ''Mint of the token whose price is told; conditions on it use an index.''', candles);
        EXECUTE format('COMMENT ON COLUMN %I.quote IS ''Mint of the token that the price is told in.''', candles);
        EXECUTE format('COMMENT ON COLUMN %I.base_text IS ''As base58, to look at; conditions on it use no index.''', candles);
        EXECUTE format('COMMENT ON COLUMN %I.quote_text IS ''As base58, to look at; conditions on it use no index.''', candles);
        EXECUTE format('COMMENT ON COLUMN %I.open IS ''The first price, by the order of the chain.''', candles);
        EXECUTE format('COMMENT ON COLUMN %I.high IS ''The highest price.''', candles);
        EXECUTE format('COMMENT ON COLUMN %I.low IS ''The lowest price.''', candles);
        EXECUTE format('COMMENT ON COLUMN %I.close IS ''The last price, by the order of the chain.''', candles);
        EXECUTE format('COMMENT ON COLUMN %I.base_volume IS ''Whole tokens of the base.''', candles);
        EXECUTE format('COMMENT ON COLUMN %I.quote_volume IS ''Whole tokens of the quote.''', candles);
        EXECUTE format('COMMENT ON COLUMN %I.usd IS ''Dollars of the trades whose worth is told.''', candles);
        EXECUTE format('COMMENT ON COLUMN %I.trades IS ''How many trades.''', candles);
    END LOOP;
END $$;

COMMENT ON VIEW pool_hours IS 'Volume of each pool and hour.';
COMMENT ON COLUMN pool_hours.market IS 'The pool; conditions on it use an index.';
COMMENT ON COLUMN pool_hours.base IS 'Mint of the token whose price is told.';
COMMENT ON COLUMN pool_hours.quote IS 'Mint of the token that the price is told in.';
COMMENT ON COLUMN pool_hours.market_text IS 'As base58, to look at; conditions on it use no index.';
COMMENT ON COLUMN pool_hours.base_text IS 'As base58, to look at; conditions on it use no index.';
COMMENT ON COLUMN pool_hours.quote_text IS 'As base58, to look at; conditions on it use no index.';
COMMENT ON COLUMN pool_hours.protocol IS 'Such as `pump_amm`.';
COMMENT ON COLUMN pool_hours.hour IS 'When it begins.';
COMMENT ON COLUMN pool_hours.trades IS 'How many trades.';
COMMENT ON COLUMN pool_hours.wallets IS 'How many traders.';
COMMENT ON COLUMN pool_hours.base_volume IS 'Whole tokens of the base.';
COMMENT ON COLUMN pool_hours.quote_volume IS 'Whole tokens of the quote.';
COMMENT ON COLUMN pool_hours.usd IS 'Dollars of the trades whose worth is told.';
