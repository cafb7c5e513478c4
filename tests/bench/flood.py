"""A flood: background calls at ten times what the only upstream can do, beside a few that matter, with
priorities and without; and two tenants of one class who both ask for more than there is."""

import asyncio
import itertools
from statistics import quantiles

from calls import call
from client import Client
from servers import Servers, afflict

# The upstream does so many calls at once, each in so many milliseconds.
PLACES = 5
NODE_MILLIS = 50
CAPACITY = PLACES * 1000 // NODE_MILLIS
FLOOD = 10 * CAPACITY
CRITICAL = CAPACITY // 10
# Longer than that nobody waits in the flood, so that it stays one.
AT_ONCE = 2000
# Each call asks for something else: equal ones would share an upstream call, and no flood would come of them.
NUMBERS = itertools.count()

WAYS = {
    "critical alone": ([], False),
    "beside the flood, with priorities": (["x-priority: critical"], True),
    "beside the flood, without": ([], True),
}
TENANTS = ["tenant-one-has-this-key", "tenant-two-has-this-key"]
CONSUMERS = """plans: [{id: default, requests_per_minute: unlimited}]
consumers:
  - {id: one, keys: [tenant-one-has-this-key]}
  - {id: two, keys: [tenant-two-has-this-key]}
anonymous: true
hedge: {enabled: false}"""


def measure(seconds):
    """({way: {"p50", "p99": milliseconds of critical calls, "calls", "failed": critical ones that had no
    result, "flood": calls of the flood a second that had one}}, what each tenant was served)."""
    with Servers() as servers:
        validators, control = servers.sandbox(1)
        afflict(control, 0, {"kind": "slow", "ms": NODE_MILLIS, "methods": ["sandboxEcho"]})
        upstream = f"connections: {PLACES}, connections_ceiling: {PLACES}"
        gateway = servers.gateway(validators, upstream=upstream, more=CONSUMERS)
        ways = {
            way: asyncio.run(beside(gateway.rpc, fields, flooded, seconds))
            for way, (fields, flooded) in WAYS.items()
        }
        tenants = asyncio.run(two_tenants(gateway.rpc, seconds))
    return ways, tenants


async def beside(address, fields, flooded, seconds):
    critical = Client(address, fields)
    background = Client(address, ["x-priority: background"] if fields else [])
    took, failed = [], []
    async with asyncio.TaskGroup() as tasks:
        flood = open_loop(background, FLOOD if flooded else 0, seconds + 2, [], [])
        flood = tasks.create_task(flood)
        # By then the flood has filled whatever it can.
        await asyncio.sleep(1)
        tasks.create_task(open_loop(critical, CRITICAL, seconds, took, failed))
    critical.close()
    background.close()
    centiles = quantiles(took, n=100) if len(took) > 1 else [float("nan")] * 99
    return {
        "p50": centiles[49],
        "p99": centiles[98],
        "calls": len(took) + len(failed),
        "failed": len(failed),
        "flood": flood.result() / (seconds + 2),
    }


async def two_tenants(address, seconds):
    """Both flood; the second asks for three times as much."""
    clients = [Client(address, [f"x-api-key: {key}"]) for key in TENANTS]
    async with asyncio.TaskGroup() as tasks:
        floods = [
            tasks.create_task(open_loop(client, times * CAPACITY, seconds, [], []))
            for client, times in zip(clients, [2, 6], strict=True)
        ]
    for client in clients:
        client.close()
    return [flood.result() for flood in floods]


async def open_loop(client, rate, seconds, took, failed):
    """Calls at their time, whatever became of earlier ones; milliseconds from that time. Returns how many had a result
    before the last was due: what is served after that is no longer beside a flood."""
    loop = asyncio.get_running_loop()
    begin = loop.time() + 0.05
    places = asyncio.Semaphore(AT_ONCE)
    in_time = [0]

    async def one(due):
        reply = await client.call(call("sandboxEcho", next(NUMBERS)))
        places.release()
        if reply.ok:
            now = loop.time()
            took.append((now - due) * 1e3)
            in_time[0] += now < begin + seconds
        else:
            failed.append(due)

    async with asyncio.TaskGroup() as tasks:
        for number in range(rate * seconds):
            due = begin + number / rate
            await asyncio.sleep(due - loop.time())
            await places.acquire()
            tasks.create_task(one(due))
    return in_time[0]
