"""Pass-through: the same call through every proxy, in alternating rounds."""

import json
import os
import subprocess
import urllib.request
from pathlib import Path
from statistics import median

from servers import LOAD_CORE, Servers, answer, call_body

HERE = Path(__file__).resolve().parent
CONNECTIONS = 32
# Between two calls of a connection in the paced rounds. Flat out, the core of load and backend never
# rests behind a fast proxy but has to be woken for each call of a slower one, which is charged to
# the slower one; paced, all pay for it alike.
PAUSE_MILLIS = 5
TICKS = os.sysconf("SC_CLK_TCK")
DIRECT = "direct"
GATEWAY = "Perijove"


def measure(size, rounds, seconds, names):
    """Rows of one answer size, in the order of names: {name: {"rate", "p50", "p99", "user", "system",
    "cpu", "errors"}}, times in microseconds, CPU per request, medians over the rounds: as fast as it
    goes, and all at the same pace. And a remark on what the gateway did besides passing through."""
    with Servers() as servers:
        validators, _ = servers.sandbox(1)
        backends = servers.backend(size, validators[0])
        admin = []
        starts = {
            DIRECT: lambda: (backends[0], None),
            "nginx": lambda: servers.nginx_proxy(backends),
            "HAProxy": lambda: servers.haproxy(backends),
            "bare Pingora": lambda: servers.bare_pingora(backends),
            GATEWAY: lambda: gateway(servers, backends, admin),
        }
        proxies = {name: starts[name]() for name in names}
        for name, (port, _) in proxies.items():
            check(name, port, size)
            round_of(port, None, 1, 0)
        flat_out = alternate(proxies, rounds, seconds, 0)
        paced = alternate(proxies, rounds, seconds, PAUSE_MILLIS)
        remark = "".join(map(besides, admin))
    return flat_out, paced, remark


def alternate(proxies, rounds, seconds, pause):
    """The medians of each proxy's rounds."""
    results = {name: [] for name in proxies}
    for number in range(rounds):
        # The other way round every second time, so that drift hits all alike.
        for name in proxies if number % 2 == 0 else reversed(proxies):
            results[name].append(round_of(*proxies[name], seconds, pause))
    return {
        name: {key: median(one[key] for one in runs) for key in runs[0]}
        for name, runs in results.items()
    }


def gateway(servers, backends, admin):
    """Starts the gateway and adds its admin URL to a list."""
    process, at, _ = servers.gateway([f"http://127.0.0.1:{port}" for port in backends])
    admin.append(at["admin"])
    return int(at["rpc"].rsplit(":", 1)[1]), process.pid


def besides(admin):
    """What the gateway's metrics say about calls that took more than one plain attempt."""
    with urllib.request.urlopen(f"{admin}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()

    def total(family):
        own = (line for line in lines if line.startswith((f"{family}{{", f"{family} ")))
        return sum(float(line.rsplit(" ", 1)[1]) for line in own)

    names = {
        "calls": "perijove_rpc_calls_total",
        "retries": "perijove_dispatch_retries_total",
        "hedges": "perijove_dispatch_hedges_total",
        "forced choices": "perijove_upstream_forced_total",
        "connections opened": "perijove_upstream_connections_opened_total",
    }
    counted = (f"{total(family):,.0f} {what}" for what, family in names.items())
    return f"Perijove meanwhile: {', '.join(counted)}."


def check(name, port, size):
    """One call: is the answer whole, and that of the backend?"""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/",
        call_body().encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        body = reply.read()
    if body.strip() != answer(size).encode().strip():
        raise SystemExit(f"{name} changed the answer: {body[:200]!r}… ({len(body)} bytes)")


def round_of(port, pid, seconds, pause):
    """wrk for some seconds, and the CPU time the proxy took meanwhile."""
    before = cpu_micros(pid)
    result = subprocess.run(
        ["taskset", "-c", str(LOAD_CORE), "wrk", "-t", "1", "-c", str(CONNECTIONS)]
        + ["-d", f"{seconds}s", "-s", str(HERE / "call.lua"), f"http://127.0.0.1:{port}/"],
        env={**os.environ, "CALL_BODY": call_body(), "CALL_PAUSE": str(pause)},
        capture_output=True,
        text=True,
        check=True,
    )
    after = cpu_micros(pid)
    line = next(line for line in result.stdout.splitlines() if line.startswith("{"))
    seen = json.loads(line)
    user, system = ((b - a) / seen["requests"] for a, b in zip(before, after, strict=True))
    return {
        "rate": seen["requests"] / seen["micros"] * 1e6,
        "p50": seen["p50"],
        "p99": seen["p99"],
        "user": user,
        "system": system,
        "cpu": user + system,
        "errors": seen["errors"],
    }


def cpu_micros(pid):
    """User and system time of a process with all its threads."""
    if pid is None:
        return 0.0, 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return tuple(int(field) * 1e6 / TICKS for field in fields[11:13])
