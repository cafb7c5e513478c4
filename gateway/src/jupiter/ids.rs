//! The tokens whose price is requested: `ids`, comma-separated addresses.

use perijove_core::Pubkey;
use url::form_urlencoded;

/// Maximum number of tokens in a request, as Jupiter documents it.
pub const MOST_IDS: usize = 50;

/// Why a query is invalid. The texts are for the client and contain nothing that it sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdsFault {
    #[error("Query parameter ids is missing")]
    Missing,
    #[error("Query parameter ids holds more than {MOST_IDS} ids")]
    TooMany,
    /// The number of the invalid one, counted from 1.
    #[error("Query parameter ids cannot be parsed: id {place} is not the address of a mint")]
    NotAnAddress { place: usize },
}

/// Whether a query asks for more than the gateway's prices have: `showExtra`, alone, or as `true`
/// or `1`.
pub fn shows_extra(query: Option<&str>) -> bool {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.any(|(name, value)| name == "showExtra" && ["", "true", "1"].contains(&&*value))
}

/// The tokens of a query, each once, in the order they are first named.
///
/// White space around an id and empty ids (a comma at the end) are ignored. A repeated parameter
/// continues the one before, which is how some clients write lists.
///
/// # Errors
/// None are named, too many are (repetitions count), or one is not an address. At most [`MOST_IDS`]
/// ids are read, however long the query.
pub fn ids(query: Option<&str>) -> Result<Vec<Pubkey>, IdsFault> {
    let mut ids: Vec<Pubkey> = Vec::new();
    let mut place = 0;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if name != "ids" {
            continue;
        }
        for id in value.split(',').map(str::trim).filter(|id| !id.is_empty()) {
            place += 1;
            if place > MOST_IDS {
                return Err(IdsFault::TooMany);
            }
            let id = id
                .parse()
                .map_err(|_error| IdsFault::NotAnAddress { place })?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    if ids.is_empty() {
        return Err(IdsFault::Missing);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use perijove_core::market::{USDC, WSOL};
    use proptest::prelude::*;

    use super::*;

    const BAD: fn(usize) -> Result<Vec<Pubkey>, IdsFault> =
        |place| Err(IdsFault::NotAnAddress { place });

    #[test]
    fn ids_are_read_however_clients_write_them() {
        for query in [
            format!("ids={USDC},{WSOL}"),
            format!("ids={USDC}%2C{WSOL}"),
            format!("ids={USDC}%2c%20{WSOL}"),
            format!("ids=+{USDC}+,%09{WSOL}%0A"),
            format!("ids={USDC},,{WSOL},"),
            format!("ids={USDC},{WSOL},{USDC}"),
            format!("ids={USDC}&ids={WSOL}"),
            format!("api-key=sesame&ids={USDC}&ids=&x=1&ids={WSOL},{USDC}&"),
            format!("%69ds={USDC},{WSOL}").replace("So1", "%53%6f1"),
        ] {
            assert_eq!(ids(Some(&query)), Ok(vec![USDC, WSOL]), "{query}");
        }
    }

    #[test]
    fn extras_are_shown_to_those_who_ask_for_them() {
        for (query, shown) in [
            (None, false),
            (Some("ids=A"), false),
            (Some("ids=A&showExtra"), true),
            (Some("showExtra=true&ids=A"), true),
            (Some("showExtra=1"), true),
            (Some("showExtra=false"), false),
            (Some("showExtra=0"), false),
            (Some("showExtraInfo=true"), false),
            (Some("ids=showExtra"), false),
        ] {
            assert_eq!(shows_extra(query), shown, "{query:?}");
        }
    }

    #[test]
    fn a_query_that_names_nothing_is_refused() {
        for query in [
            None,
            Some(""),
            Some("ids"),
            Some("ids="),
            Some("ids=,%20,+"),
            Some("IDS=So11111111111111111111111111111111111111112"),
            Some("id=So11111111111111111111111111111111111111112"),
            Some("x=ids=So11111111111111111111111111111111111111112"),
        ] {
            assert_eq!(ids(query), Err(IdsFault::Missing), "{query:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_its_place() {
        for (query, expected) in [
            ("ids=SOL".to_owned(), BAD(1)),
            (format!("ids={USDC},,1111"), BAD(2)),
            (format!("ids={USDC}&ids={WSOL}1"), BAD(2)),
            // Not base58; a null byte; not UTF-8; a separator of another kind; a wide space.
            ("ids=O0Il".to_owned(), BAD(1)),
            (format!("ids={USDC}%00"), BAD(1)),
            (format!("ids=%ff{USDC}"), BAD(1)),
            (format!("ids={USDC};{WSOL}"), BAD(1)),
            (format!("ids={USDC}%EF%BB%BF"), BAD(1)),
            (format!("ids={USDC}%252C{WSOL}"), BAD(1)),
            (format!("ids[]={USDC}"), Err(IdsFault::Missing)),
        ] {
            assert_eq!(ids(Some(&query)), expected, "{query}");
        }
    }

    #[test]
    fn fifty_are_answered_and_no_more_are_looked_at() {
        let list = |count: u8| {
            let each = (0..count).map(|number| Pubkey([number; 32]).to_string());
            format!("ids={}", each.collect::<Vec<_>>().join(","))
        };
        assert_eq!(ids(Some(&list(50))).unwrap().len(), 50);
        assert_eq!(ids(Some(&list(51))), Err(IdsFault::TooMany));
        // The same one again and again; and nonsense behind the fiftieth.
        let same = format!("ids={}", vec![USDC.to_string(); 51].join(","));
        assert_eq!(ids(Some(&same)), Err(IdsFault::TooMany));
        assert_eq!(ids(Some(&(list(50) + ",no"))), Err(IdsFault::TooMany));
        let repeated = format!("ids={USDC}&").repeat(10_000);
        assert_eq!(ids(Some(&repeated)), Err(IdsFault::TooMany));
    }

    proptest! {
        #[test]
        fn no_query_does_harm(query in ".*") {
            let found = ids(Some(&query)).unwrap_or_default();
            prop_assert!(found.len() <= MOST_IDS);
        }

        #[test]
        fn addresses_come_back_as_they_were_written(keys in prop::collection::vec(any::<[u8; 32]>(), 1..=50)) {
            let texts: Vec<_> = keys.iter().map(|key| Pubkey(*key).to_string()).collect();
            let found = ids(Some(&format!("ids={}", texts.join("%2C")))).unwrap();
            for text in &texts {
                prop_assert!(found.iter().any(|id| id.to_string() == *text));
            }
        }
    }
}
