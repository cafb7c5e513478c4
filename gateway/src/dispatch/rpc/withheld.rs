//! Keeps the gateway's key at an upstream out of answers to clients. "Not found" pages repeat the
//! path, and the path or query of a provider's URL is its key.

use bytes::Bytes;

use super::answer_payload::{AnswerPayload, JudgedCall};
use crate::config;
use crate::dispatch::operation::JudgedAttempt;
use crate::error::{RefusedPage, TEXT};
use crate::jsonrpc::{Answer, ErrorObject};

/// Longer pages are truncated when read, perhaps within a key, and are not passed on.
const LONGEST_PAGE: usize = 512;

/// Shorter parts of a URL occur in any text.
const LEAST: usize = 3;
/// The same for texts that clients understand and that are not withheld lightly.
const LEAST_IN_ERROR: usize = 6;
/// A part of only letters and at most this length may be a word.
const WORD: usize = 12;

/// Headers whose values are not secret.
const OPEN: [&str; 3] = ["content-type", "accept", "user-agent"];

/// Texts are unescaped until nothing changes, at most this often.
const MOST_ESCAPES: usize = 3;

/// The same judgement, with texts of our own in place of those that hold a part of the upstream's
/// address or of the headers it is sent.
pub(super) fn withheld(judged: JudgedCall, upstream: &config::UpstreamSettings) -> JudgedCall {
    let JudgedAttempt::Bad {
        verdict,
        answer,
        page,
    } = judged
    else {
        return judged;
    };
    JudgedAttempt::Bad {
        verdict,
        answer: answer.map(|answer| withheld_error(answer, upstream)),
        page: page.map(|page| withheld_page(page, upstream)),
    }
}

fn withheld_page(page: RefusedPage, upstream: &config::UpstreamSettings) -> RefusedPage {
    let is_text = page.content_type.starts_with("text/plain") || page.content_type.contains("json");
    let is_whole = page.body.len() < LONGEST_PAGE;
    if is_text && is_whole && !is_betrayed(&page.body, upstream, |part| part.len() >= LEAST) {
        return page;
    }
    let text = format!("The upstream answered HTTP {} to this call.\n", page.status);
    RefusedPage {
        status: page.status,
        content_type: TEXT,
        body: Bytes::from(text),
    }
}

fn withheld_error(payload: AnswerPayload, upstream: &config::UpstreamSettings) -> AnswerPayload {
    let AnswerPayload::Whole(answer) = &payload else {
        return payload;
    };
    let Some(ErrorObject {
        code,
        message,
        data,
        ..
    }) = answer.error()
    else {
        return payload;
    };
    let is_key = |part: &str| {
        let word = part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'-'));
        part.len() >= if word { WORD } else { LEAST_IN_ERROR }
    };
    let data = data.as_deref().unwrap_or_default();
    if ![message.as_bytes(), data]
        .into_iter()
        .any(|text| is_betrayed(text, upstream, is_key))
    {
        return payload;
    }
    let body = format!(
        r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":"The upstream answered error {code} to this call."}},"id":1}}"#
    );
    match Answer::scan(Bytes::from(body)) {
        Ok(answer) => AnswerPayload::Whole(answer),
        // It is well-formed.
        Err(_) => payload,
    }
}

/// Whether a text contains the upstream's path, or a part of its URL or headers that `counts`.
fn is_betrayed(
    text: &[u8],
    upstream: &config::UpstreamSettings,
    counts: impl Fn(&str) -> bool,
) -> bool {
    if text.is_empty() {
        return false;
    }
    let text = plain(&String::from_utf8_lossy(text));
    let url = upstream.url.expose();
    let (path, query) = (plain(url.path()), plain(url.query().unwrap_or_default()));
    let path = path.trim_end_matches('/');
    if path.len() > 1 && text.contains(path) {
        return true;
    }
    let headers = upstream
        .headers
        .iter()
        .filter(|(name, _)| !OPEN.contains(&name.as_str()))
        .map(|(_, value)| plain(value.expose()));
    let sources = [path.to_owned(), query].into_iter().chain(headers);
    for source in sources {
        let mut parts = source.split(['/', '?', '&', '=', ':', ';', ',', ' ', '\t', '\r', '\n']);
        if parts.any(|part| !is_common(part) && counts(part) && text.contains(part)) {
            return true;
        }
    }
    false
}

/// Common words of URLs and headers, which are not keys.
fn is_common(part: &str) -> bool {
    const COMMON: [&str; 14] = [
        "api",
        "api-key",
        "api_key",
        "apikey",
        "basic",
        "bearer",
        "devnet",
        "key",
        "mainnet",
        "mainnet-beta",
        "rpc",
        "solana",
        "testnet",
        "token",
    ];
    COMMON.contains(&part)
}

/// A text in lower case, without the escapes of browsers, URLs and JSON.
fn plain(text: &str) -> String {
    let mut text = text.to_ascii_lowercase();
    for _ in 0..MOST_ESCAPES {
        let next = unescaped(&text);
        if next == text {
            break;
        }
        text = next;
    }
    text
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let escape = match first {
            '%' => percent(rest),
            '&' => entity(rest),
            '\\' => backslash(rest),
            _ => None,
        };
        let (meant, length) = escape.unwrap_or_else(|| {
            let length = first.len_utf8();
            (
                rest.get(..length).unwrap_or_default().as_bytes().to_vec(),
                length,
            )
        });
        out.extend_from_slice(&meant);
        rest = rest.get(length..).unwrap_or_default();
    }
    String::from_utf8_lossy(&out).to_ascii_lowercase()
}

/// `%2f`
fn percent(text: &str) -> Option<(Vec<u8>, usize)> {
    let byte = u8::from_str_radix(text.get(1..3)?, 16).ok()?;
    Some((vec![byte], 3))
}

/// `&#x2f;`, `&#47;` and the named ones that may stand in an address.
fn entity(text: &str) -> Option<(Vec<u8>, usize)> {
    const NAMED: [(&str, char); 8] = [
        ("amp", '&'),
        ("apos", '\''),
        ("colon", ':'),
        ("equals", '='),
        ("gt", '>'),
        ("lt", '<'),
        ("quot", '"'),
        ("sol", '/'),
    ];
    let end = text.bytes().take(12).position(|byte| byte == b';')?;
    let name = text.get(1..end)?;
    let meant = if let Some(hex) = name.strip_prefix("#x") {
        char::from_u32(u32::from_str_radix(hex, 16).ok()?)?
    } else if let Some(decimal) = name.strip_prefix('#') {
        char::from_u32(decimal.parse().ok()?)?
    } else {
        NAMED.iter().find(|(known, _)| *known == name)?.1
    };
    Some((meant.to_string().into_bytes(), end + 1))
}

/// `\u002f`, `\/`
fn backslash(text: &str) -> Option<(Vec<u8>, usize)> {
    if let Some(hex) = text.strip_prefix("\\u").and_then(|hex| hex.get(..4))
        && let Some(meant) = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)
    {
        return Some((meant.to_string().into_bytes(), 6));
    }
    matches!(text.as_bytes().get(1), Some(b'/' | b'"' | b'\\')).then(|| (Vec::new(), 1))
}

#[cfg(test)]
mod tests;
