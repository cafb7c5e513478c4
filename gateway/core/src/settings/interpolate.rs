//! `${NAME}` in values: its replacement, and errors in it. Pure; the lookup is passed in.
//!
//! `${NAME}` is the variable, which must be set; `${NAME:-text}` is `text` if it is not set or
//! empty; `$$` is a single `$`. Any other `$` is literal. Keys are never interpolated.

/// Replaces every reference in `text`.
///
/// # Errors
/// Says what is wrong with the first bad reference. Values never appear in it.
pub(super) fn interpolate(
    text: &str,
    mut lookup: impl FnMut(&str) -> Option<String>,
) -> Result<String, Fault> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (reference, after) = after.split_once('}').ok_or(Fault::Unclosed)?;
            out.push_str(&resolve(reference, &mut lookup)?);
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn resolve(
    reference: &str,
    lookup: &mut impl FnMut(&str) -> Option<String>,
) -> Result<String, Fault> {
    let (name, fallback) = match reference.split_once(":-") {
        Some((name, fallback)) => (name, Some(fallback)),
        None => (reference, None),
    };
    if !is_name(name) {
        return Err(Fault::Name(reference.to_owned()));
    }
    match (lookup(name), fallback) {
        (_, Some(fallback)) if fallback.contains("${") => Err(Fault::Nested),
        (None, None) => Err(Fault::Unset(name.to_owned())),
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(fallback)) => Ok(fallback.to_owned()),
    }
}

/// Whether `name` can be the name of an environment variable.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether the whole of `text` is one variable, without a default.
pub(super) fn is_reference(text: &str) -> bool {
    text.strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(is_name)
}

/// Whether something was probably meant to be replaced and was not: `$NAME` as in a shell, or `${`
/// in the content of a variable or a file. `written` is the value as written in the file, if it is
/// text, and `text` the result.
pub(super) fn is_left(written: Option<&str>, text: &str) -> bool {
    let written = written.unwrap_or_default();
    // A doubled `$` is deliberate, but `${` never is.
    text.contains("${")
        || has_bare_name(&written.replace("$$", ""), |c| {
            c.is_ascii_alphabetic() || c == '_'
        })
        || (!written.contains("$$") && has_bare_name(text, |c| c.is_ascii_uppercase() || c == '_'))
}

/// Whether a `$` stands before two characters at least that begin a name.
fn has_bare_name(text: &str, begins: impl Fn(char) -> bool) -> bool {
    let mut behind = text.split('$').skip(1).map(str::chars);
    behind.any(|mut name| name.next().is_some_and(&begins) && name.next().is_some_and(&begins))
}

/// What is wrong with a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("environment variable {0} is not set; `${{{0}:-default}}` would give a default")]
    Unset(String),
    #[error("`${{` without `}}`; write `$$` for a plain `$`")]
    Unclosed,
    #[error("`${{{0}}}` does not name an environment variable; write `$$` for a plain `$`")]
    Name(String),
    #[error("a default may not contain `${{`")]
    Nested,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_host(text: &str) -> Result<String, Fault> {
        interpolate(text, |name| match name {
            "HOST" => Some("node-1".to_owned()),
            "EMPTY" => Some(String::new()),
            "COST" => Some("${HOST}$$".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn references_are_replaced() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("${HOST}", "node-1"),
            ("http://${HOST}:8899/${EMPTY}", "http://node-1:8899/"),
            ("${MISSING:-here}", "here"),
            ("${EMPTY:-here}", "here"),
            ("${HOST:-here}", "node-1"),
            ("${MISSING:-}", ""),
            ("${MISSING:-a:-b}", "a:-b"),
            ("$HOST costs 5$", "$HOST costs 5$"),
            ("$${HOST}", "${HOST}"),
            ("$$$$", "$$"),
            // A value is never looked into again.
            ("${COST}", "${HOST}$$"),
        ] {
            assert_eq!(with_host(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn bad_references_are_named() {
        for (text, fault) in [
            ("a ${MISSING} b", Fault::Unset("MISSING".to_owned())),
            ("${HOST", Fault::Unclosed),
            ("${}", Fault::Name(String::new())),
            ("${1ST}", Fault::Name("1ST".to_owned())),
            ("${HO ST:-x}", Fault::Name("HO ST:-x".to_owned())),
            ("${MISSING:-${HOST}}", Fault::Nested),
        ] {
            assert_eq!(with_host(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn only_a_variable_alone_is_a_reference() {
        for (text, expected) in [
            ("${NAME}", true),
            ("${NAME:-default}", false),
            ("${NAME}${NAME}", false),
            ("a${NAME}", false),
            ("$NAME", false),
            ("${}", false),
            ("", false),
        ] {
            assert_eq!(is_reference(text), expected, "{text}");
        }
    }

    #[test]
    fn what_was_meant_to_be_replaced_is_noticed() {
        for (written, text, expected) in [
            (Some("$HELIUS_KEY"), "$HELIUS_KEY", true),
            (Some("http://a/?key=$key"), "http://a/?key=$key", true),
            (Some("${KEY}"), "hunter2", false),
            (Some("${KEY}"), "$HELIUS_KEY", true),
            (Some("${KEY}"), "${HELIUS_KEY}", true),
            (Some("${URL}"), "http://a/?key=$KEY", true),
            (None, "${HELIUS_KEY}", true),
            (None, "$HELIUS_KEY", true),
            (None, "pa$$word", false),
            (None, "pa$word5", false),
            (Some("5$"), "5$", false),
            (Some("a$5b"), "a$5b", false),
            (Some("pa$$WORD"), "pa$WORD", false),
            (Some("$${KEY}"), "${KEY}", true),
        ] {
            assert_eq!(is_left(written, text), expected, "{written:?} {text}");
        }
    }

    proptest! {
        #[test]
        fn escaped_text_comes_back_as_it_was(text in ".{0,60}") {
            prop_assert_eq!(with_host(&text.replace('$', "$$")), Ok(text));
        }

        #[test]
        fn no_text_panics(text in "[${}:A-Z-]{0,40}") {
            drop(with_host(&text));
        }
    }
}
