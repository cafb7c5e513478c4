-- What Token-2022 adds.
ALTER TABLE dex_trades ADD COLUMN base_2022 INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dex_trades ADD COLUMN quote_2022 INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dex_trades ADD COLUMN base_multiplier REAL;
ALTER TABLE dex_trades ADD COLUMN quote_multiplier REAL;
ALTER TABLE transfers ADD COLUMN token_2022 INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transfers ADD COLUMN multiplier REAL;

-- Indexes for what people ask. The views are made anew whenever the program knows other ones (views.rs).
DROP INDEX dex_trades_by_pair;
CREATE INDEX dex_trades_by_base ON dex_trades (base, time);
CREATE INDEX dex_trades_by_market ON dex_trades (market, time);
CREATE INDEX dex_trades_by_trader ON dex_trades (trader, time);
CREATE INDEX dex_trades_by_signature ON dex_trades (signature);
CREATE INDEX transfers_by_signature ON transfers (signature);
CREATE INDEX transactions_by_signature ON transactions (signature);
