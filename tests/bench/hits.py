"""Hits: an answer that is known already, from the gateway's memory and from Redis, beside nginx' and
Varnish' caches. That each round was one of hits is seen by the backend: nobody asked it."""

import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

import caches
from calls import account_call, transaction_answer, transaction_call
from load import PAUSE_MILLIS, Target, alternate, round_of
from scrape import Scrape
from servers import GATEWAY as BINARY
from servers import Servers, afflict, reached

FIXED = "nginx, fixed answer"
NGINX = "nginx proxy_cache"
NGINX_PLAIN = "nginx proxy_cache, files opened anew"
VARNISH = "Varnish"
MEMORY = "Perijove, memory"
MEMORY_BASELINE = "Perijove, memory, baseline"
REDIS = "Perijove, Redis"
REDIS_BASELINE = "Perijove, Redis, baseline"
MOVING = "Perijove, moving head"
FED = "Perijove, moving head, hot account"
ALL = [FIXED, NGINX, NGINX_PLAIN, VARNISH, MEMORY, REDIS, MOVING, FED]
BASELINES = [MEMORY_BASELINE, REDIS_BASELINE]

MIB = 1024 * 1024
# The gateway keeps nothing above this part of its memory.
LARGEST_SHARE = 128
# Answers in Redis, in units of what memory holds.
BEYOND_MEMORY = 20
# Until the caches have all answers. A round asks for all of them on most machines.
FILLING_ROUNDS, FILLING_SECONDS = 20, 5


@dataclass
class Cache:
    """A cache under test, and the witnesses."""

    target: Target
    # The header that says what was a hit; none if there is no cache.
    header: str | None = None
    # How many calls have gone on to its backend.
    asked: Callable[[], int] = lambda: 0
    # Whether all calls must be hits: not where the answer changes with every slot.
    lasting: bool = True
    # Whether it has every answer, if more than one is asked for.
    is_full: Callable[[], bool] | None = None
    # Where its metrics are, if Redis is behind it.
    admin: str | None = None


def measure(size, rounds, seconds, names, baseline=None):
    """Rows of one answer size, {name: what load.round_of says, "hits", "from_redis"}, the latter in
    per cent of the calls; medians over the rounds: as fast as it goes, and all at the same pace.
    `baseline` is the gateway of an earlier build, for its rows."""
    with Servers() as servers:
        bench = Bench(servers, size, baseline)
        made = {name: bench.make(name) for name in names}
        for name, cache in made.items():
            fill(name, cache)
        flat_out = alternate(made, rounds, lambda cache: round_of_hits(cache, seconds, 0))
        paced = alternate(made, rounds, lambda cache: round_of_hits(cache, seconds, PAUSE_MILLIS))
    return flat_out, paced


class Bench:
    """The servers for one answer size. Each cache has a port of the backend to itself."""

    def __init__(self, servers, size, baseline):
        self.servers, self.size, self.baseline = servers, size, baseline
        self.validators, self.control = servers.sandbox(1, "--moving")
        self.answer = transaction_answer(size)
        self.ports = servers.backend(self.answer, self.validators[0], ports=7, counted=True)
        self.calls = servers.calls("transaction", [transaction_call(0)])

    def make(self, name):
        return {
            FIXED: self.fixed,
            NGINX: lambda: self.peer(caches.nginx_cache, self.size, True),
            NGINX_PLAIN: lambda: self.peer(caches.nginx_cache, self.size, False),
            VARNISH: lambda: self.peer(caches.varnish),
            MEMORY: lambda: self.memory("memory", BINARY),
            MEMORY_BASELINE: lambda: self.memory("memory-baseline", self.baseline),
            REDIS: lambda: self.redis("redis", BINARY),
            REDIS_BASELINE: lambda: self.redis("redis-baseline", self.baseline),
            MOVING: self.moving,
            FED: self.fed,
        }[name]()

    def fixed(self):
        port, pid = caches.nginx_fixed(self.servers, self.answer)
        return Cache(Target(port, self.calls, pid))

    def peer(self, start, *how):
        backend = self.ports.pop()
        port, pid = start(self.servers, backend, *how)
        return Cache(Target(port, self.calls, pid), "x-cache", lambda: self.servers.asked(backend))

    def memory(self, name, binary):
        return self.gateway(name, self.ports.pop(), "enabled: true", self.calls, binary)

    def redis(self, name, binary):
        """More answers than memory holds, asked for one after the other: nearly all come from Redis."""
        port, pid = caches.redis(self.servers, f"{name}-server")
        mebibytes = -(-self.size * LARGEST_SHARE // MIB)
        count = BEYOND_MEMORY * mebibytes * MIB // self.size
        calls = self.servers.calls("transactions", map(transaction_call, range(count)))
        section = f"memory: {mebibytes}MiB, redis: {{url: 'redis://127.0.0.1:{port}/'}}"
        cache = self.gateway(name, self.ports.pop(), section, calls, binary)
        cache.target.beside = pid
        cache.is_full = lambda: caches.redis_keys(port) == count
        return cache

    def gateway(self, name, backend, section, calls, binary):
        urls = [f"http://127.0.0.1:{backend}"]
        running = self.servers.gateway(urls, name, section, binary=binary)
        target = Target(running.port, calls, running.pid)
        asked = lambda: self.servers.asked(backend)  # noqa: E731
        return Cache(target, "x-perijove-cache", asked, admin=running.admin)

    def moving(self):
        """An account at the cluster's head: every few slots somebody has to ask."""
        wide = {"kind": "big", "bytes": self.size, "methods": ["getAccountInfo"]}
        afflict(self.control, 0, wide)
        calls = self.servers.calls("account", [account_call("finalized")])
        running = self.servers.gateway(self.validators, "moving", "enabled: true")
        asked = lambda: reached(self.control)["getAccountInfo"]  # noqa: E731
        target = Target(running.port, calls, running.pid)
        return Cache(target, "x-perijove-cache", asked, lasting=False, admin=running.admin)

    def fed(self):
        """An account that changes with every slot, and of which the gateway is notified: hardly anybody has to ask.
        It has its own size, whatever that of the other answers is."""
        validators, control = self.servers.sandbox(1, "--moving")
        calls = self.servers.calls("hot", [account_call("processed")])
        hot = "{most: 10, reads: 10, window: 1s}"
        running = self.servers.gateway(validators, "fed", f"enabled: true, hot_accounts: {hot}")
        asked = lambda: reached(control)["getAccountInfo"]  # noqa: E731
        target = Target(running.port, calls, running.pid)
        return Cache(target, "x-perijove-cache", asked, lasting=False, admin=running.admin)


def fill(name, cache):
    """Asks until every answer is known. What is written behind may be dropped and is asked for again."""
    round_of(cache.target, 1, 0)
    for _ in range(FILLING_ROUNDS):
        if cache.is_full is None or cache.is_full():
            return
        round_of(cache.target, FILLING_SECONDS, 0)
    raise SystemExit(f"{name} still lacks answers after {FILLING_ROUNDS} rounds")


def round_of_hits(cache, seconds, pause):
    check(cache)
    asked, redis = cache.asked(), from_redis(cache)
    seen = round_of(cache.target, seconds, pause)
    asked, redis = cache.asked() - asked, from_redis(cache) - redis
    if cache.lasting and asked:
        raise SystemExit(f"{asked} of {seen['requests']} calls were no hits")
    seen["hits"] = 100 * (1 - asked / seen["requests"])
    seen["from_redis"] = 100 * redis / seen["requests"]
    return seen


def check(cache):
    """The next call is a hit, or the second where the answer has just become old."""
    if cache.header is None:
        return
    body = cache.target.calls.read_text().split("\n", 1)[0].encode()
    url = f"http://127.0.0.1:{cache.target.port}/"
    said = []
    for _ in range(1 if cache.lasting else 3):
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            said.append(reply.headers.get(cache.header))
        if said[-1] and said[-1].lower() == "hit":
            return
    raise SystemExit(f"{cache.header} says {said} where a hit is due")


def from_redis(cache):
    """Calls answered from Redis."""
    if cache.admin is None:
        return 0
    family = "perijove_cache_lookups_total"
    return Scrape.of(cache.admin).total(family, tier="redis", result="hit")
