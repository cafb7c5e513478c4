"""Bots: what trading bots ask for all day, and how much of it an upstream has to answer."""

import asyncio
import itertools
from collections import Counter

from calls import base58, call
from client import Client
from scrape import Scrape
from servers import Servers, reached

BOTS = 25
# Pools that bots watch: each bot one group of accounts, which others watch too.
GROUPS, ACCOUNTS = 5, 5
# Until the gateway knows its upstreams.
WARM_UP_SECONDS = 2


def measure(seconds):
    """{"calls": by method, "asked": calls that reached a node by method, "said": what
    x-perijove-cache said by method, "errors", "saved": credits not spent}."""
    with Servers() as servers:
        validators, control = servers.sandbox(2, "--moving")
        gateway = servers.gateway(validators, cache="enabled: true")
        asyncio.run(swarm(gateway.rpc, WARM_UP_SECONDS))
        asked, saved = reached(control), credits_saved(gateway)
        seen = asyncio.run(swarm(gateway.rpc, seconds))
        asked, saved = reached(control) - asked, credits_saved(gateway) - saved
    return {**seen, "asked": asked, "saved": saved}


def credits_saved(gateway):
    return Scrape.of(gateway.admin).total("perijove_cache_credits_saved_total")


async def swarm(address, seconds):
    client = Client(address)
    seen = {"calls": Counter(), "said": {}, "errors": 0}
    end = asyncio.get_running_loop().time() + seconds
    async with asyncio.TaskGroup() as tasks:
        for bot in range(BOTS):
            for habit, (pause, body_of) in enumerate(habits(bot)):
                # Bots are not in step with each other.
                delay = pause * ((bot * 7 + habit) % BOTS) / BOTS
                tasks.create_task(poll(client, delay, pause, body_of, end, seen))
    client.close()
    return seen


def habits(bot):
    """What a bot asks for: the pause between two calls in seconds, and the n-th call."""
    processed, confirmed = {"commitment": "processed"}, {"commitment": "confirmed"}
    group = bot % GROUPS
    pools = [base58("pool", group * ACCOUNTS + number, 32) for number in range(ACCOUNTS)]
    wallet = base58("wallet", bot, 32)
    reads = {"encoding": "base64", **processed}

    def statuses(number):
        # Its own last transaction, for two seconds each.
        return call("getSignatureStatuses", [base58(f"signature of {bot}", number // 4, 64)])

    return [
        (0.05, lambda _: call("getMultipleAccounts", pools, reads)),
        (0.4, lambda _: call("getLatestBlockhash", confirmed)),
        (0.5, statuses),
        (1.0, lambda _: call("getBalance", wallet, confirmed)),
        (1.0, lambda _: call("getSlot", processed)),
        (2.0, lambda _: call("getRecentPrioritizationFees", pools)),
    ]


async def poll(client, delay, pause, body_of, end, seen):
    """Asks at a steady rate, whether or not the last call has been answered."""
    loop = asyncio.get_running_loop()
    begin = loop.time() + delay
    async with asyncio.TaskGroup() as tasks:
        for number in itertools.count():
            due = begin + number * pause
            if due >= end:
                break
            await asyncio.sleep(due - loop.time())
            tasks.create_task(one_call(client, body_of(number), seen))


async def one_call(client, body, seen):
    method = body.split('"method":"', 1)[1].split('"', 1)[0]
    reply = await client.call(body)
    seen["calls"][method] += 1
    seen["errors"] += not reply.ok
    said = reply.fields.get("x-perijove-cache", "nothing")
    seen["said"].setdefault(method, Counter())[said] += 1
