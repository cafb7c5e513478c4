use super::*;

fn consumers(anonymous: bool) -> Consumers {
    let by_key = [("sesame", "bots"), ("plum", "wallet")]
        .map(|(key, id)| (KeyHash::of(key.as_bytes()), id.into()))
        .into_iter()
        .collect();
    Consumers {
        by_key,
        has_keys: true,
        anonymous,
        ..Consumers::default()
    }
}

fn at(path: &str) -> Credentials<'_> {
    Credentials {
        path,
        ..Credentials::default()
    }
}

#[test]
fn a_key_is_found_wherever_clients_put_it() {
    let by_header = Credentials {
        api_key: Some(b"sesame"),
        ..at("/")
    };
    let by_bearer = Credentials {
        authorization: Some(b"BEARER sesame"),
        ..at("/")
    };
    let by_query = Credentials {
        query: Some("x=1&api-key=sesame"),
        ..at("/rpc")
    };
    for credentials in [
        by_header,
        by_bearer,
        by_query,
        at("/v2/sesame"),
        at("/sesame/"),
    ] {
        let found = consumers(false).identify(&credentials).unwrap();
        assert_eq!(found.as_deref(), Some("bots"), "{credentials:?}");
    }
}

#[test]
fn a_key_in_a_url_is_found_however_it_is_spelt() {
    const KEY: &str = "q83v+Je&k#4?A%41x==";
    let consumers = Consumers {
        by_key: [(KeyHash::of(KEY.as_bytes()), "bots".into())].into(),
        ..consumers(false)
    };
    let bytes = KEY.bytes().map(|byte| format!("%{byte:02x}"));
    let all = bytes.collect::<Vec<_>>().concat();
    // As URLSearchParams and httpx write it, in part, and all of it.
    for spelt in [
        "q83v%2BJe%26k%234%3FA%2541x%3D%3D",
        "q83v+Je%26k%234?A%2541x==",
        "q83v%2bJe%26k%234%3fA%2541x==",
        &all,
    ] {
        for query in [
            format!("api-key={spelt}"),
            format!("x=1&api%2Dkey={spelt}&y"),
            format!("api-key=&api_key={spelt}"),
        ] {
            let credentials = Credentials {
                query: Some(&query),
                ..at("/")
            };
            let found = consumers.identify(&credentials).unwrap();
            assert_eq!(found.as_deref(), Some("bots"), "{query}");
        }
        let found = consumers.identify(&at(&format!("/v2/{spelt}")));
        assert_eq!(found.unwrap().as_deref(), Some("bots"), "{spelt}");
        let in_field = Credentials {
            api_key: Some(spelt.as_bytes()),
            ..at("/")
        };
        let refused = consumers.identify(&in_field);
        assert_eq!(
            refused,
            Err(Rejection::Unauthorised),
            "fields are not encoded"
        );
    }
    for spelt in [KEY, "q83v+Je&k"] {
        let query = format!("api-key={spelt}");
        let credentials = Credentials {
            query: Some(&query),
            ..at("/")
        };
        assert!(consumers.identify(&credentials).is_err(), "& ends it");
    }
    let found = consumers.identify(&at(&format!("/{KEY}"))).unwrap();
    assert_eq!(found.as_deref(), Some("bots"), "as it is");
    for wrong in ["/%", "/%4", "/%zz", "/q83v%252BJe%26k%234%3FA%2541x%3D%3D"] {
        assert!(consumers.identify(&at(wrong)).is_err(), "decoded once");
    }
}

#[test]
fn an_empty_key_is_none() {
    for (api_key, authorization, query) in [
        (Some(&b""[..]), None, Some("api-key=sesame")),
        (Some(b" "), Some(&b"Bearer sesame"[..]), None),
        (None, Some(b"Bearer "), Some("api-key=&apikey=sesame")),
        (Some(b""), Some(b"Bearer"), Some("api_key=sesame")),
    ] {
        let credentials = Credentials {
            api_key,
            authorization,
            query,
            ..at("/")
        };
        let found = consumers(false).identify(&credentials).unwrap();
        assert_eq!(found.as_deref(), Some("bots"), "{credentials:?}");
    }
    let empty = Credentials {
        api_key: Some(b""),
        ..at("/sesame")
    };
    let found = consumers(false).identify(&empty).unwrap();
    assert_eq!(found.as_deref(), Some("bots"));
    let nothing = Credentials { path: "/", ..empty };
    assert_eq!(consumers(true).identify(&nothing), Ok(None));
    assert!(consumers(false).identify(&nothing).is_err());
}

#[test]
fn a_wrong_explicit_key_is_refused_even_where_strangers_are_welcome() {
    let wrong = Credentials {
        api_key: Some(b"sesam"),
        ..at("/")
    };
    assert_eq!(
        consumers(true).identify(&wrong),
        Err(Rejection::Unauthorised)
    );
}

#[test]
fn a_path_that_is_no_key_is_a_path() {
    assert_eq!(consumers(true).identify(&at("/some/path")), Ok(None));
    assert_eq!(
        consumers(false).identify(&at("/some/path")),
        Err(Rejection::Unauthorised)
    );
}

#[test]
fn a_certificate_tells_who_calls_where_no_key_does() {
    let shown = |names: &[&str]| ClientCertificate::named("CN=any", names);
    let (bots, others) = (shown(&["CN=x", "DNS:bots.example"]), shown(&["CN=bots"]));
    let by_certificate = |anonymous| Consumers {
        by_certificate: [("DNS:bots.example".into(), "bots".into())].into(),
        ..consumers(anonymous)
    };
    let with = |certificate, key: Option<&'static [u8]>| Credentials {
        api_key: key,
        certificate: Some(certificate),
        ..at("/")
    };
    let found = by_certificate(false).identify(&with(&bots, None)).unwrap();
    assert_eq!(found.as_deref(), Some("bots"));
    let key = by_certificate(false).identify(&with(&bots, Some(b"plum")));
    assert_eq!(
        key.unwrap().as_deref(),
        Some("wallet"),
        "a key counts for more"
    );
    let wrong = by_certificate(true).identify(&with(&bots, Some(b"plumb")));
    assert_eq!(wrong, Err(Rejection::Unauthorised), "also a wrong one");
    let other = by_certificate(false).identify(&with(&others, None));
    assert_eq!(
        other,
        Err(Rejection::Unauthorised),
        "names are compared with their kind"
    );
    assert_eq!(
        by_certificate(true).identify(&with(&others, None)),
        Ok(None)
    );
}

#[test]
fn without_consumers_keys_mean_nothing() {
    let open = Consumers {
        anonymous: true,
        ..Consumers::default()
    };
    let with_key = Credentials {
        api_key: Some(b"whatever"),
        ..at("/")
    };
    assert_eq!(open.identify(&with_key), Ok(None));
}
