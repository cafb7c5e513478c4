"""Subscriptions with solana-py: the 0.36 line and the 0.41 line, whose WebSocket clients differ."""

import asyncio
import json

from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.rpc.config import RpcTransactionLogsFilterMentions
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from steps import RPC_URL, name, step, until

try:
    from solana.rpc.models import TxOpts
except ImportError:
    from solana.rpc.types import TxOpts
try:
    from solana.rpc.websocket_api import SolanaWsClient
except ImportError:
    SolanaWsClient = None
    from solana.rpc.websocket_api import connect

SOL = 1_000_000_000
WS_URL = RPC_URL.replace("http", "ws", 1)
SECONDS = 20
OPTIONS = TxOpts(preflight_commitment=Confirmed)

payer = Keypair()


class Socket:
    """What both lines can do: subscribe, and give notifications one by one."""

    def __init__(self, client):
        self.client = client
        self.early = []

    async def follow(self, what, **params):
        if SolanaWsClient:
            return (await getattr(self.client, f"{what}_subscribe")(**params)).subscription_id
        await getattr(self.client, f"{what}_subscribe")(*params.values())
        first, *self.early = await asyncio.wait_for(self.client.recv(), SECONDS)
        return first.result

    async def next(self):
        if SolanaWsClient:
            return await asyncio.wait_for(self.client.recv(), SECONDS)
        while not self.early:
            self.early = await asyncio.wait_for(self.client.recv(), SECONDS)
        return self.early.pop(0)


def shown(notification):
    return json.loads(notification.to_json())["result"]


async def transfer_to(client, receiver, lamports):
    latest = (await client.get_latest_blockhash(Confirmed)).value
    params = TransferParams(from_pubkey=payer.pubkey(), to_pubkey=receiver, lamports=lamports)
    message = MessageV0.try_compile(payer.pubkey(), [transfer(params)], [], latest.blockhash)
    return VersionedTransaction(message, [payer])


def receiver_of(label):
    receiver = Keypair().pubkey()
    name(receiver, label)
    return receiver


async def send(client, transaction):
    return (await client.send_transaction(transaction, opts=OPTIONS)).value


@step("an account")
async def account(client, socket):
    receiver = receiver_of("watched")
    await socket.follow("account", pubkey=receiver, commitment=Confirmed)
    await send(client, await transfer_to(client, receiver, SOL))
    return shown(await socket.next())


@step("logs")
async def logs(client, socket):
    receiver = receiver_of("mentioned")
    mentions = RpcTransactionLogsFilterMentions(receiver)
    await socket.follow("logs", filter_=mentions, commitment=Confirmed)
    transaction = await transfer_to(client, receiver, SOL)
    await send(client, transaction)
    told = shown(await socket.next())
    assert told["value"]["signature"] == str(transaction.signatures[0])
    return told


@step("a signature")
async def signature(client, socket):
    transaction = await transfer_to(client, receiver_of("signed for"), SOL)
    signed = transaction.signatures[0]
    await socket.follow("signature", signature=signed, commitment=Confirmed)
    await send(client, transaction)
    return shown(await socket.next())


@step("slots")
async def slots(client, socket):
    await socket.follow("slot")
    told = [shown(await socket.next()) for _ in range(4)]
    steps = [after["slot"] - before["slot"] for before, after in zip(told, told[1:])]
    return {"steps": steps, "behind": [one["slot"] - one["root"] for one in told]}


@step("roots")
async def roots(client, socket):
    await socket.follow("root")
    first, second = shown(await socket.next()), shown(await socket.next())
    return second - first


async def fund(client):
    await client.request_airdrop(payer.pubkey(), 10 * SOL)

    async def funded():
        return (await client.get_balance(payer.pubkey(), Confirmed)).value

    await until("the airdrop", funded)


async def main():
    name(payer.pubkey(), "payer")
    async with AsyncClient(RPC_URL) as client:
        await fund(client)
        for run in (account, logs, signature, slots, roots):
            opened = SolanaWsClient(WS_URL) if SolanaWsClient else connect(WS_URL)
            async with opened as socket:
                await run(client, Socket(socket))


asyncio.run(main())
