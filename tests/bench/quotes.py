"""Jupiter's quotes: their latency in front of a slow upstream, what a known one costs beside nginx' cache,
how many credits a trace saves with and without the trades that end quotes, what the optimizer gains."""

import asyncio
import itertools
import json
import random
import urllib.parse
import urllib.request
from dataclasses import dataclass
from statistics import mean

import caches
from client import Client
from load import PAUSE_MILLIS, Target, alternate, round_of
from servers import LOAD_CORE, MANY, PROXY_CORE, SANDBOX, Servers, free_ports, worker_of

# How long the upstream thinks about a quote, and the bounds that its users have set.
UPSTREAM_MILLIS = 20
MOST_QUOTE_MILLIS, MOST_API_MILLIS = 200, 500
PAIRS, ZIPF, RATE = 200, 1.0, 100
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
NGINX, GATEWAY = "nginx proxy_cache", "Perijove"
WITHOUT, WITH = "two slots", "two slots, and while no pool of theirs trades"


@dataclass
class Market:
    """Stand-ins for Jupiter over a market, and where to steer them."""

    validators: list
    jupiters: list
    control: str

    @classmethod
    def start(cls, servers, name, kinds, *options):
        _, where, _ = servers.start_announcing(
            name,
            LOAD_CORE,
            [SANDBOX, "--print-json", "--validators", 1, "--base-port", 0]
            + ["--control", "127.0.0.1:0", "--jupiter", kinds, "--jupiter-base-port", 0, *options],
        )
        return cls(where["validators"], where["jupiters"], where["control"])

    def slow(self, index, millis):
        self.afflict(index, {"kind": "slow", "ms": millis})

    def afflict(self, index, fault):
        body = json.dumps(fault).encode()
        urllib.request.urlopen(f"{self.control}/jupiters/{index}/fault", body, timeout=5).close()

    def asked(self):
        """Quotes that have reached any of them."""
        with urllib.request.urlopen(f"{self.control}/jupiters", timeout=5) as reply:
            reports = json.load(reply)
        hits = (one["hits"].items() for one in reports)
        return sum(n for path, n in itertools.chain(*hits) if path.endswith("/quote"))

    def mints(self):
        """Tokens that can be swapped, the hosted one's list."""
        hosted = self.jupiters[-1]
        with urllib.request.urlopen(f"{hosted}/tokens/v2/toptraded/1h", timeout=5) as reply:
            return [token["id"] for token in json.load(reply)]


def config(market, more=""):
    """Jupiter's section of the gateway: canaries but once, so that what is counted is clients' quotes."""
    kinds = ["self-hosted" if i == 0 else "hosted" for i in range(len(market.jupiters))]
    upstreams = "\n".join(
        f"    - {{id: jupiter-{i}, kind: {kind}, url: '{url}', connections: 64}}"
        for i, (kind, url) in enumerate(zip(kinds, market.jupiters))
    )
    return f"""jupiter:
  health: {{interval: 1h, metered_interval: 1h}}
{more}
  upstreams:
{upstreams}
"""


def target(source, destination, amount):
    pair = {"inputMint": source, "outputMint": destination, "amount": amount}
    return "/swap/v1/quote?" + urllib.parse.urlencode(pair)


def pairs(mints):
    """The pairs of the trace, the most popular first."""
    every = list(itertools.permutations(mints, 2))
    random.Random(7).shuffle(every)
    return [target(source, destination, 1_000_000) for source, destination in every[:PAIRS]]


def latency(rounds, seconds):
    """{name: p50, p95, p99 in microseconds, rate, errors}: quotes that nobody has asked before, and the
    same few over and over."""
    with Servers() as servers:
        market = Market.start(servers, "slow", "self-hosted,hosted")
        for index in range(2):
            market.slow(index, UPSTREAM_MILLIS)
        gateway = servers.gateway(market.validators, "latency", more=config(market))
        sol, usdc = market.mints()[0], USDC
        new = servers.calls("new", (target(sol, usdc, 10**9 + n) for n in range(200_000)))
        few = servers.calls("few", (target(sol, usdc, 10**9 * n) for n in range(1, 11)))
        made = {
            "every quote a new one": Target(gateway.port, new, gateway.pid, script="get.lua"),
            "ten quotes over and over": Target(gateway.port, few, gateway.pid, script="get.lua"),
        }
        return alternate(made, rounds, lambda one: round_of(one, seconds, PAUSE_MILLIS))


def cost(rounds, seconds):
    """What a known quote costs: rows of load.round_of, flat out and at the same pace."""
    with Servers() as servers:
        market = Market.start(servers, "cost", "self-hosted,hosted")
        gateway = servers.gateway(market.validators, "cost", more=config(market))
        port, worker = nginx(servers, market.jupiters[-1])
        calls = servers.calls("one", [target(market.mints()[0], USDC, 10**9)])
        made = {
            NGINX: Target(port, calls, worker, script="get.lua"),
            GATEWAY: Target(gateway.port, calls, gateway.pid, script="get.lua"),
        }
        flat_out = alternate(made, rounds, lambda one: round_of(one, seconds, 0))
        paced = alternate(made, rounds, lambda one: round_of(one, seconds, PAUSE_MILLIS))
        return flat_out, paced


def nginx(servers, hosted):
    """nginx with proxy_cache, its files in memory and kept open. It knows no slots: a quote is kept for a
    second, the least it can do."""
    (port,) = free_ports(1)
    address = hosted.removeprefix("http://")
    http = f"""
        proxy_cache_path {caches.memory_folder(servers)} levels=1:2 keys_zone=quotes:16m max_size=1g
          inactive=1d use_temp_path=off;
        {caches.OPEN_FILES}
        upstream hosted {{ server {address}; keepalive 64; keepalive_requests {MANY}; }}
        server {{
          listen 127.0.0.1:{port} backlog=4096;
          location / {{
            sendfile off;
            proxy_pass http://hosted;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache quotes;
            proxy_cache_lock on;
            proxy_cache_valid 200 1s;
            add_header x-cache $upstream_cache_status;
          }}
        }}"""
    folder = servers.place("nginx-quotes")
    servers.nginx(folder, http, PROXY_CORE, port)
    return port, worker_of(folder / "pid")


def trace(seconds):
    """{name: asked, reached, words}: the same trace with and without the trades that end quotes."""
    results = {}
    for name, quiet in ((WITHOUT, 2), (WITH, 20)):
        with Servers() as servers:
            port, _ = caches.redis(servers, "quotes-redis")
            url = f"redis://127.0.0.1:{port}"
            market = Market.start(
                servers, "trace", "self-hosted,hosted", "--jupiter-redis", url
            )
            more = config(market, f"  quote: {{valid_slots: 2, quiet_slots: {quiet}}}")
            cache = f"enabled: false, redis: {{url: '{url}'}}"
            gateway = servers.gateway(market.validators, "trace", cache, more=more)
            results[name] = asyncio.run(play(gateway.rpc, market, seconds))
    return results


async def play(address, market, seconds):
    """Popularity by Zipf's law, so many quotes a second in an open loop."""
    targets, luck = pairs(market.mints()), random.Random(11)
    weights = [1 / rank**ZIPF for rank in range(1, len(targets) + 1)]
    chosen = luck.choices(targets, weights, k=RATE * seconds)
    client, before = Client(address), market.asked()
    loop = asyncio.get_running_loop()
    start, calls = loop.time(), []
    for number, one in enumerate(chosen):
        await asyncio.sleep(max(0, start + number / RATE - loop.time()))
        calls.append(asyncio.create_task(client.get(one)))
    replies = await asyncio.gather(*calls)
    client.close()
    words = {}
    for reply in replies:
        word = reply.fields.get("x-perijove-cache", "none")
        words[word] = words.get(word, 0) + 1
    reached = market.asked() - before
    return {
        "asked": len(replies),
        "reached": reached,
        "saved": 100 * (1 - reached / len(replies)),
        "words": words,
        "failed": sum(not reply.ok for reply in replies),
    }


def gains():
    """What the best has over the quote of one upstream, which is a slot behind the others, in hundredths of a percent,
    for every pair."""
    with Servers() as servers:
        market = Market.start(servers, "gains", "self-hosted,hosted,hosted")
        market.afflict(0, {"kind": "lag", "slots": 1})
        dexes = "['Raydium,Whirlpool', 'Meteora DLMM,Orca V2']"
        more = f"  optimizer: {{deadline: 2s, requests_per_minute: 1000000, dexes: {dexes}}}"
        gateway = servers.gateway(market.validators, "gains", more=config(market, more))
        return asyncio.run(compare(gateway.rpc, market))


async def compare(address, market):
    client, found = Client(address), []
    for one in pairs(market.mints()):
        reply = await client.get(one, {"x-perijove-optimize": "best"})
        if reply.ok and "x-perijove-gain-bps" in reply.fields:
            found.append(float(reply.fields["x-perijove-gain-bps"]))
    client.close()
    return {
        "pairs": len(found),
        "least": min(found),
        "mean": mean(found),
        "most": max(found),
        "gained": sum(gain > 0 for gain in found),
    }
