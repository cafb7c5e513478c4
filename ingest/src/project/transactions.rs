//! The transactions of a block message, failed ones included.

use crate::decode::wire;
use crate::project::fault::{Poisoned, ProjectError, Skip};
use crate::project::market::JUPITER;
use crate::project::origin::{Block, key};
use crate::project::projected::Projected;
use crate::project::token::dollars;
use crate::project::transaction::TransactionRow;
use crate::record::UnixMillis;

pub(super) fn project(message: wire::ParsedIdlBlockMessage, recorded: UnixMillis) -> Projected {
    let mut block = Block::new(message.header.as_ref(), recorded);
    let mut projected = Projected::default();
    for (place, transaction) in message.transactions.into_iter().enumerate() {
        match row(&mut block, transaction) {
            Ok(Some(row)) => projected.transactions.push(row),
            Ok(None) => projected.skipped.add(Skip::Duplicate, 1),
            Err(fault) => projected.poisoned.push(Poisoned {
                transaction: place,
                fault,
            }),
        }
    }
    projected
}

/// None when the message had the transaction before.
fn row(
    block: &mut Block,
    transaction: wire::ParsedIdlTransaction,
) -> Result<Option<TransactionRow>, ProjectError> {
    let origin = block.origin(transaction.index, &transaction.signature)?;
    let mut programs = Vec::new();
    for instruction in &transaction.parsed_idl_instructions {
        let Some(program) = &instruction.program else {
            continue;
        };
        if let Some(program) = key("program", &program.address)?
            && !programs.contains(&program)
        {
            programs.push(program);
        }
    }
    let status = transaction.status.unwrap_or_default();
    let header = transaction.header.unwrap_or_default();
    let row = TransactionRow {
        origin,
        success: status.success,
        error: status.error_message,
        fee: header.fee,
        fee_usd: dollars(transaction.fee_in_usd),
        fee_payer: key("fee payer", &header.fee_payer)?,
        signer: key("signer", &header.signer)?,
        instructions: transaction.parsed_idl_instructions.len(),
        jupiter: programs.iter().any(|program| JUPITER.contains(program)),
        programs,
    };
    Ok(block.first(&origin).then_some(row))
}
