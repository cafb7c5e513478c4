//! What speaks against an upstream: only what another serves.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_all_upstreams_fail_or_refuse_alike_speaks_against_none() {
    for act in [
        says(500, "panic"),
        says(404, "<html>"),
        says(200, "<html>"),
        says(401, "{}"),
        says(403, "<html>"),
        Act::Break(1),
        Act::Hang,
    ] {
        for (method, path) in [
            (Method::GET, "/swap/v1/quote"),
            (Method::POST, "/swap/v1/swap"),
            (Method::GET, "/tokens/v2/search"),
            (Method::GET, "/ultra/v1/holdings/x"),
            (Method::GET, "/ultra/v1/order"),
            (Method::POST, "/ultra/v1/execute"),
            (Method::GET, "/portfolio/v1/x"),
        ] {
            let scene = Scene::new();
            for upstream in ["own", "hosted"] {
                script::set(upstream, act.clone());
            }
            for _ in 0..20 {
                scene.ask(&method, path).await;
            }
            assert_eq!(scene.spoken_against(), NOTHING, "{act:?} {path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_serves_speaks_against_who_did_not_unless_it_serves_the_rest() {
    let bad = [
        says(500, "panic"),
        says(404, "<html>"),
        Act::Break(1),
        Act::Hang,
    ];
    for act in bad {
        let scene = Scene::new();
        let good = says(200, &quote_at(1000).replace("1000", "$slot"));
        script::set("hosted", good.clone());
        for _ in 0..20 {
            script::set("own", act.clone());
            scene.quote().await;
            script::set("own", good.clone());
            scene.quote().await;
        }
        assert_eq!(scene.spoken_against(), NOTHING, "{act:?}");
        script::set("own", act.clone());
        for _ in 0..20 {
            scene.quote().await;
            // What nobody waits for any more.
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
        assert_ne!(scene.spoken_against()[0].0, "closed", "{act:?}");
        assert_eq!(scene.spoken_against()[1], NOTHING[1], "{act:?}");
    }
}
