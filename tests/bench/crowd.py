"""A crowd: a thousand callers ask the same at once, and nobody knows the answer yet."""

import os
import resource
import selectors
import socket
import time
from statistics import median, quantiles

from calls import base58, call
from servers import LOAD_CORE, Servers, afflict, reached

CALLERS = 1000
METHOD = "getProgramAccounts"
# What the node needs for its answer.
NODE_MILLIS = 100
TIMEOUT_SECONDS = 60
WAYS = {"calls shared": "coalesce: true", "each on its own": "coalesce: false"}


def measure(rounds):
    """{way: {"asked": the most calls that reached the node, "p50", "p99", "all": milliseconds until
    callers had their answers, medians of the rounds, "errors": of all rounds}}."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with Servers() as servers:
        validators, control = servers.sandbox(1)
        afflict(control, 0, {"kind": "slow", "ms": NODE_MILLIS, "methods": [METHOD]})
        gateways = {way: servers.gateway(validators, way, cache) for way, cache in WAYS.items()}
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {LOAD_CORE})
        runs = {way: [] for way in WAYS}
        for number in range(rounds * len(WAYS)):
            way = list(WAYS)[number % len(WAYS)]
            # Nobody has asked for this program before.
            body = call(METHOD, base58("program", number, 32))
            before = reached(control)[METHOD]
            run = crowd(gateways[way].port, body)
            runs[way].append({**run, "asked": reached(control)[METHOD] - before})
        os.sched_setaffinity(0, cores)
    return {way: summary(each) for way, each in runs.items()}


def crowd(port, body):
    """One crowd: when each answer was there, in milliseconds, and how many were none."""
    head = "POST / HTTP/1.1\r\nhost: crowd\r\ncontent-type: application/json\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n{body}".encode()
    callers = [socket.create_connection(("127.0.0.1", port)) for _ in range(CALLERS)]
    waiting = selectors.DefaultSelector()
    for each in callers:
        waiting.register(each, selectors.EVENT_READ, bytearray())
    begin = time.monotonic()
    for each in callers:
        each.sendall(request)
    took, errors = [], 0
    while waiting.get_map() and time.monotonic() < begin + TIMEOUT_SECONDS:
        for key, _ in waiting.select(1):
            received = key.fileobj.recv(65536)
            key.data.extend(received)
            if received and not is_whole(key.data):
                continue
            waiting.unregister(key.fileobj)
            took.append((time.monotonic() - begin) * 1e3)
            errors += not (key.data.startswith(b"HTTP/1.1 200") and b'"result"' in key.data)
    errors += len(waiting.get_map())
    waiting.close()
    for each in callers:
        each.close()
    return {"took": took, "errors": errors}


def is_whole(reply):
    head, end, body = bytes(reply).partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), None)
    return bool(end) and length is not None and len(body) >= length


def summary(runs):
    return {
        "asked": max(run["asked"] for run in runs),
        "p50": median(median(run["took"]) for run in runs),
        "p99": median(quantiles(run["took"], n=100)[98] for run in runs),
        "all": median(max(run["took"]) for run in runs),
        "errors": sum(run["errors"] for run in runs),
    }
