//! One test per fault: which upstream is asked how often, and what the client sees.

use perijove_tests::sandbox::{Fault, Kind, RateShape, ResetWhen};
use serde_json::json;

use crate::scene::{KEY, Scene, on_reads};

/// `v0` has the fault, so the read is answered by `v1`, each having been asked once.
async fn moves_on(fault: impl Into<Fault>) {
    let scene = Scene::ranked_with(|config| config.set("retry.later", "50ms")).await;
    scene.v(0).fault(on_reads(fault));
    let reply = scene.balance().await;
    assert!(reply.json()["result"]["value"].is_u64(), "{}", reply.text());
    assert_eq!(reply.upstream(), "v1");
    assert_eq!(scene.hits("getBalance"), [1, 1]);
}

/// Both upstreams give the error: it is the caller's, in the words of the first, and costs neither
/// anything.
async fn is_the_callers(code: i64) {
    let scene = Scene::ranked().await;
    for validator in scene.cluster.validators() {
        validator.fault(Fault::rpc(code).on("getBalance"));
    }
    for _ in 0..6 {
        let reply = scene.balance().await;
        assert_eq!((reply.status, reply.code()), (200, Some(code)));
        assert_eq!(
            (reply.json()["id"].as_u64(), reply.upstream()),
            (Some(1), "v0")
        );
    }
    assert_eq!(scene.v(0).hits("getBalance"), 6);
    for validator in scene.cluster.validators() {
        validator.heal().unwrap();
    }
    assert_eq!(scene.balance().await.upstream(), "v0");
}

/// `v0`'s error to this method is the answer; `v1` is not asked.
async fn is_final((method, code): (&str, i64)) {
    let scene = Scene::ranked().await;
    scene.v(0).fault(Fault::rpc(code).on(method));
    let reply = scene.gateway.rpc(method, json!([KEY])).await;
    assert_eq!((reply.status, reply.code()), (200, Some(code)));
    assert_eq!(scene.hits(method), [1, 0]);
}

/// The fault is none: `v0` answers.
async fn is_borne(fault: impl Into<Fault>) {
    let scene = Scene::ranked().await;
    scene.v(0).fault(on_reads(fault));
    for _ in 0..5 {
        let reply = scene.balance().await;
        assert!(reply.json()["result"]["value"].is_u64(), "{}", reply.text());
        assert_eq!(reply.upstream(), "v0");
    }
    assert_eq!(scene.hits("getBalance"), [5, 0]);
}

macro_rules! each {
    ($test:ident: $($name:ident => $fault:expr,)*) => {
        $(#[tokio::test]
        async fn $name() {
            $test($fault).await;
        })*
    };
}

#[tokio::test]
async fn a_scan_passes_two_upstreams_that_fail_and_asks_each_once() {
    for fault in [Fault::status(500), Fault::rpc(-32603)] {
        let scene = Scene::ranked_of(3, |config| config).await;
        for index in [0, 1] {
            scene.v(index).fault(fault.clone().on("getProgramAccounts"));
        }
        for _ in 0..4 {
            let reply = scene.gateway.rpc("getProgramAccounts", json!([KEY])).await;
            assert!(reply.result().is_array(), "{}", reply.text());
            assert_eq!(reply.upstream(), "v2");
        }
        let asked = scene.hits("getProgramAccounts");
        assert_eq!((asked[0], asked[2]), (4, 4));
        // One that has failed most of its calls is passed over by those that have failed once.
        assert!((1..=4).contains(&asked[1]), "{asked:?}");
    }
}

each! { moves_on:
    a_reset_after_reading_moves_the_read_on => Fault::reset(ResetWhen::AfterRead),
    a_reset_within_the_answer_moves_the_read_on => Fault::reset(ResetWhen::MidBody),
    a_truncated_answer_moves_the_read_on => Kind::Truncate,
    an_answer_that_is_not_json_moves_the_read_on => Kind::Garbage,
    an_answer_that_is_no_json_rpc_moves_the_read_on => Kind::WrongShape,
    http_500_moves_the_read_on => Fault::status(500),
    http_502_moves_the_read_on => Fault::status(502),
    http_503_moves_the_read_on => Fault::status(503),
    http_504_moves_the_read_on => Fault::status(504),
    http_401_moves_the_read_on => Fault::status(401),
    http_403_moves_the_read_on => Fault::status(403),
    http_404_moves_the_read_on => Fault::status(404),
    http_410_moves_the_read_on => Fault::status(410),
    a_cloudflare_challenge_moves_the_read_on => Kind::Challenge,
    a_429_with_retry_after_moves_the_read_on => Fault::rate_limit(RateShape::Rpcpool, Some("5")),
    a_429_without_retry_after_moves_the_read_on => Fault::rate_limit(RateShape::Rpcpool, None),
    a_429_in_plain_text_moves_the_read_on => Fault::rate_limit(RateShape::Plain, None),
    a_rate_limit_in_a_200_moves_the_read_on => Fault::rate_limit(RateShape::Ok, None),
    a_rate_limit_called_internal_error_moves_the_read_on =>
        Fault::rate_limit(RateShape::OkInternal, None),
    a_rate_limit_without_id_moves_the_read_on => Fault::rate_limit(RateShape::Helius, None),
    credits_used_up_move_the_read_on => Fault::rate_limit(RateShape::Credits, None),
    an_internal_error_moves_the_read_on => Fault::rpc(-32603),
    a_node_behind_moves_the_read_on => Fault::rpc(-32005),
    a_slot_not_reached_moves_the_read_on => Fault::rpc(-32016),
    a_block_not_available_moves_the_read_on => Fault::rpc(-32004),
    a_block_status_not_available_moves_the_read_on => Fault::rpc(-32014),
    a_node_without_history_moves_the_read_on => Fault::rpc(-32011),
    a_failing_archive_moves_the_read_on => Fault::rpc(-32019),
    a_method_not_found_moves_the_read_on => Fault::rpc(-32601),
    a_missing_snapshot_moves_the_read_on => Fault::rpc(-32008),
    a_missing_slot_history_moves_the_read_on => Fault::rpc(-32021),
    a_skipped_slot_is_checked_elsewhere => Fault::rpc(-32007),
}

each! { moves_on:
    http_400_moves_the_read_on => Fault::status(400),
    http_405_moves_the_read_on => Fault::status(405),
    http_413_moves_the_read_on => Fault::status(413),
    http_415_moves_the_read_on => Fault::status(415),
    http_422_moves_the_read_on => Fault::status(422),
    http_431_moves_the_read_on => Fault::status(431),
    a_code_nobody_knows_moves_the_read_on => Fault::rpc(-32000),
    a_well_formed_request_called_invalid_moves_the_read_on => Fault::rpc(-32600),
    right_parameters_called_wrong_move_the_read_on => Fault::rpc(-32602),
    a_code_that_belongs_to_other_methods_moves_the_read_on => Fault::rpc(-32003),
}

each! { is_the_callers:
    wrong_params_are_the_callers => -32602,
    an_invalid_request_is_the_callers => -32600,
    a_code_nobody_knows_is_the_callers_when_all_give_it => -32000,
}

each! { is_final:
    an_unsupported_transaction_version_is_the_callers => ("getTransaction", -32015),
    active_epoch_rewards_are_an_answer => ("getInflationReward", -32017),
    a_wrong_signature_is_the_callers => ("simulateTransaction", -32003),
    a_failed_precompile_is_the_callers => ("simulateTransaction", -32006),
}

each! { is_borne:
    chunked_answers_are_read => Kind::Chunked,
    http_1_0_answers_are_read => Kind::Http10,
    connections_closed_with_notice_are_replaced => Kind::ConnectionClose,
    connections_closed_without_notice_are_replaced => Kind::KeepAliveClose,
    slow_bodies_are_waited_for => Kind::SlowBody { ms: 80 },
    wide_answers_pass => Kind::Big { bytes: 150_000 },
    answers_over_the_buffer_pass => Kind::Big { bytes: 600_000 },
}

#[tokio::test]
async fn a_refusal_in_http_that_all_share_arrives_word_for_word() {
    for status in [400, 410, 413, 415] {
        let scene = Scene::ranked().await;
        for validator in scene.cluster.validators() {
            let refusal = Kind::HttpStatus {
                status,
                body: Some(format!("no, says v{}", validator.index())),
            };
            validator.fault(on_reads(refusal));
        }
        let reply = scene.balance().await;
        assert_eq!((reply.status, reply.text()), (status, "no, says v0".into()));
        assert_eq!(reply.upstream(), "v0");
        let call = perijove_tests::client::call("getBalance", &json!([KEY]));
        let batch = scene.gateway.post(format!("[{call}]")).await;
        assert_eq!(batch.status, 200, "{}", batch.text());
        let error = batch.json()[0]["error"].clone();
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&status.to_string()), "{error}");
        assert!(message.contains("no, says v0"), "{error}");
        assert_eq!(batch.json()[0]["id"], 1);
        for validator in scene.cluster.validators() {
            validator.heal().unwrap();
        }
        assert_eq!(scene.balance().await.upstream(), "v0", "nobody is charged");
    }
}

#[tokio::test]
async fn a_refused_connection_moves_the_read_on() {
    let scene = Scene::ranked().await;
    scene.v(0).down().await;
    let reply = scene.balance().await;
    assert_eq!(reply.upstream(), "v1");
    assert!(reply.json()["result"]["value"].is_u64());
    assert_eq!(scene.hits("getBalance"), [0, 1]);
}

#[tokio::test]
async fn a_reset_before_reading_moves_the_read_on() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(Fault::reset(ResetWhen::BeforeRead));
    let reply = scene.balance().await;
    assert_eq!(reply.upstream(), "v1");
    assert_eq!(scene.hits("getBalance"), [0, 1]);
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_left_after_its_first_byte_time() {
    let scene = Scene::ranked_with(|config| {
        let hanging = config.get("upstreams").unwrap()[0].clone();
        let mut upstreams = config.get("upstreams").unwrap().clone();
        upstreams[0] = hanging;
        upstreams[0]["timeouts"] = json!({ "first_byte": "200ms" });
        config.set("upstreams", upstreams)
    })
    .await;
    scene.v(0).fault(on_reads(Kind::Hang));
    let reply = scene.balance().await;
    assert_eq!(reply.upstream(), "v1");
    assert_eq!(scene.hits("getBalance"), [1, 1]);
    let abandoned = || scene.v(0).counts().tally().abandoned == 1;
    perijove_tests::wait::eventually("the hanging call to be given up", abandoned).await;
}

#[tokio::test]
async fn an_error_that_all_upstreams_give_reaches_the_client() {
    let scene = Scene::ranked().await;
    for validator in scene.cluster.validators() {
        validator.fault(Fault::rpc(-32005).on("getBalance"));
    }
    let reply = scene.balance().await;
    assert_eq!((reply.status, reply.code()), (200, Some(-32005)));
    assert_eq!(reply.json()["error"]["data"]["numSlotsBehind"], 150);
    assert_eq!(scene.hits("getBalance"), [1, 1]);
}

#[tokio::test]
async fn when_nobody_answers_the_client_gets_a_json_rpc_error_it_understands() {
    let scene = Scene::ranked().await;
    for validator in scene.cluster.validators() {
        validator.down().await;
    }
    let reply = scene.balance().await;
    assert_eq!(
        reply.code(),
        Some(-32005),
        "{} {}",
        reply.status,
        reply.text()
    );
    assert!(reply.json()["error"]["data"]["numSlotsBehind"].is_null());
    assert_eq!(reply.json()["id"], 1);
}

#[tokio::test]
async fn a_streamed_answer_that_breaks_is_not_passed_off_as_whole() {
    let scene = Scene::ranked().await;
    for validator in scene.cluster.validators() {
        validator.fault(Fault::from(Kind::Truncate).on("sandboxPad"));
    }
    let request = scene
        .gateway
        .client()
        .post(scene.gateway.url())
        .header("content-type", "application/json")
        .body(perijove_tests::client::call(
            "sandboxPad",
            &json!([{"bytes": 4_000_000}]),
        ));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "it begins well");
    assert!(
        response.bytes().await.is_err(),
        "half an answer looked whole"
    );
    let metrics = scene.gateway.metrics().await;
    let cut = metrics.sum("perijove_http_cut_total", &[]);
    assert!((cut - 1.0).abs() < f64::EPSILON, "{cut}");
    let broken = [("outcome", "truncated")];
    let broken = metrics.sum("perijove_upstream_attempts_total", &broken);
    assert!((broken - 1.0).abs() < f64::EPSILON, "{broken}");
}

#[tokio::test]
async fn a_method_an_upstream_lacks_is_not_asked_for_there_again() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(Fault::status(410).on("getBalance"));
    scene.goes_past_the_first().await;
    let other = scene.gateway.rpc("getAccountInfo", json!([KEY])).await;
    assert_eq!(other.upstream(), "v0");
}
