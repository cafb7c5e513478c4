"""Follows with solana-py, the 0.36 line and the 0.41 line; see lines.mjs for what it obeys and prints."""

import asyncio
import json
import sys

from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Commitment, Confirmed
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.rpc.responses import SubscriptionResult
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from websockets.exceptions import ConnectionClosed

try:
    from solana.rpc.models import TxOpts
except ImportError:
    from solana.rpc.types import TxOpts
try:
    from solana.rpc.websocket_api import SolanaWsClient
except ImportError:
    SolanaWsClient = None
    from solana.rpc.websocket_api import connect

RPC_URL, KEY = sys.argv[1:]
WS_URL = RPC_URL.replace("http", "ws", 1)
LEVELS = ("processed", "confirmed", "finalized")
AGAIN_SECONDS = 0.05

payer = Keypair()
counts = iter(range(1, 1_000_000))


def printed(line):
    print(json.dumps(line), flush=True)


class Socket:
    """What both lines can do: subscribe, and give the notifications with what they belong to."""

    def __init__(self, client):
        self.client = client
        self.asked = []
        self.known = {}

    async def follow(self, what, kind, **params):
        subscribed = await getattr(self.client, f"{kind}_subscribe")(**params)
        if SolanaWsClient:
            self.known[subscribed.subscription_id] = what
        else:
            # Requests are numbered from 1 on.
            self.asked.append(what)

    async def next(self):
        """What was notified, as (what, result)."""
        heard = await self.client.recv()
        for one in [heard] if SolanaWsClient else heard:
            if isinstance(one, SubscriptionResult):
                self.known[one.result] = self.asked[one.id - 1]
            else:
                shown = json.loads(one.to_json())
                yield self.known[shown["subscription"]], shown["result"]


def opened():
    return SolanaWsClient(WS_URL) if SolanaWsClient else connect(WS_URL)


async def follow_all():
    key = Pubkey.from_string(KEY)
    while True:
        try:
            async with opened() as client:
                socket = Socket(client)
                await socket.follow("slot", "slot")
                await socket.follow("root", "root")
                for level in LEVELS:
                    config = {"commitment": Commitment(level), "encoding": "base64"}
                    await socket.follow(level, "account", pubkey=key, **config)
                config = {"commitment": Confirmed, "encoding": "base64"}
                await socket.follow("program", "program", program_id=key, **config)
                while True:
                    async for what, result in socket.next():
                        printed({"told": what, "result": result})
        except (ConnectionClosed, OSError) as error:
            printed({"lost": str(error)})
        await asyncio.sleep(AGAIN_SECONDS)


async def first_of(kind, cause=None, **params):
    """The first notification, on a socket of its own."""
    async with opened() as client:
        socket = Socket(client)
        await socket.follow(kind, kind, **params)
        if cause:
            await cause()
        while True:
            async for _, result in socket.next():
                return result


async def send(_):
    async with AsyncClient(RPC_URL) as client:
        latest = (await client.get_latest_blockhash(Confirmed)).value
        params = TransferParams(
            from_pubkey=payer.pubkey(), to_pubkey=payer.pubkey(), lamports=next(counts)
        )
        message = MessageV0.try_compile(payer.pubkey(), [transfer(params)], [], latest.blockhash)
        transaction = VersionedTransaction(message, [payer])

        async def sends():
            await client.send_transaction(transaction, opts=TxOpts(preflight_commitment=Confirmed))

        followed = {"signature": transaction.signatures[0], "commitment": Confirmed}
        result = await first_of("signature", cause=sends, **followed)
        assert result["value"]["err"] is None, result
        await client.confirm_transaction(transaction.signatures[0], Confirmed, sleep_seconds=0.1)
    return ["signature_subscribe", "confirm_transaction"]


async def follow(key):
    config = {"commitment": Commitment("processed"), "encoding": "base64"}
    await first_of("account", pubkey=Pubkey.from_string(key), **config)


async def obey(order, subject):
    try:
        ways = await {"send": send, "follow": follow}[order](subject)
        printed({"done": subject, "ways": ways})
    except Exception as error:  # It is for the test to say what it makes of it.
        printed({"done": subject, "failed": repr(error)})


async def main():
    following = asyncio.create_task(follow_all())
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    orders = set()
    while line := await reader.readline():
        [(order, subject)] = json.loads(line).items()
        orders.add(asyncio.create_task(obey(order, subject)))
    following.cancel()


asyncio.run(main())
