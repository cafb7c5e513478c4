"""Pass-through: the same call through every proxy, in alternating rounds."""

import re
import urllib.request

from calls import account_answer, account_call
from load import PAUSE_MILLIS, Target, alternate, round_of
from scrape import Scrape
from servers import GATEWAY as BINARY
from servers import Servers

CALL = account_call("processed")
DIRECT = "direct"
GATEWAY = "Perijove"
LIMITED = "Perijove, limits on"
BASELINE = "Perijove, baseline"

# Every limit that a call can meet, none of which it reaches.
LIMITS = """plans:
  - id: all
    requests_per_minute: 4000000000
    burst: 1000000
    concurrent: 100000
    answer_bytes_per_minute: 1024GiB
    costs: {getBalance: 2}
anonymous_plan: all
limits: {calls: 100000}"""
BUDGET = "connections: 64, budget: {requests: 1000000000, per: second, burst: 1000000000, reserve: 10}"


def measure(size, rounds, seconds, names, baseline=None):
    """Rows of one answer size, in the order of names, {name: what load.round_of says}, medians over
    the rounds: as fast as it goes, and all at the same pace. And a remark on what the gateway did
    besides passing through. `baseline` is the gateway of an earlier build, for its row."""
    with Servers() as servers:
        validators, _ = servers.sandbox(1)
        backends = servers.backend(account_answer(size), validators[0])
        calls = servers.calls("account", [CALL])
        admin = []
        starts = {
            DIRECT: lambda: (backends[0], None),
            "nginx": lambda: servers.nginx_proxy(backends),
            "HAProxy": lambda: servers.haproxy(backends),
            "bare Pingora": lambda: servers.bare_pingora(backends),
            BASELINE: lambda: gateway(servers, backends, [], "baseline", baseline),
            LIMITED: lambda: gateway(servers, backends, [], "limited", upstream=BUDGET, more=LIMITS),
            GATEWAY: lambda: gateway(servers, backends, admin),
        }
        targets = {}
        for name in names:
            port, pid = starts[name]()
            targets[name] = Target(port, calls, pid)
            check(name, port, account_answer(size))
            round_of(targets[name], 1, 0)
        flat_out = alternate(targets, rounds, lambda one: round_of(one, seconds, 0))
        paced = alternate(targets, rounds, lambda one: round_of(one, seconds, PAUSE_MILLIS))
        remark = "".join(map(besides, admin))
    return flat_out, paced, remark


def gateway(servers, backends, admin, name="gateway", binary=BINARY, **settings):
    """Starts the gateway and adds its admin URL to a list."""
    urls = [f"http://127.0.0.1:{port}" for port in backends]
    running = servers.gateway(urls, name, binary=binary, **settings)
    admin.append(running.admin)
    return running.port, running.pid


def besides(admin):
    """What the gateway's metrics say about calls that took more than one plain attempt."""
    seen = Scrape.of(admin)
    names = {
        "calls": "perijove_rpc_calls_total",
        "retries": "perijove_dispatch_retries_total",
        "hedges": "perijove_dispatch_hedges_total",
        "forced choices": "perijove_upstream_forced_total",
        "connections opened": "perijove_upstream_connections_opened_total",
    }
    counted = (f"{seen.total(family):,.0f} {what}" for what, family in names.items())
    return f"Perijove meanwhile: {', '.join(counted)}."


def check(name, port, answer):
    """One call: is the answer whole, and that of the backend?"""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/", CALL.encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        body = reply.read()
    if at_no_slot(body) != at_no_slot(answer.encode()):
        raise SystemExit(f"{name} changed the answer: {body[:200]!r}… ({len(body)} bytes)")


def at_no_slot(answer):
    """An answer without the slot at which it was read, which is the backend's newest."""
    return re.sub(rb'"slot":\d{9}', b'"slot":', answer.strip())
