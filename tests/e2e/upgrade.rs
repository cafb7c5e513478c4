//! Replacing the running binary: the new process takes the sockets over, nothing is refused.

use perijove_tests::client::{builder, call};
use perijove_tests::gateway::Gateway;
use perijove_tests::load::Load;
use perijove_tests::sandbox::{Fault, Sandbox};
use perijove_tests::wait::{PATIENCE, eventually};
use serde_json::json;

use crate::scene::{KEY, equals, on_reads};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_under_load_loses_nothing() {
    let cluster = Sandbox::start(2).await.unwrap();
    for validator in cluster.validators() {
        validator.fault(on_reads(Fault::slow(20)));
    }
    let config = equals(&cluster)
        .set("shutdown.grace", "30s")
        .set("shutdown.linger", "1s");
    let mut old = Gateway::start(config).await;
    let body = call("getBalance", &json!([KEY]));
    let kept = Load::start(&old.url(), 60, &body);
    let fresh = builder().pool_max_idle_per_host(0).build().unwrap();
    let fresh = Load::with_client(&fresh, &old.url(), 60, &body);
    eventually("some answers", || kept.ended() >= 60 && fresh.ended() >= 60).await;
    let new = old.upgrade().await;
    assert_ne!(new.pid(), old.pid());
    let status = old.process.wait(PATIENCE).await;
    assert!(status.success(), "{status}");
    let so_far = (kept.started(), fresh.started());
    eventually("answers of the new process", || {
        kept.started() >= so_far.0 + 60 && fresh.started() >= so_far.1 + 60
    })
    .await;
    let (kept, fresh) = (kept.stop().await, fresh.stop().await);
    eprintln!(
        "{} requests on kept and {} on fresh connections around the upgrade",
        kept.sent.len(),
        fresh.sent.len()
    );
    kept.assert_nothing_lost();
    fresh.assert_nothing_lost();
    assert_eq!(new.admin("/ready").await.status, 200);
}
