//! Transfers and transactions.

use super::*;

#[test]
fn transfers_have_both_ends_and_may_lack_one() {
    let account = |owner: Option<Pubkey>| wire::Account {
        address: bytes(POOL),
        token: owner.map(|owner| wire::TokenInfo {
            mint: bytes(MINT),
            owner: bytes(owner),
            decimals: 6,
        }),
    };
    let event = |currency| wire::Transfer {
        instruction_index: 2,
        amount: u64::MAX,
        sender: Some(account(Some(WSOL))),
        receiver: None,
        authority: Some(wire::AccountKey {
            address: bytes(USDC),
        }),
        currency,
        amount_in_usd: 2.5,
    };
    let currency = wire::Currency {
        mint_address: bytes(MINT),
        ..Default::default()
    };
    let message = wire::TokenBlockMessage {
        header: None,
        transactions: vec![wire::ParsedTokenTransaction {
            signature: Bytes::from(vec![1; 64]),
            status: success(),
            transfers: vec![event(None), event(Some(currency))],
            ..Default::default()
        }],
    };
    let projected = project(Message::Transfers(message), RECORDED);
    assert_eq!(projected.skipped.of(Skip::NoMint), 1);
    let [transfer] = &projected.transfers[..] else {
        panic!("one transfer: {projected:?}");
    };
    assert_eq!((transfer.key().instruction, transfer.key().ordinal), (2, 1));
    assert_eq!(
        transfer.amount.decimal().as_deref(),
        Some("18446744073709.551615")
    );
    let sender = Party {
        account: Some(POOL),
        owner: Some(WSOL),
    };
    assert_eq!(
        (transfer.sender, transfer.receiver),
        (sender, Party::default())
    );
    assert_eq!((transfer.authority, transfer.usd), (Some(USDC), Some(2.5)));
    assert_eq!(transfer.received, None);
}

#[test]
fn transactions_are_kept_with_their_programs_also_when_they_failed() {
    let call = |program: Option<Pubkey>| wire::ParsedIdlInstruction {
        program: program.map(|program| wire::Program {
            address: bytes(program),
            ..Default::default()
        }),
        ..Default::default()
    };
    let one = wire::ParsedIdlTransaction {
        signature: Bytes::from(vec![1; 64]),
        status: Some(wire::TransactionStatus {
            success: false,
            error_message: "slippage".to_owned(),
        }),
        header: Some(wire::TransactionHeader {
            fee: 5000,
            signer: bytes(USDC),
            ..Default::default()
        }),
        parsed_idl_instructions: vec![
            call(Some(POOL)),
            call(None),
            call(Some(JUPITER[0])),
            call(Some(POOL)),
        ],
        ..Default::default()
    };
    let message = wire::ParsedIdlBlockMessage {
        header: None,
        transactions: vec![one.clone(), one],
    };
    let projected = project(Message::Transactions(message), RECORDED);
    assert_eq!(projected.skipped.of(Skip::Duplicate), 1);
    let [row] = &projected.transactions[..] else {
        panic!("one transaction: {projected:?}");
    };
    assert!(!row.success && row.jupiter);
    assert_eq!(
        (row.error.as_str(), row.fee, row.instructions),
        ("slippage", 5000, 4)
    );
    assert_eq!(row.programs, [POOL, JUPITER[0]]);
    assert_eq!((row.signer, row.fee_payer), (Some(USDC), None));
}
