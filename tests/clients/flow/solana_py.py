"""The flow with solana-py: the 0.36 line and the 0.41 line, each from its own environment.

Both have the asynchronous client. The 0.36 line also has the synchronous one and batches.
"""

import asyncio
import json

from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Processed
from solana.rpc.core import RPCException
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.rpc.requests import GetBalance, GetGenesisHash, GetSlot
from solders.rpc.responses import GetBalanceResp, GetGenesisHashResp, GetSlotResp
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from solders.transaction_status import TransactionConfirmationStatus

from steps import RPC_URL, name, refused, step, until, while_an_endpoint_dies

try:
    from solana.rpc.models import TxOpts
except ImportError:
    from solana.rpc.types import TxOpts
try:
    from solana.rpc.api import Client
    from solana.rpc.providers.async_http import AsyncHTTPProvider
except ImportError:
    Client = AsyncHTTPProvider = None

SOL = 1_000_000_000
WHALE = Pubkey.from_string("WhaLe11111111111111111111111111111111111111")
WHALE_LAMPORTS = 9_007_199_254_740_993
OPTIONS = TxOpts(preflight_commitment=Confirmed)

payer, receiver = Keypair(), Keypair()


def shown(answer):
    """A response of solders as plain values."""
    return json.loads(answer.to_json())


def shown_error(error):
    seen = {"type": type(error).__name__, "text": str(error)}
    if isinstance(error, RPCException):
        seen["answer"] = shown(error.args[0])
    return seen


async def confirmed(client, signature):
    async def poll():
        status = (await client.get_signature_statuses([signature])).value[0]
        settled = status and status.confirmation_status != TransactionConfirmationStatus.Processed
        return status if settled else None

    return await until(f"the confirmation of {signature}", poll)


async def transfer_of(client, lamports, blockhash=None):
    latest = (await client.get_latest_blockhash(Confirmed)).value
    instruction = transfer(
        TransferParams(
            from_pubkey=payer.pubkey(), to_pubkey=receiver.pubkey(), lamports=lamports
        )
    )
    message = MessageV0.try_compile(
        payer=payer.pubkey(),
        instructions=[instruction],
        address_lookup_table_accounts=[],
        recent_blockhash=blockhash or latest.blockhash,
    )
    return VersionedTransaction(message, [payer])


@step("cluster")
async def cluster(client):
    return {
        "connected": await client.is_connected(),
        "version": shown(await client.get_version()),
        "genesis": shown(await client.get_genesis_hash()),
        "rent": shown(await client.get_minimum_balance_for_rent_exemption(165)),
    }


@step("airdrop")
async def airdrop(client):
    signature = (await client.request_airdrop(payer.pubkey(), 2 * SOL)).value
    status = await confirmed(client, signature)
    balance = (await client.get_balance(payer.pubkey(), Confirmed)).value
    assert balance == 2 * SOL
    return {"err": status.err, "balance": balance}


@step("signed transfer")
async def signed_transfer(client):
    transaction = await transfer_of(client, SOL // 2)
    signature = (await client.send_transaction(transaction, OPTIONS)).value
    assert signature == transaction.signatures[0]
    await client.confirm_transaction(signature, Confirmed, sleep_seconds=0.1)
    balance = (await client.get_balance(receiver.pubkey(), Confirmed)).value
    assert balance == SOL // 2
    seen = await client.get_transaction(
        signature, encoding="json", commitment=Confirmed, max_supported_transaction_version=0
    )
    assert seen.value.transaction.meta.fee == 5_000
    history = await client.get_signatures_for_address(receiver.pubkey(), commitment=Confirmed)
    unknown = await client.get_transaction(Signature.default(), commitment=Confirmed)
    return {
        "balance": balance,
        "transaction": shown(seen),
        "history": shown(history),
        "unknown": shown(unknown),
    }


@step("insufficient funds")
async def insufficient_funds(client):
    transaction = await transfer_of(client, 100 * SOL)
    error = await refused(client.send_transaction(transaction, OPTIONS), shown_error)
    assert "insufficient lamports" in json.dumps(error["answer"])
    return error


@step("unknown blockhash")
async def unknown_blockhash(client):
    transaction = await transfer_of(client, 1, Hash.default())
    error = await refused(client.send_transaction(transaction, OPTIONS), shown_error)
    assert "Blockhash not found" in error["text"]
    return error


@step("simulation")
async def simulation(client):
    transaction = await transfer_of(client, 5)
    return shown(await client.simulate_transaction(transaction, commitment=Confirmed))["result"]


@step("numbers beyond 2^53")
async def large_numbers(client):
    account = await client.get_account_info(WHALE, Confirmed)
    assert account.value.lamports == WHALE_LAMPORTS
    assert account.value.rent_epoch == 2**64 - 1
    return shown(account)


@step("large answer")
async def large_answer(client):
    keys = [(payer if i % 2 else receiver).pubkey() for i in range(100)]
    accounts = await client.get_multiple_accounts(keys, Confirmed)
    assert len(accounts.value) == 100
    return shown(accounts)


@step("many at once")
async def many_at_once(client):
    calls = (client.get_balance(receiver.pubkey(), Confirmed) for _ in range(50))
    return [answer.value for answer in await asyncio.gather(*calls)]


@step("slots never go backwards")
async def slots(client):
    seen = [(await client.get_slot(Processed)).value for _ in range(30)]
    assert seen == sorted(seen), seen


@step("an endpoint dies")
async def endpoint_dies(client):
    async def call():
        return (await client.get_balance(payer.pubkey(), Confirmed)).value

    return await while_an_endpoint_dies(call)


@step("batch")
async def batch(_client):
    async with AsyncHTTPProvider(RPC_URL) as provider:
        requests = (GetBalance(WHALE), GetGenesisHash(), GetSlot(), GetBalance(receiver.pubkey()))
        parsers = (GetBalanceResp, GetGenesisHashResp, GetSlotResp, GetBalanceResp)
        whale, genesis, slot, balance = await provider.make_batch_request(requests, parsers)
    assert slot.value > 0
    return [shown(whale), shown(genesis), shown(balance)]


@step("synchronous client")
async def synchronous(_client):
    def calls():
        client = Client(RPC_URL)
        return [client.get_balance(WHALE).value, shown(client.get_genesis_hash())]

    return await asyncio.to_thread(calls)


async def main():
    name(payer.pubkey(), "payer")
    name(receiver.pubkey(), "receiver")
    async with AsyncClient(RPC_URL) as client:
        for run in (
            cluster,
            airdrop,
            signed_transfer,
            insufficient_funds,
            unknown_blockhash,
            simulation,
            large_numbers,
            large_answer,
            many_at_once,
            slots,
            endpoint_dies,
        ):
            await run(client)
        if Client is not None:
            await batch(client)
            await synchronous(client)


asyncio.run(main())
