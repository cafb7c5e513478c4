"""The flow with jup-python-sdk: orders of Ultra, signed here and executed by the API, confirmed by the RPC
beside it. Amounts move with the market, so of them only what must be true is compared."""

import asyncio
import base64
import json
import os
import urllib.request

import httpx
from jup_python_sdk.clients.ultra_api_client import UltraApiClient
from jup_python_sdk.models.ultra_api.ultra_execute_request_model import UltraExecuteRequest
from jup_python_sdk.models.ultra_api.ultra_order_request_model import UltraOrderRequest
from solana.rpc.api import Client
from solders.keypair import Keypair
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from steps import RPC_URL, name, refused, step, until

SOL = "So11111111111111111111111111111111111111112"
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
LAMPORTS_PER_SOL = 1_000_000_000
# The stand-in that the gateway asks first for what it has; Ultra is not of that.
FIRST = 0

rpc = Client(RPC_URL)


def client():
    """The SDK's URL is set after it is made."""
    made = UltraApiClient()
    made.base_url = os.environ["JUPITER_URL"]
    return made


def signed(order, payer):
    """The SDK's `order_and_execute` signs a message of version 0 without its version, which no node takes."""
    transaction = VersionedTransaction.from_bytes(base64.b64decode(order["transaction"]))
    transaction = VersionedTransaction(transaction.message, [payer])
    return base64.b64encode(bytes(transaction)).decode()


async def confirmed(signature):
    async def poll():
        answer = rpc.get_signature_statuses([signature])
        return answer.value[0] is not None and answer.value[0]

    return await until(f"the confirmation of {signature}", poll)


async def funded():
    """A payer of its own makes each trade new."""
    payer = Keypair()
    name(payer.pubkey(), "payer")
    await confirmed(rpc.request_airdrop(payer.pubkey(), LAMPORTS_PER_SOL).value)
    return payer


def wish(payer=None, amount=LAMPORTS_PER_SOL // 10):
    taker = None if payer is None else str(payer.pubkey())
    return UltraOrderRequest(input_mint=SOL, output_mint=USDC, amount=amount, taker=taker)


async def trade(amount=LAMPORTS_PER_SOL // 10):
    """Order, signature, execution; then the cluster is asked what it says of it."""
    payer = await funded()
    ultra = client()
    order = ultra.order(wish(payer, amount))
    request = UltraExecuteRequest(
        request_id=order["requestId"], signed_transaction=signed(order, payer)
    )
    done = ultra.execute(request)
    ultra.close()
    assert (done["status"], done["code"]) == ("Success", 0), done
    status = await confirmed(Signature.from_string(done["signature"]))
    assert status.err is None
    return {"status": done["status"], "members": sorted(done)}


async def order_stand_in(fault):
    url = f"{os.environ['JUPITER_CONTROL']}/jupiters/{FIRST}/fault"
    request = urllib.request.Request(url, json.dumps(fault).encode(), method="POST")
    await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=5).close())


@step("order without a taker")
async def quote():
    order = client().order(wish())
    assert order["transaction"] is None
    assert 12 < int(order["outAmount"]) / 1e6 < 18, order["outAmount"]
    return {"members": sorted(order), "mints": [order["inputMint"], order["outputMint"]]}


@step("order and execution")
async def execution():
    return await trade()


@step("execution of nobody's order")
async def stranger():
    payer = await funded()
    order = client().order(wish(payer))
    request = UltraExecuteRequest(
        request_id="00000000-0000-4000-a000-000000000000",
        signed_transaction=signed(order, payer),
    )
    done = client().execute(request)
    return {"status": done["status"], "code": done["code"]}


@step("order that cannot be right")
async def wrong():
    async def ask():
        return client().order(UltraOrderRequest(input_mint=SOL, output_mint="dollars", amount=1))

    def show(error):
        assert isinstance(error, httpx.HTTPStatusError)
        return {"status": error.response.status_code, "members": sorted(error.response.json())}

    return await refused(ask(), show)


@step("the first swap API dies meanwhile")
async def meanwhile():
    trades = []
    for number in range(3):
        if number == 1:
            await order_stand_in({"kind": "down"})
        trades.append(await trade(LAMPORTS_PER_SOL // 10 + number))
    await order_stand_in({"kind": "up"})
    return trades


async def main():
    for one in (quote, execution, stranger, wrong, meanwhile):
        await one()


asyncio.run(main())
