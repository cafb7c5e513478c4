"""Failover: a steady open-loop stream of reads while one of two validators gets a fault.

Open loop: calls leave at their time whether or not earlier ones have been answered, and latency counts
from that time. The gateway's access log says which calls needed more than one attempt.
"""

import asyncio
import json
import time
from statistics import median, quantiles

from calls import ACCOUNT, call
from client import Client
from servers import Servers, afflict

CALL = call("getBalance", ACCOUNT, {"commitment": "processed"})
# Until the gateway knows its upstreams.
WARM_UP_SECONDS = 2


def measure(fault, rate, seconds, repeats):
    """What was lost, and what the failed-over calls cost, over some runs. In milliseconds."""
    runs = [run(fault, rate, seconds) for _ in range(repeats)]
    extra = [one for each in runs for one in each["extra"]]
    return {
        "calls": sum(each["calls"] for each in runs),
        "lost": sum(each["lost"] for each in runs),
        "usual": median(each["usual"] for each in runs),
        "failed_over": len(extra),
        "extra_median": median(extra) if extra else 0.0,
        "extra_p99": quantiles(extra, n=100)[98] if len(extra) > 1 else sum(extra),
        "worst": max(each["worst"] for each in runs),
        "until_settled": median(each["until_settled"] for each in runs),
    }


def run(fault, rate, seconds):
    """One run, with servers of its own."""
    with Servers() as servers:
        validators, control = servers.sandbox(2)
        gateway = servers.gateway(validators, access_log=True)
        killed, calls = asyncio.run(stream(gateway.rpc, rate, seconds, control, fault))
        attempts = attempts_by_request(gateway.log)
    return summary(killed, calls, attempts)


async def stream(address, rate, seconds, control, fault):
    client = Client(address)
    calls = []
    killed = None
    begin = asyncio.get_running_loop().time() + 0.05
    count = int(rate * (WARM_UP_SECONDS + seconds))
    kill_at = int(rate * (WARM_UP_SECONDS + seconds / 3))
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            due = begin + number / rate
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            if number == kill_at:
                killed = due
                tasks.create_task(asyncio.to_thread(afflict, control, 0, fault))
            tasks.create_task(one_call(client, due, calls))
    client.close()
    return killed, [call for call in calls if call["due"] > begin + WARM_UP_SECONDS]


async def one_call(client, due, calls):
    seen = {"due": due, "ok": False, "request_id": None}
    calls.append(seen)
    reply = await client.call(CALL)
    seen["ok"] = reply.ok
    seen["request_id"] = reply.fields.get("x-request-id")
    seen["latency"] = asyncio.get_running_loop().time() - due


def attempts_by_request(log):
    attempts = {}
    # The last lines are written a moment after their answers.
    time.sleep(0.3)
    for line in log.read_text().splitlines():
        if '"attempts"' not in line:
            continue
        entry = json.loads(line)
        fields = entry.get("fields", entry)
        attempts[fields["request_id"].lower()] = fields
    return attempts


def summary(killed, calls, attempts):
    def repeated(call):
        fields = attempts.get(call["request_id"])
        return fields is not None and fields["attempts"] > 1

    after = [call for call in calls if call["due"] >= killed]
    plain = [call["latency"] for call in calls if call["due"] < killed and not repeated(call)]
    again = [call for call in after if repeated(call)]
    usual = median(plain)
    extra = [max(0.0, call["latency"] - usual) * 1e3 for call in again]
    last = max((call["due"] + call["latency"] - killed for call in again), default=0.0)
    return {
        "calls": len(calls),
        "lost": sum(not call["ok"] for call in calls),
        "usual": usual * 1e3,
        "extra": extra,
        "worst": max(call["latency"] for call in after) * 1e3,
        "until_settled": last * 1e3,
    }
