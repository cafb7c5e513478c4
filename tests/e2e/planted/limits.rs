//! Limits that are reached are told with what helps.

use super::*;

#[tokio::test]
async fn a_redis_without_memory_is_told_with_the_setting_that_helps() {
    let redis = Redis::start().await;
    let () = redis
        .ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
        .await;
    let () = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let cluster = Sandbox::start(1).await.unwrap();
    let config = ranked(&cluster)
        .set("cache.enabled", true)
        .set("cache.redis", json!({ "url": redis.url() }));
    let gateway = Gateway::start(config).await;
    let full = "shared cache writes failing";
    let line = until("the warning", || async {
        let slot = cluster.cluster().clock.tip() - 300;
        gateway
            .rpc("getBlockTime", json!([chain::block_at_or_before(slot)]))
            .await;
        gateway.rpc("getGenesisHash", json!([])).await;
        said(&gateway, "WARN", full).into_iter().next()
    })
    .await;
    assert_eq!(line["failure"], "oom", "{line}");
    assert!(says(&line["cure"], "maxmemory"), "{line}");
    let trouble = gateway.status().await["shared_cache"]["trouble"].clone();
    assert!(says(&trouble, "maxmemory"), "{trouble}");
    assert_eq!(said(&gateway, "WARN", full).len(), 1);
}

#[tokio::test]
async fn connections_that_are_all_in_use_are_told_with_what_helps() {
    let scene = Scene::equals_with(1, |config| {
        let endpoint = config.get("upstreams").unwrap()[0].clone();
        let mut endpoint = endpoint.as_object().unwrap().clone();
        endpoint.insert("connections".to_owned(), json!(1));
        endpoint.insert("connections_ceiling".to_owned(), json!(1));
        config.set("upstreams", json!([endpoint]))
    })
    .await;
    scene.v(0).fault(on_reads(Kind::Hold));
    let calls = async {
        let reads = [scene.balance(), scene.balance(), scene.balance()];
        futures::future::join_all(reads).await
    };
    let told = async {
        let line = until_said(&scene.gateway, "WARN", "upstream connection limit reached").await;
        assert_eq!(line["upstream"], "v0", "{line}");
        let told = status_of(&scene.gateway, "v0").await;
        assert_eq!(told["saturated"], true, "{told}");
        assert_eq!(told["state"], "saturated", "{told}");
        scene.v(0).heal().unwrap();
    };
    let (replies, ()) = tokio::join!(calls, told);
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!(
        said(&scene.gateway, "WARN", "upstream connection limit reached").len(),
        1
    );
}

#[tokio::test]
async fn a_want_of_file_descriptors_is_an_error_that_names_the_limit() {
    let scene = Scene::equals_with(2, |config| config.set("retry.attempts", 2)).await;
    for validator in scene.cluster.validators() {
        // Each call needs a connection of its own, and so a descriptor.
        validator.fault(Kind::ConnectionClose);
    }
    scene.balance().await;
    let limit = |soft: u64| {
        let pid = scene.gateway.pid().to_string();
        let set = std::process::Command::new("prlimit")
            .args(["--pid", &pid, &format!("--nofile={soft}:")])
            .status();
        assert!(
            set.is_ok_and(|status| status.success()),
            "prlimit of util-linux"
        );
    };
    limit(4);
    let line = until("the error", || async {
        scene.balance().await;
        said(&scene.gateway, "ERROR", "out of file descriptors")
            .into_iter()
            .next()
    })
    .await;
    assert!(says(&line["message"], "ulimit -n"), "{line}");
    assert_eq!(line["fault"], "no-descriptors", "{line}");
    limit(1024);
    until("a call to be served again", || async {
        let reply = scene.balance().await;
        reply.json().get("result").is_some().then_some(())
    })
    .await;
    assert_eq!(
        said(&scene.gateway, "ERROR", "out of file descriptors").len(),
        1
    );
}
