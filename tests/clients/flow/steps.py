"""The record of a flow, as steps.mjs keeps it: one JSON line per step with what the client saw."""

import asyncio
import json
import sys
import time
import traceback
import urllib.request

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 20

RPC_URL, CONTROL_URL = sys.argv[1:3]


def _print(line):
    print(json.dumps(line, default=str), flush=True)


def name(address, as_name):
    """Gives a name to an address that is new in every run."""
    _print({"name": as_name, "address": str(address)})


def step(title):
    """Runs the decorated coroutine function at once, as one step."""

    def decorate(run):
        async def recorded(*args):
            try:
                _print({"step": title, "seen": await run(*args)})
            except Exception:
                _print({"step": title, "failed": traceback.format_exc()})

        return recorded

    return decorate


async def refused(call, show):
    """What a call that must fail shows of its error."""
    try:
        value = await call
    except Exception as error:
        return show(error)
    raise AssertionError(f"expected an error, got {value}")


async def until(what, poll):
    """Polls until the answer is there: subscriptions are not used."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        value = await poll()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"gave up waiting for {what}")
        await asyncio.sleep(POLL_SECONDS)


async def control(order):
    """Tells the upstream to misbehave."""
    request = urllib.request.Request(CONTROL_URL, json.dumps(order).encode(), method="POST")
    await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=5).close())


async def while_an_endpoint_dies(call):
    """Calls one after the other; after some of them the second endpoint of the upstream dies."""
    answers = []
    for i in range(30):
        if i == 10:
            await control({"down": 1})
        answers.append(await call())
    await control({"up": 1})
    return answers
