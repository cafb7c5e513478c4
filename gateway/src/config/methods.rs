//! Which RPC methods the gateway serves at all.

use perijove_core::settings::Section;
use schemars::JsonSchema;

/// Methods for the gateway as a whole; each upstream has lists of its own.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq, Eq)]
pub struct Methods {
    /// Refused with -32601 before any upstream is asked.
    pub deny: Vec<String>,
    /// Methods beyond Agave's that only read: they may be sent twice and retried on another
    /// upstream. The usual ones of providers are known.
    pub read: Vec<String>,
}

impl Methods {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            deny: method_names(section, "deny"),
            read: method_names(section, "read"),
        }
    }
}

pub(super) fn is_method_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(plain)
}

/// A list of RPC methods.
pub(super) fn method_names(section: &mut Section<'_>, key: &'static str) -> Vec<String> {
    let names: Vec<String> = section.list_or(key, Vec::new());
    for (index, name) in names.iter().enumerate() {
        if !is_method_name(name) {
            section.violation(
                &format!("{key}[{index}]"),
                "must be the name of an RPC method",
            );
        }
    }
    names
}
