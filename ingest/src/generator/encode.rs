//! A block message, including fields that ingest does not read.

use bytes::{BufMut, Bytes};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::decode::wire;

/// Lines of a program's log, for ballast that compresses as real messages do.
const WORDS: [&str; 8] = [
    "Program log: Instruction: Swap",
    "Program TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA invoke [3]",
    "Program log: Instruction: TransferChecked",
    "Program TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA success",
    "Program ComputeBudget111111111111111111111111111111 invoke [1]",
    "consumed 6173 of 188143 compute units",
    "{\"name\":\"pool\",\"isMut\":false,\"isSigner\":false}",
    "Program data: ",
];

/// Fields of the published messages that are skipped: the pool events of a transaction, the
/// instruction of one, the logs of that.
const POOL_EVENTS: u32 = 7;
const INSTRUCTION: u32 = 6;
const LOGS: u32 = 10;

/// The fields of a block message.
const HEADER: u32 = 1;
const TRANSACTIONS: u32 = 2;

pub(super) fn block(
    header: &wire::BlockHeader,
    transactions: &[wire::ParsedDexTransaction],
    ballast: usize,
    random: &mut fastrand::Rng,
) -> Bytes {
    let mut message = Vec::new();
    field(HEADER, &header.encode_to_vec(), &mut message);
    for transaction in transactions {
        let mut body = transaction.encode_to_vec();
        if ballast > 0 {
            let mut instruction = Vec::new();
            field(LOGS, logs(ballast, random).as_bytes(), &mut instruction);
            let mut event = Vec::new();
            field(INSTRUCTION, &instruction, &mut event);
            field(POOL_EVENTS, &event, &mut body);
        }
        field(TRANSACTIONS, &body, &mut message);
    }
    message.into()
}

fn logs(length: usize, random: &mut fastrand::Rng) -> String {
    let mut logs = String::with_capacity(length + 100);
    while logs.len() < length {
        logs.push_str(random.choice(WORDS).unwrap_or_default());
        logs.push_str(&random.u32(..).to_string());
    }
    logs
}

fn field(number: u32, content: &[u8], message: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, message);
    encode_varint(content.len() as u64, message);
    message.put_slice(content);
}
