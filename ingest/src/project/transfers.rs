//! The token transfers of a block message.

use perijove_core::market::Amount;

use crate::decode::wire;
use crate::project::arrivals::Arrivals;
use crate::project::fault::{Poisoned, ProjectError, Skip};
use crate::project::origin::{Block, Ordinals, Origin, key};
use crate::project::projected::Projected;
use crate::project::token::{Extensions, decimals, dollars, holder};
use crate::project::transfer::{Party, Transfer};
use crate::record::UnixMillis;

pub(super) fn project(message: wire::TokenBlockMessage, recorded: UnixMillis) -> Projected {
    let mut block = Block::new(message.header.as_ref(), recorded);
    let mut projected = Projected::default();
    for (place, transaction) in message.transactions.into_iter().enumerate() {
        let rows = transaction.transfers.len();
        match transfers(&mut block, transaction) {
            Ok(Ok(transfers)) => {
                projected.skipped.add(Skip::NoMint, rows - transfers.len());
                projected.transfers.extend(transfers);
            }
            Ok(Err(skip)) => projected.skipped.add(skip, rows),
            Err(fault) => projected.poisoned.push(Poisoned {
                transaction: place,
                fault,
            }),
        }
    }
    projected
}

fn transfers(
    block: &mut Block,
    transaction: wire::ParsedTokenTransaction,
) -> Result<Result<Vec<Transfer>, Skip>, ProjectError> {
    let origin = block.origin(transaction.index, &transaction.signature)?;
    if let Some(skip) = block.skip(&origin, transaction.status.as_ref()) {
        return Ok(Err(skip));
    }
    let arrivals = Arrivals::of(&transaction);
    let mut ordinals = Ordinals::default();
    let mut transfers = Vec::with_capacity(transaction.transfers.len());
    for event in transaction.transfers {
        let ordinal = ordinals.next(event.instruction_index);
        if let Some(transfer) = transfer(origin, event, ordinal)? {
            transfers.push(Transfer {
                received: arrivals.received(&transfer),
                ..transfer
            });
        }
    }
    Ok(Ok(transfers))
}

/// None when it names no token.
fn transfer(
    origin: Origin,
    event: wire::Transfer,
    ordinal: u32,
) -> Result<Option<Transfer>, ProjectError> {
    let currency = event.currency.unwrap_or_default();
    let Some(mint) = key("mint", &currency.mint_address)? else {
        return Ok(None);
    };
    let either = event.sender.as_ref().or(event.receiver.as_ref());
    Ok(Some(Transfer {
        origin,
        instruction: event.instruction_index,
        ordinal,
        mint,
        amount: Amount {
            raw: event.amount,
            decimals: decimals(mint, &currency, either)?,
        },
        received: None,
        extensions: Extensions::of(&currency),
        symbol: currency.symbol,
        sender: party(event.sender.as_ref())?,
        receiver: party(event.receiver.as_ref())?,
        authority: key("authority", &event.authority.unwrap_or_default().address)?,
        usd: dollars(event.amount_in_usd),
    }))
}

fn party(account: Option<&wire::Account>) -> Result<Party, ProjectError> {
    let (account, owner) = holder(account)?;
    Ok(Party { account, owner })
}
