//! Makes Rust of the `.proto` files, without `protoc`. Every field can also be read from the JSON
//! that Bitquery writes: the published names, base58 for bytes, numbers perhaps as text.

use std::error::Error;

use protox::prost_reflect::{DescriptorPool, FieldDescriptor, Kind};

const FILES: [&str; 2] = ["proto/solana.proto", "proto/recording.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["proto"])?;
    let pool = DescriptorPool::from_file_descriptor_set(descriptors.clone())?;
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    config.message_attribute(
        ".perijove.solana",
        "#[derive(serde::Deserialize)] #[serde(default)]",
    );
    let messages = pool.all_messages();
    for field in messages
        .filter(|message| message.package_name() == "perijove.solana")
        .flat_map(|message| message.fields().collect::<Vec<_>>())
    {
        let path = format!("{}.{}", field.parent_message().full_name(), field.name());
        config.field_attribute(path, json(&field));
    }
    config.compile_fds(descriptors)?;
    Ok(())
}

/// How a field is written in JSON.
fn json(field: &FieldDescriptor) -> String {
    let reader = match field.kind() {
        _ if field.is_list() => "or_default",
        Kind::Bytes => "base58",
        Kind::Uint32 | Kind::Uint64 | Kind::Int64 => "number",
        Kind::Double => "double",
        Kind::Message(_) => return format!("#[serde(rename = {:?})]", field.name()),
        _ => "or_default",
    };
    format!(
        "#[serde(rename = {:?}, deserialize_with = \"crate::decode::json::{reader}\")]",
        field.name()
    )
}
