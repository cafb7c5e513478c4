"""solana-py over the limits of its plan: what is refused is an error that can be caught."""

import asyncio
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "flow"))

from solana.rpc.async_api import AsyncClient
from solders.keypair import Keypair

from steps import RPC_URL, step

CALLS = 12
BURST = 5


def status(error):
    """The HTTP status behind an error of the client."""
    # The two versions use two libraries for HTTP, whose errors have one name.
    while error is not None and type(error).__name__ != "HTTPStatusError":
        error = error.__cause__
    return error.response.status_code if error else "no HTTP status"


@step("calls over the plan")
async def calls_over_the_plan():
    async with AsyncClient(f"{RPC_URL}/?api-key={os.environ['TIGHT_KEY']}") as client:
        calls = [client.get_balance(Keypair().pubkey()) for _ in range(CALLS)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    errors = [one for one in outcomes if isinstance(one, BaseException)]
    refused = sorted({status(error) for error in errors})
    return {"burst": CALLS - len(errors) >= BURST, "refused": refused}


asyncio.run(calls_over_the_plan())
