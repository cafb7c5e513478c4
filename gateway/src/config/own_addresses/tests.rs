use super::*;

#[test]
fn an_upstream_that_is_the_gateway_itself_is_known_by_its_address() {
    let own = |rpc: &str| {
        let listen = Listen {
            rpc: vec![rpc.parse().unwrap()],
            ..Listen::default()
        };
        OwnAddresses::new(&listen, &Admin::default())
    };
    for (rpc, url, key) in [
        (
            "0.0.0.0:8899",
            "http://127.0.0.1:8899",
            Some("listen.rpc[0]"),
        ),
        (
            "0.0.0.0:8899",
            "http://localhost:8899/key",
            Some("listen.rpc[0]"),
        ),
        ("0.0.0.0:8899", "http://[::1]:8899", Some("listen.rpc[0]")),
        ("[::]:8899", "http://127.0.0.1:8899", Some("listen.rpc[0]")),
        (
            "0.0.0.0:8899",
            "http://[::ffff:127.0.0.1]:8899",
            Some("listen.rpc[0]"),
        ),
        ("0.0.0.0:80", "http://127.0.0.2", Some("listen.rpc[0]")),
        (
            "10.0.0.5:8899",
            "http://10.0.0.5:8899",
            Some("listen.rpc[0]"),
        ),
        (
            "127.0.0.1:8899",
            "http://127.0.0.1:9090",
            Some("admin.listen"),
        ),
        ("0.0.0.0:8899", "http://127.0.0.1:8999", None),
        ("0.0.0.0:8899", "http://10.0.0.5:8899", None),
        ("127.0.0.1:8899", "http://127.0.0.2:8899", None),
        ("10.0.0.5:8899", "http://localhost:8899", None),
        ("0.0.0.0:8899", "http://validator:8899", None),
        ("127.0.0.1:0", "http://127.0.0.1:8899", None),
    ] {
        let own = own(rpc);
        let url = UpstreamUrl::parse(url).unwrap();
        assert_eq!(own.leads_back(&url), key, "{rpc} {url}");
    }
}
