//! Bitquery's own package encodes, ours decodes: every field that is read has the number and type
//! that the package publishes, and every message means what the package says it does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use perijove_core::settings::Setting as _;
use perijove_ingest::decode::{Encoding, Kind, Limits, Message, decode};
use protox::prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, Kind as Type};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What `encode.py` prints.
#[derive(Deserialize)]
struct Package {
    fields: BTreeMap<String, Published>,
    cases: Vec<Case>,
}

/// A field as the package has it.
#[derive(Debug, Deserialize, PartialEq)]
struct Published {
    number: u32,
    /// As in `FieldDescriptorProto.Type`.
    r#type: i32,
    message: Option<String>,
    repeated: bool,
}

/// A message as the package encodes it, and as it describes it.
#[derive(Deserialize)]
struct Case {
    kind: String,
    name: String,
    payload: String,
    /// As it was printed: to the last bit of every number.
    json: Box<RawValue>,
}

/// The names under which we read published messages a second time.
const SHORT: [(&str, &str); 3] = [
    ("AccountKey", "Account"),
    ("CurrencyKey", "Currency"),
    ("InstructionDepth", "ParsedIdlInstruction"),
];

fn published_name(ours: &str) -> &str {
    let short = SHORT.iter().find(|(short, _)| *short == ours);
    short.map_or(ours, |(_, name)| name)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs the package once.
fn package() -> &'static Package {
    static PACKAGE: OnceLock<Package> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let python = root().join(".venv/bitquery/bin/python");
        assert!(
            python.exists(),
            "Bitquery's Python package is missing; install it with: scripts/setup test"
        );
        let script = root().join("ingest/tests/bitquery/encode.py");
        let output = Command::new(python).arg(script).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        serde_json::from_slice(&output.stdout).unwrap()
    })
}

impl Case {
    fn kind(&self) -> Kind {
        Kind::from_text(&self.kind).unwrap()
    }

    fn read(&self, encoding: Encoding) -> Message {
        let payload = match encoding {
            Encoding::Json => self.json.get().to_owned().into(),
            _ => STANDARD.decode(&self.payload).unwrap().into(),
        };
        let read = decode(self.kind(), encoding, Some(&payload), &Limits::default());
        read.unwrap_or_else(|error| panic!("{} {} as {encoding:?}: {error}", self.kind, self.name))
    }
}

#[test]
fn every_field_we_read_is_published_with_this_number_and_type() {
    let files = protox::compile(
        ["solana.proto"],
        [Path::new(env!("CARGO_MANIFEST_DIR")).join("proto")],
    );
    let pool = DescriptorPool::from_file_descriptor_set(files.unwrap()).unwrap();
    let mut compared = 0;
    for message in pool.all_messages() {
        for field in message.fields() {
            let name = format!("{}.{}", published_name(message.name()), field.name());
            let published = package().fields.get(&name);
            assert_eq!(Some(&of(&field)), published, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 60, "{compared}");
}

fn of(field: &FieldDescriptor) -> Published {
    let message = match field.kind() {
        Type::Message(message) => Some(published_name(message.name()).to_owned()),
        _ => None,
    };
    Published {
        number: field.number(),
        r#type: field.field_descriptor_proto().r#type().into(),
        message,
        repeated: field.cardinality() == Cardinality::Repeated,
    }
}

#[test]
fn every_message_says_the_same_in_protobuf_and_in_json() {
    let cases = &package().cases;
    for case in cases {
        assert_eq!(
            case.read(Encoding::Protobuf),
            case.read(Encoding::Json),
            "{} {}",
            case.kind,
            case.name
        );
    }
    assert!(cases.len() > 400, "{}", cases.len());
}

#[test]
fn a_message_with_everything_leaves_no_field_of_ours_empty() {
    let full = package().cases.iter().filter(|case| case.name == "full");
    let mut kinds = 0;
    for case in full {
        let text = format!("{:?}", case.read(Encoding::Protobuf));
        for empty in [
            ": None", ": []", ": \"\"", ": b\"\"", ": 0,", ": 0.0", ": false",
        ] {
            assert!(!text.contains(empty), "{}: {empty} in {text}", case.kind);
        }
        kinds += 1;
    }
    assert_eq!(kinds, Kind::ALL.len());
}

#[test]
fn numbers_at_their_ends_are_read_exactly() {
    let named = |name: &str| {
        let mut cases = package().cases.iter();
        let case = cases.find(|case| case.kind == "trades" && case.name == name);
        match case.unwrap().read(Encoding::Protobuf) {
            Message::Trades(block) => block,
            other => panic!("{other:?} is no block of trades"),
        }
    };
    let greatest = named("greatest");
    assert_eq!(greatest.header.as_ref().unwrap().timestamp, i64::MAX);
    let transaction = &greatest.transactions[0];
    assert_eq!(transaction.index, u32::MAX);
    assert_eq!(transaction.signature, Bytes::from(vec![0xff; 64]));
    let bought = transaction.trades[0].buy.as_ref().unwrap();
    assert_eq!(bought.amount, u64::MAX);
    assert_eq!(bought.amount_in_usd.to_bits(), f32::MAX.to_bits());
    let least = named("least");
    assert_eq!(least.header.as_ref().unwrap().timestamp, i64::MIN);
    let sold = least.transactions[0].trades[0].sell.as_ref().unwrap();
    assert_eq!(sold.amount, 0);
    let currency = sold.currency.as_ref().unwrap();
    assert_eq!(currency.mint_address, Bytes::from(vec![0; 32]));
    assert!(currency.symbol.is_empty());
}
