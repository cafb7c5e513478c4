//! Clients that ask and do not read, or hardly.

use std::time::Duration;

use perijove_tests::client::call;
use serde_json::json;

use super::line::{ALL, Stage, WIDE, Way, pad};

const STALLED: &str = "perijove_http_client_stalled_total";
const UNSENT: &str = "perijove_http_unsent_bytes";
const CUT: &str = "perijove_connections_cut_total";
const REFUSED: &str = "perijove_http_refused_total";

async fn quick() -> Stage {
    Stage::with(|config| config.set("limits.write_timeout", "1s")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_nothing_of_whole_answers_is_let_go() {
    for way in ALL {
        let stage = quick().await;
        let line = stage.greedy(way, 0).await;
        stage.until(UNSENT, &[], |bytes| bytes > 0.0).await;
        stage.serves().await;
        stage.until(STALLED, &[], |requests| requests > 0.0).await;
        stage.until_free().await;
        assert!(!stage.told("client_stalled").is_empty(), "{way:?}");
        drop(line);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_hardly_reads_is_let_go() {
    for way in ALL {
        let stage = quick().await;
        let line = stage.greedy(way, 0).await;
        let trickle = tokio::spawn(line.trickle());
        stage.until(STALLED, &[], |requests| requests > 0.0).await;
        stage.until_free().await;
        trickle.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_everything_in_http_2_and_nothing_of_the_connection_is_let_go() {
    for way in [Way::Http2, Way::TlsHttp2] {
        let stage = Stage::with(|config| {
            config
                .set("limits.write_timeout", "1s")
                .set("listen.keepalive", "1s")
        })
        .await;
        let line = stage.greedy(way, WIDE).await;
        // It is cut, unless each of its answers has been given up by then.
        perijove_tests::wait::until("the client to be let go", || async {
            let cut = stage.count(CUT, &[("cause", "stalled")]).await;
            let stalled = stage.count(STALLED, &[]).await;
            (cut + stalled > 0).then_some(())
        })
        .await;
        stage.until_free().await;
        assert!(!line.closed().await.is_empty(), "{way:?}");
        stage.serves().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_that_keeps_pace_gets_all_of_its_answer() {
    // Far longer in all than it may take for one piece.
    let stage = Stage::with(|config| config.set("limits.write_timeout", "3s")).await;
    for way in ALL {
        let mut line = stage.begin(way, WIDE).await;
        let body = call("sandboxPad", &json!([{ "bytes": 12_000_000 }]));
        line.ask(&body).await;
        line.reads_at_pace("\"id\":", Duration::from_millis(30))
            .await;
    }
    assert_eq!(stage.count(STALLED, &[]).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_with_too_much_unsent_gets_no_further_answers() {
    for way in [Way::Http2, Way::TlsHttp2] {
        let stage = Stage::with(|config| config.set("limits.unsent_per_connection", "1MiB")).await;
        let line = stage.greedy(way, 0).await;
        let label = [("reason", "too_much_unsent")];
        stage.until(REFUSED, &label, |refused| refused > 0.0).await;
        let unsent = stage.metric(UNSENT, &[]).await;
        assert!(unsent <= 1024.0 * 1024.0, "{way:?}: {unsent}");
        stage.serves().await;
        drop(line);
        stage.until_free().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_answers_that_nobody_reads_count_too() {
    for way in [Way::Http2, Way::TlsHttp2] {
        let stage = Stage::with(|config| config).await;
        let mut line = stage.begin(way, 0).await;
        let body = call("sandboxPad", &json!([{ "bytes": 2_000 }]));
        for _ in 0..80 {
            line.ask(&body).await;
        }
        let all = 80.0 * 2_000.0;
        stage.until(UNSENT, &[], |bytes| bytes >= all).await;
        drop(line);
        stage.until_free().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_too_much_is_unsent_the_slowest_connections_are_cut() {
    for way in ALL {
        let stage = Stage::with(|config| {
            config
                .set("limits.unsent", "1MiB")
                .set("limits.unsent_per_connection", "1MiB")
        })
        .await;
        // One answer may always wait, and these do, each on a connection of its own.
        let mut lines = Vec::new();
        let label = [("cause", "unsent")];
        while stage.count(CUT, &label).await == 0 {
            lines.push(stage.greedy(way, 0).await);
            let unsent = stage.metric(UNSENT, &[]).await;
            assert!(unsent < 2.0 * 1024.0 * 1024.0, "{way:?}: {unsent}");
        }
        stage.serves().await;
        perijove_tests::wait::eventually("the log to tell of it", || {
            // "reached", or "no longer reached" where so many lines follow that the first is gone.
            !stage.told("unsent answer limit").is_empty()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_for_want_of_room_says_so() {
    let stage = Stage::with(|config| config.set("limits.unsent_per_connection", "1MiB")).await;
    // A client that takes heads but no bodies.
    let client = perijove_tests::client::builder()
        .http2_prior_knowledge()
        .http2_initial_stream_window_size(0)
        .build()
        .unwrap();
    let mut kept = Vec::new();
    let refused = loop {
        let request = client
            .post(stage.gateway.url())
            .header("content-type", "application/json");
        let reply = request.body(pad()).send().await.unwrap();
        if reply.status() != 200 {
            break reply;
        }
        kept.push(reply);
    };
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert!((3..=5).contains(&kept.len()), "{}", kept.len());
}
