//! Which consumer group this process belongs to.

use perijove_core::settings::Section;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// The group. Bitquery counts each one as a separate stream and requires its name to begin with the
/// user name.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq, Eq)]
#[schemars(transform = add_parts)]
pub struct Group {
    /// The whole id; without it `prefix-app-instance`.
    pub id: String,
    /// A name of this process that survives restarts: a restart within `session_timeout` then moves
    /// no partition. Unique in the group; needs the assignment `roundrobin`.
    pub member: Option<String>,
}

const APP: &str = "dex-monitor";
const INSTANCE: &str = "prod-01";

/// Kafka's own limit.
const LONGEST: usize = 249;

impl Group {
    /// `named`: a missing user name is reported elsewhere.
    pub(super) fn read(section: &mut Section<'_>, username: Option<&str>, named: bool) -> Self {
        let id: Option<String> = section.optional("id");
        let prefix: Option<String> = section.optional("prefix");
        let app = section.or("app", APP.to_owned());
        let instance = section.or("instance", INSTANCE.to_owned());
        let member: Option<String> = section.optional("member");
        for key in ["prefix", "app", "instance"] {
            if section.has("id") && section.has(key) {
                section.violation(key, "has no effect together with id");
            }
        }
        if !named && id.is_none() && !section.has("id") && prefix.is_none() {
            section.violation(
                "prefix",
                "is missing, and there is no kafka.username to use instead",
            );
        }
        let prefix = prefix.as_deref().or(username).unwrap_or_default();
        let id = id.unwrap_or_else(|| format!("{prefix}-{app}-{instance}"));
        if !is_plain(&id) {
            section.violation(
                "id",
                format_args!("must be 1 to {LONGEST} of A-Z a-z 0-9 - _ ."),
            );
        }
        if member.as_ref().is_some_and(|member| !is_plain(member)) {
            section.violation(
                "member",
                format_args!("must be 1 to {LONGEST} of A-Z a-z 0-9 - _ ."),
            );
        }
        Self { id, member }
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= LONGEST && name.bytes().all(plain)
}

/// The keys that are not in [`Group`], because the id is made of them.
fn add_parts(schema: &mut Schema) {
    for (key, description) in [
        ("prefix", "First part of the id. Without it the user name."),
        ("app", "Second part of the id."),
        ("instance", "Third part of the id."),
    ] {
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert(key.to_owned(), json!({ "description": description }));
        }
    }
}
