//! How to connect to Kafka and read it.

use std::time::Duration;

use perijove_core::Secret;
use perijove_core::settings::{Section, Size, is_name, words};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::config::{Broker, Group, KafkaTls, Mechanism, Reset, Security, Start};

/// The cluster, with Bitquery's values as defaults. Offsets are never auto-committed.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
#[schemars(transform = add_switch)]
pub struct Kafka {
    /// Host and port of some brokers; the others are discovered through them.
    pub brokers: Vec<Broker>,
    /// Security of connections: `sasl_plaintext` (port 9092 at Bitquery), `sasl_ssl` (9093), `ssl`
    /// or `plaintext`.
    pub security: Security,
    /// The SASL mechanism.
    pub mechanism: Mechanism,
    /// The user name for Kafka, which is not that of the web site. Only from outside the file.
    pub username: Option<Secret>,
    /// Its password. Only from outside the file.
    pub password: Option<Secret>,
    pub tls: KafkaTls,
    pub group: Group,
    /// How the members of the group share the partitions. Must be equal in all of them; changing it
    /// needs all of them stopped.
    pub assignment: Assignment,
    /// Where to begin a partition that was never read: `latest`, `earliest`, or how far back, such
    /// as `30m`. One that is added to a topic later is read from its oldest record.
    pub start: Start,
    /// Where to continue if the next record is gone. The gap is recorded.
    pub out_of_range: Reset,
    /// After this long without a heartbeat the member counts as gone.
    pub session_timeout: Duration,
    /// Interval of heartbeats.
    pub heartbeat: Duration,
    /// After this long without a poll the member counts as stuck.
    pub max_poll_interval: Duration,
    /// Time limit for opening a connection, including the login.
    pub connect: Duration,
    /// Bytes that may be prefetched.
    pub prefetch: usize,
    /// How long fetching pauses when that is full.
    pub prefetch_pause: Duration,
    /// Interval of committing offsets to Kafka. They are only for tools that show the lag; the
    /// database's offsets count.
    pub commit_interval: Duration,
}

/// How partitions are shared.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq)]
pub enum Assignment {
    /// Only partitions that move are interrupted.
    CooperativeSticky,
    /// All partitions are interrupted and reassigned.
    RoundRobin,
}

words!(Assignment, "cooperative-sticky or roundrobin",
    "cooperative-sticky" => Self::CooperativeSticky,
    "roundrobin" => Self::RoundRobin,
);

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: Broker::bitquery(),
            security: Security::SaslPlaintext,
            mechanism: Mechanism::ScramSha512,
            username: None,
            password: None,
            tls: KafkaTls::default(),
            group: Group::default(),
            assignment: Assignment::CooperativeSticky,
            start: Start::Latest,
            out_of_range: Reset::Earliest,
            session_timeout: Duration::from_secs(45),
            heartbeat: Duration::from_secs(3),
            max_poll_interval: Duration::from_mins(5),
            connect: Duration::from_secs(30),
            prefetch: 64 * 1024 * 1024,
            prefetch_pause: Duration::from_millis(10),
            commit_interval: Duration::from_secs(5),
        }
    }
}

impl Kafka {
    /// `None` if there is no such section, or it is switched off.
    pub(super) fn read_from(section: &mut Section<'_>) -> Option<Self> {
        let wanted = section.has("kafka");
        section.nested("kafka", |section| {
            let on = is_on(section);
            section.forgive_unset(!on);
            let kafka = Self::read(section, wanted && on);
            section.forgive_unset(false);
            (wanted && on).then_some(kafka)
        })
    }

    fn read(section: &mut Section<'_>, wanted: bool) -> Self {
        let default = Self::default();
        let brokers = section.list_or("brokers", default.brokers);
        if brokers.is_empty() && wanted && section.is_empty_list("brokers") {
            section.violation("brokers", "needs at least one broker");
        }
        let security = section.or("security", default.security);
        let mechanism = section.or("mechanism", default.mechanism);
        let username = section.outside_secret("username");
        let password = section.outside_secret("password");
        for key in ["username", "password"] {
            if wanted && security.is_sasl() && !section.has(key) {
                section.violation(key, "is missing");
            } else if !security.is_sasl() && section.has(key) {
                section.violation(key, "has no effect without SASL; see kafka.security");
            }
        }
        let tls = section.nested("tls", KafkaTls::read);
        if section.has("tls") && !security.is_tls() {
            section.violation("tls", "has no effect without TLS; see kafka.security");
        }
        let group = section.nested("group", |section| {
            let named = !wanted || security.is_sasl();
            Group::read(section, username.as_ref().map(Secret::expose), named)
        });
        let kafka = Self {
            brokers,
            security,
            mechanism,
            username,
            password,
            tls,
            group,
            assignment: section.or("assignment", default.assignment),
            start: section.or("start", default.start),
            out_of_range: section.or("out_of_range", default.out_of_range),
            ..Self::times(section)
        };
        if kafka.group.member.is_some() && kafka.assignment == Assignment::CooperativeSticky {
            // A member that is killed between giving up partitions and rejoining comes back under
            // its name unnoticed, and the next round never happens: nobody reads those partitions.
            section.violation(
                "assignment",
                "must be roundrobin with group.member: otherwise a member killed during a \
                 rebalance can leave partitions unassigned",
            );
        }
        if kafka.heartbeat.saturating_mul(3) > kafka.session_timeout {
            section.violation("heartbeat", "must not be above a third of session_timeout");
        }
        if kafka.max_poll_interval < kafka.session_timeout {
            section.violation("max_poll_interval", "must not be below session_timeout");
        }
        kafka
    }

    fn times(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let minutes = |minutes: u64| Duration::from_secs(1)..=Duration::from_mins(minutes);
        let prefetch = Size(default.prefetch);
        Self {
            session_timeout: section.within(
                "session_timeout",
                default.session_timeout,
                minutes(30),
            ),
            heartbeat: section.within("heartbeat", default.heartbeat, minutes(10)),
            max_poll_interval: section.within(
                "max_poll_interval",
                default.max_poll_interval,
                minutes(24 * 60),
            ),
            connect: section.within("connect", default.connect, minutes(5)),
            prefetch: section
                .within("prefetch", prefetch, Size::mib(1)..=Size::mib(2047))
                .0,
            prefetch_pause: section.within(
                "prefetch_pause",
                default.prefetch_pause,
                Duration::from_millis(1)..=Duration::from_secs(10),
            ),
            commit_interval: section.within(
                "commit_interval",
                default.commit_interval,
                minutes(10),
            ),
            ..default
        }
    }
}

/// Whether Kafka is to be used at all.
fn is_on(section: &mut Section<'_>) -> bool {
    let Some(variable) = section.optional::<String>("when_env") else {
        return true;
    };
    if !is_name(&variable) {
        section.violation("when_env", "must be the name of an environment variable");
        return true;
    }
    let set = section.is_set(&variable);
    if !set {
        section.warn(
            "when_env",
            format_args!("{variable} is not set; only recordings can be read"),
        );
    }
    set
}

/// The key that is not in [`Kafka`], because it has taken effect before it exists.
fn add_switch(schema: &mut Schema) {
    let description = "Name of an environment variable; while it is unset or empty Kafka is left out, \
                       and the variables it refers to need not be set.";
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("when_env".to_owned(), json!({ "description": description }));
    }
}
