//! How Redis may stand: behind TLS, with a login, behind Sentinel, as a Cluster.

use std::path::PathBuf;
use std::time::Duration;

use perijove_core::Secret;
use perijove_gateway::config::{self, RedisMode};
use perijove_tests::redis::{Cluster, Redis, Sentinel, Settings};
use perijove_tests::tls::Identity;
use perijove_tests::wait::{eventually, until};

use crate::scene::{Scene, among, at, balance, key};

/// Tries again soon.
fn eager(settings: config::Redis) -> config::Redis {
    config::Redis {
        deadline: Duration::from_millis(500),
        connect: Duration::from_secs(1),
        breaker: config::RedisBreakerSettings {
            failures: 5,
            open: Duration::from_millis(200),
        },
        ..settings
    }
}

/// Waits until it is said that there is no connection, for a reason with this word.
async fn trouble(settings: &config::Redis, word: &str) -> String {
    let scene = Scene::start(settings);
    let trouble = until(&format!("trouble with {word}"), || async {
        let told = scene.remote.status().trouble;
        told.filter(|told| told.contains(word))
    })
    .await;
    assert_eq!(scene.get(key(1)).await, None);
    assert_eq!(scene.failed("down"), 1);
    trouble
}

#[tokio::test]
async fn over_tls_the_right_certificate_is_asked_for() {
    let identity = Identity::of("localhost");
    let redis = Redis::secured(&identity).await;
    let trusting = |ca: Option<PathBuf>| config::Redis {
        ca,
        ..eager(at(&redis.url()))
    };
    let scene = Scene::connected(&trusting(Some(identity.certificate_file()))).await;
    scene.store(key(1), &balance(1)).await;
    assert_eq!(scene.get(key(1)).await, Some(balance(1)));
    let other = Identity::of("localhost");
    for ca in [None, Some(other.certificate_file())] {
        trouble(&trusting(ca), "certificate").await;
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let identity = Identity::of("elsewhere.example");
    let redis = Redis::secured(&identity).await;
    let settings = config::Redis {
        ca: Some(identity.certificate_file()),
        ..eager(at(&redis.url()))
    };
    trouble(&settings, "certificate").await;
}

#[tokio::test]
async fn the_password_may_stand_in_the_url_or_beside_it() {
    let redis = Redis::guarded("hunter2").await;
    let bare = format!("redis://localhost:{}", redis.port());
    let beside = config::Redis {
        password: Some(Secret::new("hunter2")),
        ..at(&bare)
    };
    for settings in [at(&redis.url()), beside] {
        let scene = Scene::connected(&settings).await;
        scene.store(key(1), &balance(1)).await;
        assert_eq!(scene.get(key(1)).await, Some(balance(1)));
    }
}

#[tokio::test]
async fn a_user_needs_no_more_than_this() {
    let redis = Redis::start().await;
    redis
        .ask::<()>(&[
            "ACL",
            "SETUSER",
            "gateway",
            "on",
            ">hunter2",
            "~pj:v1:*",
            "+getrange",
            "+set",
            "+eval",
            "+evalsha",
            "+ping",
        ])
        .await;
    let settings = config::Redis {
        username: Some(Secret::new("gateway")),
        password: Some(Secret::new("hunter2")),
        ..at(&redis.url())
    };
    let scene = Scene::connected(&settings).await;
    scene.store(key(1), &balance(1)).await;
    assert_eq!(scene.get(key(1)).await, Some(balance(1)));
}

#[tokio::test]
async fn a_wrong_password_is_told_without_showing_it_and_tried_again() {
    let redis = Redis::guarded("hunter2").await;
    for password in [None, Some(Secret::new("guess-who"))] {
        let settings = config::Redis {
            password,
            ..eager(at(&format!("redis://localhost:{}", redis.port())))
        };
        let told = trouble(&settings, "login").await;
        assert!(!told.contains("guess-who"), "{told}");
    }
    let settings = config::Redis {
        password: Some(Secret::new("guess-who")),
        ..eager(at(&format!("redis://localhost:{}", redis.port())))
    };
    let scene = Scene::start(&settings);
    eventually("the trouble to be told", || {
        scene.remote.status().trouble.is_some()
    })
    .await;
    // The operator sets it right where it was wrong.
    redis
        .ask::<()>(&["ACL", "SETUSER", "default", ">guess-who"])
        .await;
    scene.wait_connected().await;
    assert_eq!(scene.remote.status().trouble, None);
}

#[tokio::test]
async fn the_number_in_the_url_is_the_database() {
    let redis = Redis::start().await;
    let second = Scene::connected(&at(&format!("{}/2", redis.url()))).await;
    second.store(key(1), &balance(1)).await;
    let first = Scene::connected(&at(&redis.url())).await;
    assert_eq!(first.get(key(1)).await, None);
    assert_eq!(second.get(key(1)).await, Some(balance(1)));
}

#[tokio::test]
async fn when_the_master_dies_the_one_that_sentinel_names_is_used() {
    let mut servers = Sentinel::start().await;
    let settings = config::Redis {
        master: Some(servers.name().to_owned()),
        ..eager(among(&[servers.url()], RedisMode::Sentinel))
    };
    let scene = Scene::connected(&settings).await;
    scene.store(key(1), &balance(1)).await;
    assert_eq!(servers.master.keys().await.len(), 1);
    servers.master.kill().await;
    scene.until_kept(key(2), &balance(2)).await;
    let names = servers.replica.keys().await;
    assert!(names.contains(&crate::scene::name(key(2))), "{names:?}");
}

#[tokio::test]
async fn when_the_master_changes_while_it_lives_the_new_one_is_used() {
    let servers = Sentinel::start().await;
    let settings = config::Redis {
        master: Some(servers.name().to_owned()),
        ..eager(among(&[servers.url()], RedisMode::Sentinel))
    };
    let scene = Scene::connected(&settings).await;
    scene.store(key(1), &balance(1)).await;
    servers.fail_over().await;
    until("the new master to be written to", || async {
        scene.until_kept(key(2), &balance(2)).await;
        let names = servers.replica.keys().await;
        names.contains(&crate::scene::name(key(2))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn sentinel_and_servers_may_have_passwords_of_their_own() {
    let mut servers = Sentinel::guarded(Some("hunter2"), Some("watchman")).await;
    let settings = config::Redis {
        master: Some(servers.name().to_owned()),
        password: Some(Secret::new("hunter2")),
        ..eager(among(&[servers.url()], RedisMode::Sentinel))
    };
    let scene = Scene::connected(&settings).await;
    scene.store(key(1), &balance(1)).await;
    servers.master.kill().await;
    scene.until_kept(key(2), &balance(2)).await;
    let bare = config::Redis {
        password: None,
        ..settings
    };
    trouble(&bare, "login").await;
}

#[tokio::test]
async fn a_sentinel_that_does_not_know_the_name_is_told_of() {
    let servers = Sentinel::start().await;
    let settings = config::Redis {
        master: Some("questions".to_owned()),
        ..eager(among(&[servers.url()], RedisMode::Sentinel))
    };
    trouble(&settings, "name not found").await;
}

#[tokio::test]
async fn a_cluster_keeps_answers_on_all_its_nodes() {
    let cluster = Cluster::start().await;
    let settings = eager(among(&cluster.urls()[..1], RedisMode::Cluster));
    let scene = Scene::connected(&settings).await;
    for number in 0..30 {
        scene.store(key(number), &balance(number)).await;
    }
    let keys: Vec<_> = (0..30).map(key).collect();
    let found = scene.remote.get_many(&keys).await;
    for (number, entry) in (0..).zip(found) {
        assert_eq!(entry, Ok(balance(number)));
    }
    for index in 0..3 {
        assert!(!cluster.node(index).keys().await.is_empty(), "{index}");
    }
    // A node each has to learn the script, no more.
    let mut taught = 0;
    for index in 0..3 {
        taught += cluster.node(index).calls("eval").await;
    }
    assert_eq!(taught, 3);
}

#[tokio::test]
async fn a_cluster_may_have_a_password_and_speak_tls() {
    // The nodes know each other by address.
    let identity = Identity::for_all(&["localhost", "127.0.0.1"]);
    let cluster = Cluster::with(Settings {
        password: Some("hunter2"),
        identity: Some(&identity),
        ..Settings::default()
    })
    .await;
    let settings = config::Redis {
        ca: Some(identity.certificate_file()),
        ..eager(among(&cluster.urls()[..1], RedisMode::Cluster))
    };
    let scene = Scene::connected(&settings).await;
    for number in 0..10 {
        scene.store(key(number), &balance(number)).await;
        assert_eq!(scene.get(key(number)).await, Some(balance(number)));
    }
    let other = Identity::of("localhost");
    let mut stranger = settings.clone();
    stranger.ca = Some(other.certificate_file());
    trouble(&stranger, "certificate").await;
    let mut bare = settings;
    let open = format!("rediss://localhost:{}", cluster.node(0).port());
    bare.urls = vec![config::RedisUrl::parse(&open).unwrap()];
    trouble(&bare, "login").await;
}

/// A number whose key is on the first node.
async fn on_the_first(cluster: &Cluster) -> u64 {
    for number in 0..100 {
        let name = crate::scene::name(key(number));
        let slot: u64 = cluster.node(0).ask(&["CLUSTER", "KEYSLOT", &name]).await;
        if slot < 16_384 / 3 {
            return number;
        }
    }
    panic!("no key of a hundred is on the first node");
}

#[tokio::test]
async fn when_a_master_of_a_cluster_dies_its_replica_is_used() {
    let mut cluster = Cluster::start().await;
    let settings = eager(among(&cluster.urls(), RedisMode::Cluster));
    let scene = Scene::connected(&settings).await;
    let number = on_the_first(&cluster).await;
    scene.store(key(number), &balance(1)).await;
    cluster.nodes[0].kill().await;
    scene.until_kept(key(number), &balance(2)).await;
    let names = cluster.node(3).keys().await;
    assert!(
        names.contains(&crate::scene::name(key(number))),
        "{names:?}"
    );
}

#[tokio::test]
async fn when_a_master_of_a_cluster_hangs_its_replica_is_used() {
    let cluster = Cluster::start().await;
    let settings = eager(among(&cluster.urls(), RedisMode::Cluster));
    let scene = Scene::connected(&settings).await;
    let number = on_the_first(&cluster).await;
    scene.store(key(number), &balance(1)).await;
    cluster.node(0).pause();
    scene.until_kept(key(number), &balance(2)).await;
    let names = cluster.node(3).keys().await;
    assert!(
        names.contains(&crate::scene::name(key(number))),
        "{names:?}"
    );
    cluster.node(0).resume();
}

#[tokio::test]
async fn a_cluster_that_is_gone_altogether_is_found_again() {
    let mut cluster = Cluster::start().await;
    let settings = eager(among(&cluster.urls(), RedisMode::Cluster));
    let scene = Scene::connected(&settings).await;
    for node in &mut cluster.nodes {
        node.kill().await;
    }
    until("lookups to end without being sent", || async {
        let before = scene.failed("down");
        assert_eq!(scene.get(key(1)).await, None);
        (scene.failed("down") > before).then_some(())
    })
    .await;
    for node in &mut cluster.nodes {
        node.restart().await;
    }
    scene.until_kept(key(1), &balance(1)).await;
}
