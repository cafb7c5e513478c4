"""Subscribers: many clients that follow the same, and many that follow something of their own, through the gateway,
which makes each subscription upstream once, and through HAProxy, which passes each socket on."""

import json
import os
import resource
import subprocess

from calls import ACCOUNT as KEY
from load import Spent
from servers import LOAD_CORE, PROXY_CORE, TARGET, Servers, free_ports

SUBSCRIBERS = TARGET / "release/perijove-subscribers"
GATEWAY, HAPROXY = "gateway", "HAProxy"
# Clients on one subscription, and with one of their own each.
SHARED, DISTINCT = 10_000, 1_000
# The sandbox's slots.
SLOT_MILLIS = 400
# All clients come from one address here, which by default may have half of the connections.
LIMITS = f"limits: {{connections: {SHARED + 1000}, connections_per_address: {SHARED + 1000}}}"
# By default only messages above 512 bytes are compressed, and the sandbox' accounts are smaller.
COMPRESSED = "websocket: {compression: {min_bytes: 128}}"
# A moving account, as all follow it.
ACCOUNT = ["--method", "accountSubscribe", "--params"]
ACCOUNT += [f'["{KEY}", {{"commitment": "processed", "encoding": "base64"}}]']


def measure(seconds, quick):
    """{(way, kind): {"clients", "kilobytes": resident memory for each client, "notifications",
    "micros": CPU time of the proxy for each, "p50", "p99": milliseconds from the first client that was
    told to the others}}."""
    shared = min(SHARED, descriptors() // 2 - 100)
    kinds = {
        "the same slots": (shared // (20 if quick else 1), []),
        "the same account": (shared // (20 if quick else 1), ACCOUNT),
        "the same account, compressed": (shared // (20 if quick else 1), [*ACCOUNT, "--compressed"]),
        "an account each": (DISTINCT // (20 if quick else 1), ["--distinct"]),
        "an account each, compressed": (DISTINCT // (20 if quick else 1), ["--distinct", "--compressed"]),
    }
    results = {}
    for kind, (clients, options) in kinds.items():
        # What passes sockets on compresses nothing.
        for way in (GATEWAY,) if "--compressed" in options else (GATEWAY, HAPROXY):
            # A process that has served nobody yet: what memory it got for others would not be seen.
            with Servers() as servers:
                address, pid = start(servers, way)
                results[way, kind] = run(address, pid, clients, seconds, options)
    return results


def descriptors():
    """Raises the limit of file descriptors to four for each client, or as far as it goes; the gateway gives half of its
    own to clients."""
    wanted, (_, hard) = 4 * SHARED, resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
    except (ValueError, OSError):
        wanted = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def start(servers, way):
    """Where clients of this way connect, and the process that serves them."""
    (validator,), _ = servers.sandbox(1, "--moving", "--slot-time", f"{SLOT_MILLIS}ms")
    if way == GATEWAY:
        gateway = servers.gateway([validator], more=f"{LIMITS}\n{COMPRESSED}")
        return f"127.0.0.1:{gateway.port}", gateway.pid
    return haproxy(servers, int(validator.rstrip("/").rsplit(":", 1)[1]) + 1)


def haproxy(servers, port_of_validator):
    folder = servers.place("haproxy")
    (port,) = free_ports(1)
    config = folder / "haproxy.cfg"
    config.write_text(
        f"""global
  nbthread 1
  maxconn {descriptors() // 2 - 50}
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend sockets
  bind 127.0.0.1:{port} backlog 4096
  default_backend node
backend node
  server node 127.0.0.1:{port_of_validator}
"""
    )
    process = servers.start_listening(
        "haproxy", PROXY_CORE, ["haproxy", "-db", "-f", config], port
    )
    return f"127.0.0.1:{port}", process.pid


def run(address, pid, clients, seconds, options):
    empty = resident(pid)
    command = ["taskset", "-c", str(LOAD_CORE), SUBSCRIBERS, address]
    command += ["--clients", str(clients), "--seconds", str(seconds), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        expect(process, "subscribed")
        full = resident(pid)
        expect(process, "measuring")
        before = Spent.by(pid)
        seen = expect(process, "done")
        spent = Spent.by(pid) - before
    told = seen["notifications"]
    if not told:
        raise SystemExit(f"nobody was told anything by {address}")
    return {
        "clients": clients,
        "kilobytes": (full - empty) / clients / 1024,
        "notifications": told,
        "micros": spent.total / told,
        "p50": seen["p50"] / 1e3,
        "p99": seen["p99"] / 1e3,
    }


def expect(process, event):
    for line in process.stdout:
        said = json.loads(line)
        if said["event"] == event:
            return said
    raise SystemExit(f"the subscribers ended before they were {event}")


def resident(pid):
    """Bytes of memory that a process has."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as pages:
        return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
