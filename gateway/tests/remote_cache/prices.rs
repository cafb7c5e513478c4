//! Prices: what ingest has written is read, what is no price is passed over, and many tokens are as
//! harmless as one.

use std::time::Duration;

use perijove_core::market::WSOL;
use perijove_core::redis::{Dollars, PREFIX, Stamp, Unreadable, open, price, seal};
use perijove_core::{Pubkey, Slot};
use perijove_gateway::cache::Lookup;
use perijove_gateway::config::{self, RedisMode};
use perijove_tests::redis::prices::dollars;
use perijove_tests::redis::{Cluster, Impostor, Manner, Redis};
use perijove_tests::wait::{eventually, until};

use crate::scene::{Scene, among, at, balance, key};

const NOW: Duration = Duration::ZERO;

fn token(number: u8) -> Pubkey {
    Pubkey([number; 32])
}

fn tokens(count: u8) -> Vec<Pubkey> {
    (0..count).map(token).collect()
}

impl Scene {
    /// Lookups of prices that failed for this reason.
    fn price_failed(&self, kind: &str) -> u64 {
        let labels = [("operation", "price"), ("kind", kind)];
        self.count("perijove_redis_errors_total", &labels)
    }

    fn turns(&self) -> u64 {
        self.count("perijove_redis_lookup_duration_seconds_count", &[])
    }
}

#[tokio::test]
async fn what_ingest_has_written_is_read_in_the_order_asked_for() {
    let redis = Redis::start().await;
    let scene = Scene::connected(&at(&redis.url())).await;
    redis.priced(WSOL, dollars(147.25), NOW).await;
    redis.priced(token(1), dollars(0.5), NOW).await;
    let found = scene.remote.prices(&[token(1), token(2), WSOL]).await;
    let prices: Vec<_> = found
        .iter()
        .map(|found| found.as_ref().map(|price| price.usd))
        .collect();
    assert_eq!(prices, [Ok(0.5), Err(&Lookup::Miss), Ok(147.25)]);
    assert_eq!(scene.turns(), 1);
    // The later price is the one that is told.
    let mut later = dollars(148.0);
    later.slot = Slot(373_000_001);
    redis.priced(WSOL, later, NOW).await;
    let found = scene.remote.prices(&[WSOL]).await;
    assert!((found[0].unwrap().usd - 148.0).abs() < f64::EPSILON);
    assert_eq!(found[0].unwrap().slot, later.slot);
}

#[tokio::test]
async fn what_is_no_price_is_passed_over() {
    let redis = Redis::start().await;
    let scene = Scene::connected(&at(&redis.url())).await;
    let name = price(WSOL);
    let stamp = Stamp {
        slot: Slot(1),
        written: 1,
    };
    let good = dollars(147.25).encode();
    let sealed = |body: &[u8]| seal(&name, stamp, body, usize::MAX).unwrap();
    let mut version = sealed(&good);
    version[2] = 3;
    let mut bit = sealed(&good);
    bit[40] ^= 1;
    // A price of nothing, with a right checksum.
    let mut zero = good.clone();
    zero[1..9].fill(0);
    let endless = vec![b'x'; 10_000_000];
    let bad: [(&str, Vec<u8>); 9] = [
        ("text", b"147.25".to_vec()),
        (
            "another header",
            b"PJ\x02 long enough for a header, but not one of ours".to_vec(),
        ),
        ("a later version", version),
        ("a flipped bit", bit),
        ("nothing", sealed(b"")),
        ("cut", sealed(&good[..good.len() - 1])),
        ("a price of zero", sealed(&zero)),
        ("far too long", sealed(&[&good[..], &endless].concat())),
        (
            "another key's",
            seal("pj:v1:price:x", stamp, &good, 9999).unwrap(),
        ),
    ];
    for (number, (what, value)) in (1..).zip(&bad) {
        redis.ask::<()>(&["SET", &name, "x"]).await;
        redis.spoil(&name, value).await;
        let found = scene.remote.prices(&[WSOL]).await;
        assert_eq!(found, [Err(Lookup::Error)], "{what}");
        assert_eq!(scene.price_failed("decode"), number, "{what}");
    }
    assert_eq!(open(&name, &bad[2].1, 4096), Err(Unreadable::Version));
    // Another type under the name is an error of the server's; it is no reason to doubt it.
    redis.ask::<()>(&["DEL", &name]).await;
    redis.ask::<()>(&["HSET", &name, "a", "b"]).await;
    for _ in 0..10 {
        assert_eq!(scene.remote.prices(&[WSOL]).await, [Err(Lookup::Error)]);
    }
    assert_eq!(scene.remote.status().breaker, "closed");
    // A later version's body goes on behind what is known.
    redis.ask::<()>(&["DEL", &name]).await;
    let longer = sealed(&[&good[..], b"and more"].concat());
    redis.ask::<()>(&["SET", &name, "x"]).await;
    redis.spoil(&name, &longer).await;
    assert_eq!(
        scene.remote.prices(&[WSOL]).await,
        [Ok(Dollars::decode(&good).unwrap())]
    );
}

#[tokio::test]
async fn one_request_for_many_tokens_counts_once() {
    let redis = Redis::start().await;
    let settings = config::Redis {
        deadline: Duration::from_millis(200),
        concurrency: 1,
        ..at(&redis.url())
    };
    let scene = Scene::connected(&settings).await;
    // A single place is enough for all of them.
    let found = scene.remote.prices(&tokens(50)).await;
    assert_eq!(found, [Err(Lookup::Miss); 50]);
    // Two at once are one too many.
    let all = tokens(50);
    let (one, other) = tokio::join!(scene.remote.prices(&all), scene.remote.prices(&all));
    assert_eq!(one, [Err(Lookup::Miss); 50]);
    assert_eq!(other, [Err(Lookup::Error); 50]);
    assert_eq!(scene.price_failed("busy"), 1);
    redis.pause();
    let found = scene.remote.prices(&tokens(50)).await;
    assert_eq!(found, [Err(Lookup::Slow); 50]);
    // Fifty that did not come are one failure, of five that are needed.
    assert_eq!(scene.remote.status().breaker, "closed");
    redis.resume();
    until("prices to be looked up again", || async {
        (scene.remote.prices(&tokens(2)).await == [Err(Lookup::Miss); 2]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_hangs_is_left_alone_by_prices_as_by_answers() {
    let redis = Redis::start().await;
    let mut settings = config::Redis {
        deadline: Duration::from_millis(100),
        ..at(&redis.url())
    };
    settings.breaker.open = Duration::from_mins(10);
    let scene = Scene::connected(&settings).await;
    redis.pause();
    let mut slow = 0;
    for _ in 0..50 {
        let found = scene.remote.prices(&tokens(3)).await;
        slow += u64::from(found == [Err(Lookup::Slow); 3]);
        assert!(found.iter().all(Result::is_err));
    }
    assert_eq!(slow, 5);
    assert_eq!(scene.remote.status().breaker, "open");
    redis.resume();
}

#[tokio::test]
async fn servers_that_are_none_give_no_prices() {
    for manner in [
        Manner::Foreign,
        Manner::HangsUp,
        Manner::Silent,
        Manner::Endless,
        Manner::Number,
        Manner::Countless,
    ] {
        let impostor = Impostor::start(manner).await;
        let settings = config::Redis {
            deadline: Duration::from_millis(200),
            connect: Duration::from_millis(500),
            ..at(&impostor.url())
        };
        let scene = Scene::start(&settings);
        for _ in 0..10 {
            let found = scene.remote.prices(&tokens(3)).await;
            assert!(found.iter().all(Result::is_err), "{manner:?}: {found:?}");
        }
    }
}

#[tokio::test]
async fn a_user_who_may_not_read_prices_still_shares_answers() {
    let redis = Redis::start().await;
    let answers = format!("~{PREFIX}answer:*");
    redis
        .ask::<()>(&[
            "ACL", "SETUSER", "gateway", "on", ">sesame", "+@all", &answers,
        ])
        .await;
    let settings = config::Redis {
        username: Some("gateway".to_owned().into()),
        password: Some("sesame".to_owned().into()),
        ..at(&redis.url())
    };
    let scene = Scene::connected(&settings).await;
    scene.store(key(1), &balance(1)).await;
    for _ in 0..20 {
        let found = scene.remote.prices(&tokens(3)).await;
        assert_eq!(found, [Err(Lookup::Error); 3]);
    }
    assert_eq!(scene.price_failed("refused"), 60);
    assert_eq!(scene.remote.status().breaker, "closed");
    assert_eq!(scene.get(key(1)).await, Some(balance(1)));
}

#[tokio::test]
async fn in_a_cluster_the_prices_of_servers_that_are_well_are_told() {
    let cluster = Cluster::start().await;
    let settings = config::Redis {
        deadline: Duration::from_millis(500),
        ..among(&cluster.urls(), RedisMode::Cluster)
    };
    let scene = Scene::start(&settings);
    eventually("a connection", || scene.remote.status().connections > 0).await;
    let mut places = Vec::new();
    for token in tokens(12) {
        places.push(cluster.priced(token, &dollars(1.0)).await);
    }
    assert!((0..3).all(|master| places.contains(&master)), "{places:?}");
    let all = tokens(12);
    until("all to be found", || async {
        let found = scene.remote.prices(&all).await;
        found.iter().all(Result::is_ok).then_some(())
    })
    .await;
    // One without a replica hangs: its own are missing, the others are not, and nobody is blamed.
    cluster.node(2).pause();
    let found = scene.remote.prices(&all).await;
    for (place, found) in places.iter().zip(&found) {
        assert_eq!(found.is_ok(), *place != 2, "{place}: {found:?}");
    }
    assert_eq!(scene.remote.status().breaker, "closed");
    cluster.node(2).resume();
}
