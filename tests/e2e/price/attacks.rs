//! Requests and values that nobody well-meaning makes.

use perijove_core::Pubkey;
use perijove_core::redis::price;
use perijove_tests::redis::prices::dollars;
use serde_json::json;

use super::scene::{Market, TOKEN, ago};

#[tokio::test]
async fn what_names_no_tokens_is_refused_without_a_look_into_redis() {
    let market = Market::open().await;
    let many = |count: u8| {
        let ids = (0..count).map(|number| Pubkey([number; 32]).to_string());
        ids.collect::<Vec<_>>().join(",")
    };
    let missing = "Query parameter ids is missing";
    let too_many = "Query parameter ids holds more than 50 ids";
    let no_address = |place| {
        format!("Query parameter ids cannot be parsed: id {place} is not the address of a mint")
    };
    for (query, told) in [
        (String::new(), missing.to_owned()),
        ("ids=".to_owned(), missing.to_owned()),
        ("ids=,,,".to_owned(), missing.to_owned()),
        (format!("Ids={TOKEN}"), missing.to_owned()),
        ("ids=SOL".to_owned(), no_address(1)),
        (format!("ids={TOKEN},{TOKEN}x"), no_address(2)),
        (format!("ids={TOKEN}%0d%0aset-cookie:%20a=b"), no_address(1)),
        ("ids=%00%01%1b%7f%ff%fe".to_owned(), no_address(1)),
        ("ids=<script>alert(1)</script>".to_owned(), no_address(1)),
        ("ids=pj:v1:lane:*".to_owned(), no_address(1)),
        (format!("ids={}", many(51)), too_many.to_owned()),
        (
            format!("ids={}", vec![TOKEN.to_string(); 51].join(",")),
            too_many.to_owned(),
        ),
        (format!("ids={TOKEN}&").repeat(51), too_many.to_owned()),
        (
            format!("ids={}", vec![TOKEN.to_string(); 1_400].join(",")),
            too_many.to_owned(),
        ),
    ] {
        let reply = market.query(&query).await;
        let start: String = query.chars().take(80).collect();
        assert_eq!(reply.status, 400, "{start}");
        assert_eq!(reply.json(), json!({ "error": told }), "{start}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("set-cookie"), None);
        assert_eq!(reply.header("x-perijove-source"), None);
    }
    assert_eq!(market.redis.calls("getrange").await, 0);
    // Fifty are served, in one turn.
    let reply = market.query(&format!("ids={}", many(50))).await;
    assert_eq!((reply.status, reply.json()), (200, json!({})));
    assert_eq!(market.redis.calls("getrange").await, 50);
    assert_eq!(
        market
            .sum("perijove_redis_lookup_duration_seconds_count", &[])
            .await,
        1
    );
    market.asked_nobody().await;
}

#[tokio::test]
async fn a_list_longer_than_any_address_may_be_is_refused_as_it_comes() {
    let market = Market::open().await;
    let mut raw = market.gateway.raw().await;
    let ids = vec![TOKEN.to_string(); 10_000].join(",");
    raw.send(format!(
        "GET /price/v3?ids={ids} HTTP/1.1\r\nhost: a\r\n\r\n"
    ))
    .await;
    assert_eq!(raw.reply().await.unwrap().status, 431);
    assert!(raw.closed().await.is_empty());
    assert_eq!(market.redis.calls("getrange").await, 0);
    assert_eq!(market.prices(&[TOKEN]).await.status, 200);
}

#[tokio::test]
async fn queries_are_read_however_they_are_spelt() {
    let market = Market::open().await;
    market.redis.priced(TOKEN, dollars(2.5), ago(0)).await;
    let spelt = TOKEN
        .to_string()
        .bytes()
        .fold(String::new(), |text, byte| text + &format!("%{byte:02x}"));
    for query in [
        format!("ids={spelt}"),
        format!("i%64s=%20{TOKEN}+%2C"),
        format!("ids={TOKEN},{TOKEN}"),
        format!("ids={TOKEN}&ids={TOKEN}&vsToken=x&showExtraInfo=true"),
        format!("&&=&x&ids={TOKEN}&ids"),
    ] {
        let reply = market.query(&query).await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.text());
        let told = reply.json();
        assert_eq!(told.as_object().unwrap().len(), 1, "{query}");
        assert_eq!(told[TOKEN.to_string()]["usdPrice"], 2.5, "{query}");
        assert_eq!(reply.text().matches("usdPrice").count(), 1, "{query}");
    }
}

#[tokio::test]
async fn values_that_are_no_prices_are_left_out() {
    let market = Market::open().await;
    market.redis.priced(TOKEN, dollars(2.5), ago(0)).await;
    let good = market.redis.value(&price(TOKEN)).await;
    let mut later = good.clone();
    later[2] = 9;
    let mut flipped = good.clone();
    flipped[60] ^= 0x40;
    for (what, value) in [
        ("nothing", Vec::new()),
        ("text", b"2.5".to_vec()),
        ("JSON", br#"{"usdPrice":2.5}"#.to_vec()),
        ("a later version", later),
        ("a flipped bit", flipped),
        ("half of it", good[..good.len() / 2].to_vec()),
        ("a great deal", vec![b'P'; 20_000_000]),
    ] {
        market.redis.spoil(&price(TOKEN), &value).await;
        let reply = market.prices(&[TOKEN]).await;
        assert_eq!((reply.status, reply.json()), (200, json!({})), "{what}");
    }
    // The price of one token is not that of another.
    let other = Pubkey([78; 32]);
    market.redis.priced(other, dollars(1.0), ago(0)).await;
    market.redis.spoil(&price(other), &good).await;
    assert_eq!(market.prices(&[other]).await.json(), json!({}));
    // And it is told again as soon as it is well.
    market.redis.spoil(&price(TOKEN), &good).await;
    assert_eq!(market.prices(&[TOKEN]).await.cache(), "hit");
}

#[tokio::test]
async fn times_and_prices_beyond_all_reason_are_left_out() {
    let market = Market::open().await;
    let now = market.redis.now().await;
    for time in [i64::MIN, -1, 0, now - 3_600_000, now + 3_600_000, i64::MAX] {
        let price_then = perijove_core::redis::Dollars {
            since: time,
            ..dollars(2.5)
        };
        market.redis.ask::<()>(&["DEL", &price(TOKEN)]).await;
        market.redis.write_price(TOKEN, &price_then).await.unwrap();
        let reply = market.prices(&[TOKEN]).await;
        assert_eq!((reply.status, reply.json()), (200, json!({})), "{time}");
    }
    assert_eq!(market.told("stale").await, 6);
}

#[tokio::test]
async fn a_body_is_not_taken_for_the_next_request() {
    let market = Market::open().await;
    let hidden = "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: \
                  40\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"getSlot\"}";
    let mut raw = market.gateway.raw().await;
    raw.send(format!(
        "GET /price/v3?ids={TOKEN} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{hidden}",
        hidden.len()
    ))
    .await;
    assert_eq!(raw.reply().await.unwrap().status, 200);
    raw.send(format!(
        "GET /price/v3?ids={TOKEN}x HTTP/1.1\r\nhost: a\r\n\r\n"
    ))
    .await;
    assert_eq!(raw.reply().await.unwrap().status, 400);
    market.asked_nobody().await;
}

#[tokio::test]
async fn other_methods_and_paths_are_what_they_were() {
    let market = Market::open().await;
    let url = market.url(&[TOKEN]);
    let client = market.gateway.client();
    // A call may be posted to any path.
    let call = client
        .post(&url)
        .header("content-type", "application/json")
        .body(r#"{"jsonrpc":"2.0","id":1,"method":"getSlot"}"#);
    assert!(market.gateway.send(call).await.result().is_u64());
    for request in [client.put(&url), client.delete(&url)] {
        assert_eq!(market.gateway.send(request).await.status, 405);
    }
    for path in ["price", "price/v2", "price/v33", "price%2Fv3", "PRICE/V3"] {
        let url = format!("{}{path}?ids={TOKEN}", market.gateway.url());
        assert_eq!(market.get(&url).await.status, 405, "{path}");
    }
    assert_eq!(market.redis.calls("getrange").await, 0);
    // The head alone is asked for as the whole is.
    let head = market.gateway.send(client.head(&url)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("x-perijove-source"), Some("ingest"));
}
