use proptest::{prelude::*, sample::select};

use super::{
    calls::{Json, Style, json, style, text, write},
    decode, spell,
};
use crate::solana::{
    Idempotency, Method,
    canonical::parameters::{DefaultValue, KnownMember, members, positions},
    class::takes_config,
    classify,
};

fn reads() -> impl Strategy<Value = Method> {
    let reads: Vec<_> = Method::ALL
        .into_iter()
        .filter(|method| method.profile().idempotency == Idempotency::Read)
        .collect();
    select(reads)
}

/// A configuration for a method: members it knows, with defaults, nulls and other values, and
/// members nobody knows.
fn config(method: Method) -> impl Strategy<Value = Json> {
    let known: Vec<&'static str> = members(method)
        .iter()
        .map(|known| known.name)
        .chain(["commitment", "minContextSlot", "x", "y"])
        .collect();
    let value = prop_oneof![
        3 => json(),
        2 => select(defaults(method)),
        2 => select(vec!["processed", "confirmed", "finalized", "recent"])
            .prop_map(|level| Json::Text(level.to_owned())),
    ];
    (
        proptest::sample::subsequence(known.clone(), 0..=known.len()),
        proptest::collection::vec(value, known.len()),
    )
        .prop_map(|(names, values)| {
            let names = names.into_iter().map(str::to_owned);
            Json::Object(names.zip(values).collect())
        })
}

fn defaults(method: Method) -> Vec<Json> {
    let mut values: Vec<_> = members(method).iter().filter_map(default_of).collect();
    values.push(Json::Null);
    values
}

fn default_of(known: &KnownMember) -> Option<Json> {
    Some(match known.default {
        DefaultValue::None => return None,
        DefaultValue::Text(text) => Json::Text(text.to_owned()),
        DefaultValue::Number(text) => Json::Number(text.to_owned()),
        DefaultValue::Bool(value) => Json::Bool(value),
        DefaultValue::NoItems => Json::Array(Vec::new()),
    })
}

/// A call with as many parameters as its method takes, and often its configuration.
fn call() -> impl Strategy<Value = (Method, Vec<Json>)> {
    reads().prop_flat_map(|method| {
        let most = positions(method);
        let before = method.profile().config_index.unwrap_or(most);
        let positional = prop_oneof![
            json(),
            text().prop_map(Json::Text),
            any::<u64>().prop_map(|number| Json::Number(number.to_string())),
        ];
        let positional = proptest::collection::vec(positional, 0..=before);
        let last = proptest::option::of(config(method));
        (Just(method), positional, last)
            .prop_map(move |(method, mut params, config)| {
                let takes_one = method.profile().config_index.is_some();
                if let Some(config) = config.filter(|_| takes_one && params.len() < most) {
                    if !takes_config(method, method.profile(), params.len()) {
                        params.resize(before, Json::Null);
                    }
                    params.push(config);
                }
                (method, params)
            })
            .prop_filter("two configurations", has_one_config)
    })
}

/// Two calls of one method that differ in little, or in nothing that counts.
fn near_calls() -> impl Strategy<Value = ((Method, Vec<Json>), (Method, Vec<Json>))> {
    let text = |text: &str| Json::Text(text.to_owned());
    let values = [
        Json::Null,
        Json::Bool(true),
        Json::Bool(false),
        Json::Number("5".to_owned()),
        Json::Array(Vec::new()),
        text("confirmed"),
        text(""),
    ];
    let change = (0..8_usize, select(values.to_vec()), any::<bool>());
    (call(), proptest::collection::vec(change, 0..3))
        .prop_map(|(one, changes)| {
            let mut other = one.clone();
            for (place, value, within) in changes {
                let params = &mut other.1;
                if !within && params.len() < positions(other.0) {
                    params.push(value);
                } else if let Some(Json::Object(members)) = params.last_mut()
                    && !members.is_empty()
                {
                    let place = place % members.len();
                    members[place].1 = value;
                } else if let Some(last) = params.last_mut() {
                    *last = value;
                }
            }
            (one, other)
        })
        .prop_filter("two configurations", |(_, other)| has_one_config(other))
}

fn has_one_config((method, params): &(Method, Vec<Json>)) -> bool {
    let mut behind = params.iter().enumerate().skip_while(|(position, value)| {
        !(matches!(value, Json::Object(_)) && takes_config(*method, method.profile(), *position))
    });
    behind.next();
    behind.all(|(_, value)| *value == Json::Null)
}

fn written(params: &[Json], style: &mut Style) -> String {
    let mut out = String::new();
    write(&Json::Array(params.to_vec()), style, &mut out);
    out
}

/// What is left of a call when everything is taken away that says nothing: a statement of the
/// rules beside the one in the code.
fn normal(method: Method, params: &[Json]) -> (Vec<Json>, Option<Vec<(String, Json)>>) {
    let profile = method.profile();
    let mut positional = Vec::new();
    let mut config = None;
    for (position, value) in params.iter().enumerate() {
        match value {
            Json::Object(members) if takes_config(method, profile, position) => {
                config = Some(normal_config(method, members));
                break;
            }
            Json::Text(encoding)
                if position == 1 && matches!(method, Method::GetTransaction | Method::GetBlock) =>
            {
                let encoding = Json::Text(encoding.clone());
                config = Some(normal_config(method, &[("encoding".to_owned(), encoding)]));
                break;
            }
            value => positional.push(sorted(value)),
        }
    }
    while positional.last() == Some(&Json::Null) {
        positional.pop();
    }
    (positional, config.flatten())
}

fn normal_config(method: Method, given: &[(String, Json)]) -> Option<Vec<(String, Json)>> {
    use crate::solana::CommitmentRule::{Bare, Flattened};
    let profile = method.profile();
    let mut refused = profile.commitment == Bare;
    let mut left: Vec<_> = given
        .iter()
        .filter(|(name, value)| match (name.as_str(), value) {
            ("commitment", Json::Null) => profile.commitment != Flattened,
            ("commitment", Json::Text(level)) => {
                let named = ["processed", "confirmed", "finalized"].contains(&level.as_str());
                refused &= !named;
                // The generator escapes nothing here but what has to be.
                let plain = !level.contains(['"', '\\']) && !level.contains(char::is_control);
                match profile.commitment {
                    Flattened => !plain,
                    Bare => !named,
                    _ => true,
                }
            }
            ("minContextSlot", Json::Null) => !profile.min_context_slot,
            ("minContextSlot", Json::Number(text)) => {
                !(profile.min_context_slot && text.parse::<u64>().is_ok())
            }
            (name, value) => !members(method).iter().any(|known| {
                known.name == name
                    && ((known.null_is_absent && *value == Json::Null)
                        || default_of(known).as_ref() == Some(value))
            }),
        })
        .map(|(name, value)| (name.clone(), sorted(value)))
        .collect();
    left.sort_by_key(|(name, _)| key_order(name));
    (refused || !left.is_empty()).then_some(left)
}

/// With the members of every object in canonical order.
fn sorted(value: &Json) -> Json {
    match value {
        Json::Array(items) => Json::Array(items.iter().map(sorted).collect()),
        Json::Object(members) => {
            let mut members: Vec<_> = members
                .iter()
                .map(|(key, value)| (key.clone(), sorted(value)))
                .collect();
            members.sort_by_key(|(key, _)| key_order(key));
            Json::Object(members)
        }
        other => other.clone(),
    }
}

/// Keys are ordered as they are written: by their length in LEB128 first.
fn key_order(key: &str) -> Vec<u8> {
    let mut length = key.len();
    let mut order = Vec::new();
    while length > 0x7f {
        order.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    order.push(u8::try_from(length).unwrap());
    order.extend_from_slice(key.as_bytes());
    order
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_spelled_can_be_read_back((method, params) in call()) {
        let spelled = spell(method.label(), &written(&params, &mut Style::plain())).unwrap();
        let (positional, config) = normal(method, &params);
        let read = decode::call(spelled.as_bytes());
        prop_assert_eq!(read.method, method.label());
        prop_assert_eq!(read.params, positional);
        prop_assert_eq!(read.config, config);
    }

    #[test]
    fn the_way_a_call_is_written_does_not_matter((method, params) in call(), mut style in style()) {
        // A level with escapes is spelled out: the class does not read it.
        style.escapes = false;
        let plain = written(&params, &mut Style::plain());
        let styled = written(&params, &mut style);
        prop_assert_eq!(spell(method.label(), &plain), spell(method.label(), &styled), "{} {}", plain, styled);
        let (one, other) = (classify(method.label(), Some(plain.as_bytes())), classify(method.label(), Some(styled.as_bytes())));
        prop_assert_eq!(one.context, other.context);
    }

    #[test]
    fn escapes_do_not_matter(params in proptest::collection::vec(json(), 2), mut style in style()) {
        style.escapes = true;
        let params = [params, vec![Json::Object(Vec::new())]].concat();
        prop_assert_eq!(
            spell("getTokenAccountsByOwner", &written(&params, &mut Style::plain())),
            spell("getTokenAccountsByOwner", &written(&params, &mut style)),
        );
    }

    #[test]
    fn two_calls_have_one_spelling_if_and_only_if_they_mean_the_same((one, other) in near_calls()) {
        let spelled = |call: &(Method, Vec<Json>)| {
            spell(call.0.label(), &written(&call.1, &mut Style::plain())).unwrap()
        };
        let same = one.0 == other.0 && normal(one.0, &one.1) == normal(other.0, &other.1);
        let (one, other) = (spelled(&one), spelled(&other));
        prop_assert_eq!(one == other, same);
        if !same {
            prop_assert!(!one.as_bytes().starts_with(other.as_bytes()));
            prop_assert!(!other.as_bytes().starts_with(one.as_bytes()));
        }
    }

    #[test]
    fn nulls_and_defaults_change_nothing(method in reads(), seed in any::<u64>()) {
        let Some(index) = method.profile().config_index else { return Ok(()) };
        let mut params = vec![Json::Text("k".to_owned()); index];
        let plain = written(&params, &mut Style::plain());
        let filled: Vec<_> = members(method)
            .iter()
            .enumerate()
            .filter_map(|(position, known)| {
                let default = default_of(known);
                let null = known.null_is_absent.then_some(Json::Null);
                let value = if seed >> position & 1 == 0 { default.or(null) } else { null.or(default) };
                Some((known.name.to_owned(), value?))
            })
            .filter(|(name, _)| !name.is_empty())
            .collect();
        if filled.is_empty() {
            return Ok(());
        }
        params.push(Json::Object(filled));
        let full = written(&params, &mut Style::plain());
        prop_assert_eq!(spell(method.label(), &plain), spell(method.label(), &full), "{}", full);
    }

    #[test]
    fn no_bytes_make_it_panic(method in reads(), params in proptest::collection::vec(any::<u8>(), 0..80)) {
        let class = classify(method.label(), Some(&params));
        let spelled = super::canonical(&class, Some(&params));
        prop_assert!(spelled.is_none() || params.trim_ascii_start().first() == Some(&b'['));
    }
}
