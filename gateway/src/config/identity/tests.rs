use super::*;

fn day(number: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(24 * number)
}

/// A certificate of version 1, which names itself as its issuer.
const OLD_CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBGDCBvwIUS3mMEec0d4j7/nfKaV6pbBFo3RswCgYIKoZIzj0EAwIwDjEMMAoG\n\
A1UEAwwDb2xkMCAXDTI2MTEyOTA4MzQ0NVoYDzIxMjYxMTA1MDgzNDQ1WjAOMQww\n\
CgYDVQQDDANvbGQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASMTAjd3DBZEZ4k\n\
hRPfUOItv93rRMuAa1ckj4rKalrKwJvo4TTwspIv+qfbKxLY0hznjOwbhTtgOuhU\n\
1NUkzWzWMAoGCCqGSM49BAMCA0gAMEUCIGEF9qKf+aCBbTxGeZXJgpStwf4SyF8l\n\
8jaeTg8I4rPCAiEA37AiVDaa03MMSq0EXzTmPNIVofXobA2L9OQe3p2fqvk=\n\
-----END CERTIFICATE-----\n";

#[test]
fn a_certificate_of_version_1_is_an_authority_if_anything() {
    let (certificate, key) = (Path::new("tls.crt"), Path::new("tls.key"));
    let faults = ServerIdentity::parse((certificate, OLD_CERTIFICATE), (key, "")).unwrap_err();
    let [fault, _no_key] = &faults[..] else {
        panic!("{faults:?}")
    };
    assert_eq!(fault.key, "certificate");
    assert!(
        fault
            .message
            .starts_with("tls.crt holds a certificate of an old version"),
        "{}",
        fault.message
    );
    let read = read_chain(OLD_CERTIFICATE).unwrap();
    assert!(read[0].is_authority && !read[0].is_modern);
}

#[test]
fn what_is_wrong_with_a_file_is_said_in_words() {
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    for (text, said) in [
        (
            format!("{begin}\nAAAA\n"),
            "is not a PEM file: a block has no end (-----END CERTIFICATE-----)",
        ),
        (
            format!("{begin}\n!!!!\n{end}\n"),
            "is not a PEM file: the content of a block is not base64",
        ),
        (
            "-----BEGIN CERTIFICATE\nAAAA\n".to_owned(),
            "is not a PEM file: a line that begins a block is broken",
        ),
        (
            format!("{begin}\nAAAA\n{end}\n"),
            "holds no certificate in block 1: it is not X.509",
        ),
        (String::new(), "has no CERTIFICATE in PEM form"),
    ] {
        assert_eq!(read_chain(&text).err().unwrap(), said);
    }
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n";
    let fault = read_key(key).unwrap_err();
    assert!(fault.ends_with("(-----END PRIVATE KEY-----)"), "{fault}");
}

#[test]
fn dates_are_doubted_before_and_after_and_shortly_before_their_end() {
    let dates = Dates {
        from: day(100),
        until: day(190),
    };
    for (today, doubt) in [
        (99, Some("is not valid before 1970-04-11")),
        (100, None),
        (175, None),
        (177, Some("expires on 1970-07-10T00:00:00Z (in 13 days)")),
        (190, Some("expired on 1970-07-10T00:00:00Z (0 days ago)")),
        (191, Some("expired on 1970-07-10T00:00:00Z (1 day ago)")),
        (193, Some("expired on 1970-07-10T00:00:00Z (3 days ago)")),
    ] {
        let said = dates.doubt(day(today), "; clients refuse it");
        match (said, doubt) {
            (None, None) => {}
            (Some(said), Some(doubt)) => assert!(said.starts_with(doubt), "{today}: {said}"),
            other => panic!("{today}: {other:?}"),
        }
    }
}
