//! The views of SQLite: those of PostgreSQL, with numbers that sort and addresses as base58. SQLite has
//! no functions of ours, so whoever opens the file with any tool gets both from plain SQL.

use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::project::{USDC, USDT};
use crate::sink::database::DatabaseError;

/// Makes the views that are missing or are another version's.
///
/// # Errors
/// The database fails.
pub(super) async fn make(connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
    for (name, query) in all() {
        let wanted = format!("CREATE VIEW {name} AS {query}");
        let found: Option<String> =
            sqlx::query_scalar("SELECT sql FROM sqlite_master WHERE type = 'view' AND name = ?")
                .bind(name)
                .fetch_optional(&mut *connection)
                .await?;
        if found.as_deref() == Some(&wanted) {
            continue;
        }
        let change = format!("BEGIN IMMEDIATE; DROP VIEW IF EXISTS {name}; {wanted}; COMMIT");
        sqlx::raw_sql(AssertSqlSafe(change))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

fn all() -> [(&'static str, String); 5] {
    [
        ("trades", trades()),
        ("wallet_trades", wallet_trades()),
        ("ohlc_minutes", candles("minute", 60_000)),
        ("ohlc_hours", candles("hour", 3_600_000)),
        ("pool_hours", pool_hours()),
    ]
}

fn trades() -> String {
    format!(
        "SELECT {time} AS time, slot, transaction_index, instruction, ordinal, signature, base, quote, market, trader,
            {signature} AS signature_text, {base} AS base_text, {quote} AS quote_text, {market} AS market_text,
            {trader} AS trader_text, base_symbol, quote_symbol, iif(buy, 'buy', 'sell') AS side,
            {base_amount} AS base_amount, {quote_amount} AS quote_amount, CAST(price AS REAL) AS price,
            {usd} AS usd, protocol, jupiter
         FROM dex_trades WHERE market IS NOT NULL",
        time = time("time"),
        signature = base58("signature", 64),
        base = base58("base", 32),
        quote = base58("quote", 32),
        market = base58("market", 32),
        trader = base58("trader", 32),
        base_amount = whole("base"),
        quote_amount = whole("quote"),
        usd = usd(),
    )
}

fn wallet_trades() -> String {
    format!(
        "SELECT trader AS wallet, {wallet} AS wallet_text, {time} AS time, slot, signature,
            {signature} AS signature_text,
            iif(buy, base, quote) AS bought, {bought} AS bought_text,
            iif(buy, base_symbol, quote_symbol) AS bought_symbol, iif(buy, {base}, {quote}) AS bought_amount,
            iif(buy, quote, base) AS sold, {sold} AS sold_text,
            iif(buy, quote_symbol, base_symbol) AS sold_symbol, iif(buy, {quote}, {base}) AS sold_amount,
            {usd} AS usd, CAST(price AS REAL) AS price, market, {market} AS market_text, protocol, jupiter
         FROM dex_trades WHERE market IS NOT NULL AND trader IS NOT NULL",
        wallet = base58("trader", 32),
        time = time("time"),
        signature = base58("signature", 64),
        bought = base58("iif(buy, base, quote)", 32),
        sold = base58("iif(buy, quote, base)", 32),
        base = whole("base"),
        quote = whole("quote"),
        usd = usd(),
        market = base58("market", 32),
    )
}

/// The first and the last price are found by what stands before them: the place in the chain, in digits of
/// fixed width.
fn candles(step: &str, millis: i64) -> String {
    const PLACE: &str =
        "printf('%020d%010d%010d%010d', slot, transaction_index, instruction, ordinal)";
    format!(
        "SELECT base, quote, {base} AS base_text, {quote} AS quote_text, {time} AS {step},
            CAST(substr(opening, 51) AS REAL) AS open, high, low, CAST(substr(closing, 51) AS REAL) AS close,
            base_volume, quote_volume, usd, trades
         FROM (SELECT base, quote, time - time % {millis} AS start,
                min({PLACE} || price) AS opening, max(CAST(price AS REAL)) AS high, min(CAST(price AS REAL)) AS low,
                max({PLACE} || price) AS closing, sum({base_amount}) AS base_volume,
                sum({quote_amount}) AS quote_volume, sum({usd}) AS usd, count(*) AS trades
            FROM dex_trades WHERE market IS NOT NULL AND price IS NOT NULL
            GROUP BY base, quote, start)",
        base = base58("base", 32),
        quote = base58("quote", 32),
        time = time("start"),
        base_amount = whole("base"),
        quote_amount = whole("quote"),
        usd = usd(),
    )
}

fn pool_hours() -> String {
    format!(
        "SELECT market, base, quote, {market} AS market_text, {base} AS base_text, {quote} AS quote_text, protocol,
            {time} AS hour, trades, wallets, base_volume, quote_volume, usd
         FROM (SELECT market, base, quote, protocol, time - time % 3600000 AS start, count(*) AS trades,
                count(DISTINCT trader) AS wallets, sum({base_amount}) AS base_volume,
                sum({quote_amount}) AS quote_volume, sum({usd}) AS usd
            FROM dex_trades WHERE market IS NOT NULL
            GROUP BY market, base, quote, protocol, start)",
        market = base58("market", 32),
        base = base58("base", 32),
        quote = base58("quote", 32),
        time = time("start"),
        base_amount = whole("base"),
        quote_amount = whole("quote"),
        usd = usd(),
    )
}

/// A time as text that SQLite's own functions of time take, and that sorts.
fn time(millis: &str) -> String {
    format!("strftime('%Y-%m-%d %H:%M:%f', {millis} / 1000.0, 'unixepoch')")
}

/// Whole tokens of a side; null where the decimals are not known.
fn whole(side: &str) -> String {
    format!("CAST({side}_amount AS REAL) / CAST('1e' || {side}_decimals AS REAL)")
}

fn usd() -> String {
    let dollars = format!("(X'{}', X'{}')", hex::encode(USDC.0), hex::encode(USDT.0));
    format!(
        "CASE WHEN quote IN {dollars} THEN CAST(quote_amount AS REAL) / 1e6
            WHEN base IN {dollars} THEN CAST(base_amount AS REAL) / 1e6
            ELSE coalesce(quote_usd, base_usd) END"
    )
}

/// Bytes of a length, a multiple of four, as base58. The number is cut into digits of 2³², kept as text of
/// ten figures each, and divided by 58⁵ again and again; each remainder gives five characters.
fn base58(bytes: &str, length: usize) -> String {
    let every: Vec<u8> = (0..=255).collect();
    let next = length + 1;
    format!(
        "(WITH RECURSIVE
            known (bytes, digits) AS (VALUES (X'{every}',
                '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz')),
            number (place, limbs) AS (
                VALUES (1, '')
                UNION ALL
                SELECT place + 4, limbs || printf('%010d',
                    (instr(known.bytes, substr({bytes}, place, 1)) - 1 << 24)
                    + (instr(known.bytes, substr({bytes}, place + 1, 1)) - 1 << 16)
                    + (instr(known.bytes, substr({bytes}, place + 2, 1)) - 1 << 8)
                    + instr(known.bytes, substr({bytes}, place + 3, 1)) - 1)
                FROM number, known WHERE place <= {length}),
            division (rest, done, remainder, text) AS (
                SELECT limbs, '', 0, '' FROM number WHERE place = {next} AND {bytes} IS NOT NULL
                UNION ALL
                SELECT
                    iif(rest <> '', substr(rest, 11), iif(done GLOB '0000000000*', substr(done, 11), done)),
                    iif(rest <> '', done || printf('%010d',
                        ((remainder << 32) + CAST(substr(rest, 1, 10) AS INTEGER)) / 656356768), ''),
                    iif(rest <> '', ((remainder << 32) + CAST(substr(rest, 1, 10) AS INTEGER)) % 656356768, 0),
                    iif(rest <> '', text, substr(digits, remainder / 11316496 + 1, 1)
                        || substr(digits, remainder / 195112 % 58 + 1, 1)
                        || substr(digits, remainder / 3364 % 58 + 1, 1)
                        || substr(digits, remainder / 58 % 58 + 1, 1)
                        || substr(digits, remainder % 58 + 1, 1) || text)
                FROM division, known WHERE rest <> '' OR done <> '')
            SELECT substr('{ones}', 1, (length(hex({bytes})) - length(ltrim(hex({bytes}), '0'))) / 2)
                || ltrim(text, '1')
            FROM division WHERE rest = '' AND done = '')",
        every = hex::encode(every),
        ones = "1".repeat(length),
    )
}
