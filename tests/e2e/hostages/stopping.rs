//! A stop waits for none of them.

use perijove_tests::wait::PATIENCE;

use super::line::{ALL, Stage, WIDE, Way};

const UNSENT: &str = "perijove_http_unsent_bytes";

/// Ends while one who waited for the end of the grace period would fail the test.
async fn ends(mut stage: Stage) {
    stage.gateway.sigterm();
    let status = stage.gateway.process.wait(PATIENCE).await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_read_nothing_are_not_waited_for() {
    for (way, window) in [
        (Way::Http1, 0),
        (Way::Http2, 0),
        (Way::Http2, WIDE),
        (Way::TlsHttp1, 0),
        (Way::TlsHttp2, 0),
        (Way::TlsHttp2, WIDE),
    ] {
        let stage = Stage::with(|config| config).await;
        let line = stage.greedy(way, window).await;
        stage.until(UNSENT, &[], |bytes| bytes > 0.0).await;
        ends(stage).await;
        drop(line);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_hardly_read_are_not_waited_for() {
    for way in ALL {
        let stage = Stage::with(|config| config).await;
        let line = stage.greedy(way, 0).await;
        stage.until(UNSENT, &[], |bytes| bytes > 0.0).await;
        let trickle = tokio::spawn(line.trickle());
        ends(stage).await;
        trickle.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_go_on_are_not_waited_for() {
    for way in ALL {
        let stage = Stage::with(|config| config).await;
        let mut line = stage.begin(way, 65_535).await;
        line.ask_in_part("{", 100).await;
        let in_flight = "perijove_http_in_flight";
        stage.until(in_flight, &[], |requests| requests > 0.0).await;
        ends(stage).await;
        drop(line);
    }
}
