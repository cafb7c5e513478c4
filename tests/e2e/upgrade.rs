//! Replacing the running binary: the new process takes the sockets over, nothing is refused.

use perijove_tests::client::{builder, call};
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use perijove_tests::gateway::{Gateway, Process};
use perijove_tests::load::Load;
use perijove_tests::sandbox::{Fault, Sandbox};
use perijove_tests::wait::{PATIENCE, eventually};
use serde_json::json;
use tokio::process::Command;

use crate::scene::{KEY, equals, on_reads};

#[tokio::test]
async fn without_a_successor_the_gateway_serves_on_and_says_so() {
    let cluster = Sandbox::start(1).await.unwrap();
    let mut gateway = Gateway::start(equals(&cluster)).await;
    gateway.process.signal("QUIT");
    eventually("it to say that nobody came", || {
        let log = gateway.process.log();
        log.iter()
            .any(|line| line.contains("socket handover failed"))
    })
    .await;
    assert!(gateway.process.ended().is_none());
    let reply = gateway.rpc("getBalance", json!([KEY])).await;
    assert!(reply.json()["result"]["value"].is_u64(), "{}", reply.text());
    // A second try finds the successor that is there by then.
    let new = gateway.upgrade().await;
    assert!(gateway.process.wait(PATIENCE).await.success());
    let reply = new.rpc("getBalance", json!([KEY])).await;
    assert!(reply.json()["result"]["value"].is_u64(), "{}", reply.text());
}

#[tokio::test]
async fn a_successor_does_not_wait_where_others_could_reach_its_socket() {
    let cluster = Sandbox::start(1).await.unwrap();
    let gateway = Gateway::start(equals(&cluster)).await;
    let open = tempfile::tempdir().unwrap();
    std::fs::set_permissions(open.path(), Permissions::from_mode(0o777)).unwrap();
    let socket = open.path().join("upgrade.sock").display().to_string();
    let file = open.path().join("gateway.yaml");
    let config = equals(&cluster).set("runtime.upgrade_socket", socket);
    std::fs::write(&file, config.text()).unwrap();
    let mut successor = Process::run(&file, &["--upgrade"]);
    let status = successor.wait(PATIENCE).await;
    assert_eq!(status.code(), Some(1));
    assert!(gateway.rpc("getBalance", json!([KEY])).await.json()["result"].is_object());
}

/// Connects to the socket, and ends well once the other side has closed it without a word. In Perl,
/// which every user of a system can run.
const CONNECT: &str = "
use IO::Socket::UNIX;
my $peer = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die $!;
alarm 60;
exit sysread($peer, my $byte, 1);
";

#[tokio::test]
async fn a_process_of_another_user_is_refused_and_the_successor_waits_on() {
    let cluster = Sandbox::start(1).await.unwrap();
    let mut old = Gateway::start(equals(&cluster)).await;
    let successor = old.successor().await;
    // As an operator might have opened it, so that permissions alone keep nobody away.
    let socket = old.upgrade_socket();
    let folder = socket.parent().unwrap();
    std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&socket, Permissions::from_mode(0o777)).unwrap();
    let status = as_another_user()
        .args(["perl", "-e", CONNECT])
        .arg(&socket)
        .status()
        .await
        .unwrap_or_else(|error| panic!("{error}: apt-get install util-linux sudo perl"));
    assert!(status.success(), "{status}");
    eventually("the refusal to be logged", || {
        let log = successor.log();
        log.iter()
            .any(|line| line.contains("socket handover refused") && line.contains("65534"))
    })
    .await;
    let new = old.hand_over_to(successor).await;
    assert!(old.process.wait(PATIENCE).await.success());
    assert!(new.rpc("getBalance", json!([KEY])).await.json()["result"].is_object());
}

/// A command that runs another as `nobody`. Only root may do that by itself.
fn as_another_user() -> Command {
    let setpriv = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = if is_root {
        Command::new(setpriv[0])
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", setpriv[0]]);
        sudo
    };
    command.args(&setpriv[1..]);
    command
}

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
