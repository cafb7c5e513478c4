use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_kind_of_upstream_is_asked_under_its_own_path() {
    let other = PathMap::of(&[
        (Api::SwapV1, "/v6/".to_owned()),
        (Api::Other, "/all".to_owned()),
    ]);
    let maps = [PathMap::hosted(), PathMap::self_hosted(), other];
    for (path, product, expected) in [
        (
            "/swap/v1/quote",
            Product::Quote,
            [Some("/swap/v1/quote"), Some("/quote"), Some("/v6/quote")],
        ),
        (
            "/v6/quote",
            Product::Quote,
            [Some("/swap/v1/quote"), Some("/quote"), Some("/v6/quote")],
        ),
        (
            "/sesame/v6/swap-instructions",
            Product::SwapInstructions,
            [
                Some("/swap/v1/swap-instructions"),
                Some("/swap-instructions"),
                Some("/v6/swap-instructions"),
            ],
        ),
        (
            "/swap/v2/order",
            Product::Order,
            [Some("/swap/v2/order"), None, None],
        ),
        (
            "/ultra/v1/execute",
            Product::Execute,
            [Some("/ultra/v1/execute"), None, None],
        ),
        (
            "/ultra/v1/holdings/abc",
            Product::Other,
            [Some("/ultra/v1/holdings/abc"), None, None],
        ),
        (
            "/rpc/sesame/price/v3",
            Product::Price,
            [Some("/price/v3"), None, None],
        ),
        (
            "/tokens/v2/search",
            Product::Tokens,
            [Some("/tokens/v2/search"), None, None],
        ),
        (
            "/trigger/v1/createOrder",
            Product::Other,
            [
                Some("/trigger/v1/createOrder"),
                None,
                Some("/all/trigger/v1/createOrder"),
            ],
        ),
        (
            "/price/v2",
            Product::Other,
            [Some("/price/v2"), None, Some("/all/price/v2")],
        ),
    ] {
        let route = ApiRoute::of(path).unwrap();
        assert_eq!(route.product, product, "{path}");
        let paths = [0, 1, 2].map(|map| maps[map].path(&route));
        assert_eq!(
            paths,
            expected.map(|path| path.map(str::to_owned)),
            "{path}"
        );
        assert!(route.check().is_ok());
        assert!(!ApiRoute::is_unknown(path), "{path}");
    }
}

#[test]
fn calls_of_rpc_keep_their_paths() {
    for path in [
        "/",
        "",
        "/sesame",
        "/v2/sesame",
        "/v6/sesame",
        "/rpc/v1",
        "/swap",
        "/v6",
    ] {
        assert_eq!(ApiRoute::of(path), None, "{path}");
    }
    assert_eq!(ApiRoute::of("/health"), None);
}

#[test]
fn what_looks_like_the_api_and_is_no_known_part_of_it_is_told_apart() {
    for (path, unknown) in [
        ("/new-thing/v1/list", true),
        ("/foo/v12", true),
        ("/key/foo/v1/bar", true),
        ("/sesame/trigger/v2/orders", false),
        ("/foo/v6/some-key", false),
        ("/Foo/v1/bar", false),
        ("/foo/v123", false),
        ("/health", false),
        ("/", false),
    ] {
        assert_eq!(ApiRoute::is_unknown(path), unknown, "{path}");
    }
}

#[test]
fn a_path_that_leads_elsewhere_is_ambiguous() {
    for path in [
        "/swap/v1/../../admin",
        "/swap/v1/%2e%2E/admin",
        "/swap/v1/./quote",
        "/swap/v1/..%2fadmin",
        "/swap/v1/a%5Cb",
    ] {
        let route = ApiRoute::of(path).unwrap();
        assert_eq!(route.check(), Err(Ambiguous), "{path}");
    }
}

#[test]
fn the_gateways_keys_are_left_out_and_nothing_else_is_touched() {
    for (query, left) in [
        ("a=1&api-key=x&b=%20+", "a=1&b=%20+"),
        ("apikey=x", ""),
        ("a=1&api%2dkey=x&%61pi%5Fkey=%20", "a=1"),
        ("a&&b==&api_key", "a&&b=="),
        ("my-api-key=1", "my-api-key=1"),
    ] {
        assert_eq!(without_keys(query), left);
    }
}
