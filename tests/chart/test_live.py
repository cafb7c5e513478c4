"""Alerts and dashboards with everything real: programs, faults, Prometheus.

Time in the rules runs thirty times as fast as where they are installed: their windows and waits are divided by 30,
and so is how often is scraped. Each fault has a gateway or an ingest to itself, told apart by `namespace`.
"""

import contextlib
import itertools
import json
import os
import re
import socket
import time
import unittest
import urllib.parse
from pathlib import Path

import pictures
from live_ingest import Ingests
from panels import Panels
from scene import PATIENCE, Proxy, Scene, eventually, fetch, free_port, listens
from test_rules import dashboards, rules
from tools import ROOT, RULES

HURRY = 30
# Bounds of latency, and what is in place of them.
LENIENT = {"0.2": "0.4", "0.5": "2.5"}
SOL = "So11111111111111111111111111111111111111112"
SECONDS = {"s": 1, "m": 60, "h": 3600}

# What must fire where, by namespace; and nothing else may.
EXPECTED = {
    "well": set(),
    "slow": {"PerijoveHighLatency", "PerijoveLatencyBudgetBurnsFast", "PerijoveLatencyBudgetBurnsSlowly"},
    "away": {"PerijoveAllUpstreamsDown", "PerijoveUpstreamDown", "PerijoveErrorBudgetBurnsFast",
             "PerijoveErrorBudgetBurnsSlowly"},
    "lagging": {"PerijoveUpstreamLags", "PerijoveUpstreamDown"},
    "greedy": {"PerijoveProviderBudgetGone"},
    "spent": {"PerijoveProviderBudgetGone"},
    "thrifty": {"PerijoveBudgetUsedUp"},
    "crowded": {"PerijoveUpstreamSaturated"},
    "moving": set(),
    "untold": {"PerijoveSubscriptionsUntold"},
    "jupiter-away": {"JupiterUpstreamDown"},
    # Markets that are too old are a reason not to ask it.
    "jupiter-old": {"JupiterMarketsOld", "JupiterUpstreamDown"},
    "jupiter-unheard": {"JupiterTradesUnheard", "PerijoveRedisDown"},
    "locked-out": {"PerijoveKeyRefused", "PerijoveUpstreamDown"},
    # Quotes are slow, not prices.
    "jupiter-slow": {"JupiterAPIHighLatency", "JupiterLatencyBudgetBurnsFast", "JupiterLatencyBudgetBurnsSlowly"},
    "no-redis": {"PerijoveRedisDown", "PerijoveBudgetSharingLost", "JupiterAPIHighErrorRate", "JupiterErrorBudgetBurnsFast", "JupiterErrorBudgetBurnsSlowly"},
    "slow-redis": {"JupiterAPIHighLatency", "JupiterLatencyBudgetBurnsFast", "JupiterLatencyBudgetBurnsSlowly"},
    "traceless": {"PerijoveSpansLost"},
    "misconfigured": {"PerijoveConfigurationRefused"},
    "changed": {"PerijoveRestartRequired"},
    "hungry": {"HighMemoryUsage"},
    "expiring": {"PerijoveCertificateExpires", "PerijoveCertificateRefused"},
    "dead": {"JupiterAPIDown"},
    "ingest-well": set(),
    "ingest-no-broker": {"ConnectionFailure"},
    # A sink that fails counts as failed messages.
    "ingest-no-database": {"DatabaseDown", "HighConsumerLag", "HighErrorRate"},
    "ingest-no-redis": {"IngestRedisDown", "HighErrorRate", "NoPriceWriter"},
    "ingest-garbage": {"DeadLetters", "HighErrorRate"},
    "ingest-wrong-kind": {"TopicOfWrongKind"},
    "ingest-slow": {"IngestSlow"},
    "ingest-gap": {"RecordsLost"},
    # Of two that share a topic one is killed, and the group waits for it for long.
    "ingest-unread": {"PartitionsUnread"},
    "ingest-dead": {"IngestDown"},
}


# A machine that is busy makes these fire by itself; that they are silent otherwise is shown by promtool.
BUSY = {"IngestSlow", "PerijoveHighLatency", "JupiterAPIHighLatency", "PerijoveLatencyBudgetBurnsFast",
        "PerijoveLatencyBudgetBurnsSlowly", "JupiterLatencyBudgetBurnsFast", "JupiterLatencyBudgetBurnsSlowly"}

# Some trades here are of another time than the clock; promtool shows when this fires.
OF_THE_CLOCK = {"PriceTradesRefused"}


def hurried(text):
    """Rules whose windows and waits are shorter, whose memory is smaller, and which call nothing slow that may be so
    because the machine is busy."""
    def shorter(match):
        return f"{match[1]}{int(match[2]) * SECONDS[match[3]] * 1000 // HURRY}ms{match[4]}"

    text = re.sub(r"(\[)(\d+)([smh])(:?\])", shorter, text)
    text = re.sub(r"(\b(?:for:|offset) )(\d+)([smh])([\s)])", shorter, text)
    text = re.sub(r"(p95_5m(?:{[^}]*})? > )([\d.]+)", lambda match: f"{match[1]}{LENIENT[match[2]]}", text)
    return text.replace("4 * 1024 * 1024 * 1024", "256 * 1024 * 1024")


def call(method, *params):
    return "/", {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}


CALLS = [call("getSlot"), call("getBalance", SOL), call("getBlockHeight"), call("getGenesisHash")]
PRICES = [("/price/v3?ids=" + SOL, None)]
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
QUOTES = [(f"/swap/v1/{kind}?inputMint={SOL}&outputMint={USDC}&amount={10 ** 7 + n}", None)
          for n, kind in enumerate(("quote", "best", "quote"))]


class Live(Ingests, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scene = cls.enterClassContext(Scene())
        cls.targets = []
        cls.kafka = cls.scene.kafka()
        cls.redis = cls.scene.redis()
        cls.gateways()
        eventually("Kafka", lambda: listens(cls.kafka))
        cls.ingests()
        files = {file.name: hurried(file.read_text()) for file in RULES.glob("*.yaml")}
        cls.ask = staticmethod(cls.scene.prometheus(files, cls.targets))
        # What is lost has to have been there.
        live = 'perijove_jupiter_feed_live{namespace="jupiter-unheard"} == 1'
        eventually("trades", lambda: cls.ask(query=live)["result"])
        cls.unheard.away()
        cls.patience_ends = time.monotonic() + PATIENCE

    @classmethod
    def gateways(cls):
        scene = cls.scene
        validators, fault = scene.sandbox(11, "--jupiter", "self-hosted,hosted,self-hosted,self-hosted",
                                          "--jupiter-redis", f"redis://127.0.0.1:{cls.redis}")
        fault(3, kind="slow", ms=4500, spare_probes=True)
        fault(4, kind="down")
        fault(6, kind="lag", slots=50)
        fault(7, kind="rate-limit", shape="plain", spare_probes=True)
        fault(8, kind="rate-limit", shape="credits", spare_probes=True)
        fault(9, kind="http-status", status=401)
        fault(10, kind="slow", ms=20)
        fault(2, of="jupiters", kind="down")
        fault(3, of="jupiters", kind="stale")

        def gateway(namespace, *numbers, sockets=(), **config):
            """A gateway that prefers the first of these validators; WebSockets to them may go through proxies."""
            tiers = ("local", "public") if namespace in ("greedy", "spent", "thrifty", "locked-out") else ("local",) * 3
            upstreams = [{"id": f"v{n}", "url": validators[n], "tier": tier} for n, tier in zip(numbers, tiers)]
            if namespace == "well":
                upstreams[2] |= {"budget": {"requests": 1000, "per": "second"}, "adaptive_concurrency": True}
            if namespace == "no-redis":
                upstreams[0]["budget"] = {"requests": 1000, "per": "second"}
            if namespace == "thrifty":
                upstreams[0]["budget"] = {"requests": 60, "per": "day"}
            if namespace == "crowded":
                upstreams[0] |= {"connections": 1, "connections_ceiling": 1}
            for upstream, proxy in zip(upstreams, sockets):
                upstream["ws_url"] = f"ws://127.0.0.1:{proxy.port}"
            process, address = scene.gateway(namespace, upstreams, **config)
            cls.targets.append(("perijove-gateway", namespace, address["admin"]))
            scene.load(address["rpc"], CALLS)
            return process, address

        def jupiter(*numbers):
            return [{"id": f"j{n}", "kind": "hosted" if n == 1 else "self-hosted", "url": scene.jupiters[n]}
                    for n in numbers]

        def budgeted(first, *more):
            return [{**first, "budget": {"requests": 1000, "per": "second"}}, *more]

        redis = {"url": f"redis://127.0.0.1:{cls.redis}"}
        plans = {"plans": [{"id": "open", "requests_per_minute": "unlimited"}], "anonymous_plan": "open"}
        _, cls.well = gateway("well", 0, 1, 2, cache={"redis": redis}, price={"enabled": True}, consumer_metrics=True,
                              **plans, listen={"rpc": ["127.0.0.1:0"], "tls": [scene.tls("well", days=365)]},
                              jupiter={"upstreams": budgeted(*jupiter(0, 1)), "optimizer": {"path": "/swap/v1/best"}})
        scene.load(cls.well["rpc"], PRICES + QUOTES)
        scene.beside(cls.swaps, cls.well["rpc"])
        cls.scene.subscribe(cls.well["rpc"])
        gateway("thrifty", 0, 1)
        _, address = gateway("crowded", 10, cache={"enabled": False}, limits={"calls": 3})
        for _ in range(3):
            scene.load(address["rpc"], CALLS, every=0.005)
        gateway("jupiter-away", 0, jupiter={"upstreams": jupiter(2)})
        gateway("jupiter-old", 0, jupiter={"upstreams": jupiter(3)})
        tardy = Proxy(urllib.parse.urlparse(scene.jupiters[0]).port)
        scene.callback(tardy.close)
        tardy.delay = 0.8
        late = [{**jupiter(0)[0], "url": f"http://127.0.0.1:{tardy.port}"}]
        _, address = gateway("jupiter-slow", 0, jupiter={"upstreams": late})
        scene.load(address["rpc"], [(f"{QUOTES[0][0]}{n}", None) for n in range(100, 900)])
        cls.unheard = Proxy(cls.redis)
        scene.callback(cls.unheard.close)
        _, address = gateway("jupiter-unheard", 0, jupiter={"upstreams": jupiter(0)},
                             cache={"redis": {"url": f"redis://127.0.0.1:{cls.unheard.port}"}})
        # Whether trades are heard is looked at with each quote.
        scene.load(address["rpc"], QUOTES[:1])
        cls.sockets(gateway, validators)
        gateway("expiring", 0, listen={"rpc": ["127.0.0.1:0"], "tls": [scene.tls("expiring", days=3)]})
        (scene.folder / "expiring.key").write_text("no key\n")
        gateway("slow", 3)
        gateway("away", 4)
        gateway("lagging", 5, 6)
        for namespace, number in (("greedy", 7), ("spent", 8), ("locked-out", 9)):
            gateway(namespace, number, 0)
        late, gone = Proxy(cls.redis), Proxy(cls.redis)
        late.delay, gone.cut = 0.35, True
        for namespace, proxy in (("no-redis", gone), ("slow-redis", late)):
            scene.callback(proxy.close)
            url = {"url": f"redis://127.0.0.1:{proxy.port}", "deadline": "9s"}
            shared = {"budgets": {"shared": True}} if namespace == "no-redis" else {}
            _, address = gateway(namespace, 0, cache={"redis": url}, price={"enabled": True}, **shared)
            scene.load(address["rpc"], PRICES)
        # Nobody listens there.
        gateway("traceless", 0, telemetry={"otlp": {"endpoint": f"http://127.0.0.1:{free_port()}", "ratio": 1.0}})
        _, address = gateway("misconfigured", 0)
        with (scene.folder / "misconfigured.yaml").open("a") as file:
            file.write("retries: many\n")
        _, address = gateway("changed", 0)
        file = scene.folder / "changed.yaml"
        file.write_text(file.read_text().replace("threads: 1", "threads: 2"))
        process, _ = gateway("dead", 0)
        scene.end(process)
        _, address = gateway("hungry", 0, limits={"max_body": "64MiB", "unfinished_bodies": "1GiB", "body_timeout": "10m"})
        for _ in range(6):
            scene.beside(cls.unfinished, address["rpc"])

    @classmethod
    def swaps(cls, address):
        """A quote and the swap of it, twice a second until the end."""
        for n in itertools.count():
            if cls.scene.stopping.wait(0.5):
                return
            with contextlib.suppress(OSError):
                path = f"{QUOTES[0][0].rsplit('=', 1)[0]}={10 ** 9 + n}"
                fetch(f"{address}/swap/v1/swap", {"userPublicKey": SOL, "quoteResponse": json.loads(fetch(address + path))})

    @classmethod
    def sockets(cls, gateway, validators):
        """One gateway whose sockets to upstreams break again and again, and one that gets none after a while."""
        ports = [urllib.parse.urlparse(one).port for one in validators[:2]]
        breaking, gone = [Proxy(port) for port in ports], Proxy(ports[0])
        for proxy in (*breaking, gone):
            cls.scene.callback(proxy.close)
        _, address = gateway("moving", 0, 1, sockets=breaking)
        cls.scene.subscribe(address["rpc"])
        cls.scene.beside(cls.breaks, breaking)
        _, address = gateway("untold", 0, sockets=[gone])
        cls.scene.subscribe(address["rpc"])
        gone.away()

    @classmethod
    def breaks(cls, proxies):
        """Breaks the open connections of one after the other."""
        for proxy in itertools.cycle(proxies):
            if cls.scene.stopping.wait(10):
                return
            proxy.breaks()

    @classmethod
    def unfinished(cls, address, size=50 << 20):
        """A request whose body never ends."""
        with socket.create_connection(("127.0.0.1", urllib.parse.urlparse(address).port)) as connection:
            head = f"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {size + 1}\r\n\r\n"
            connection.sendall(head.encode() + b'"' + b"x" * (size - 1))
            cls.scene.stopping.wait()

    def fired(self):
        """Names of alerts by the namespace in which they have fired."""
        found = {}
        query = 'count by (namespace, alertname) (count_over_time(ALERTS{alertstate="firing"}[1h]))'
        for series in self.ask(query=query)["result"]:
            labels = series["metric"]
            found.setdefault(labels.get("namespace"), set()).add(labels["alertname"])
        return found

    def test_each_alert_fires_where_its_fault_is_and_nowhere_else(self):
        named = {rule["alert"] for rule in rules() if "alert" in rule}
        here = OF_THE_CLOCK.union(*EXPECTED.values())
        self.assertEqual(named, here, "every alert has a fault here")
        self.settle()
        self.assertEqual(self.missing(), {})
        # Before anything was scraped there was nothing to scrape, which has an alert without a namespace.
        ever = self.ask(query='count by (namespace, alertname) (count_over_time(ALERTS{alertstate="firing",namespace!=""}[1h]))')
        for series in ever["result"]:
            labels = series["metric"]
            if labels["alertname"] in BUSY | OF_THE_CLOCK:
                continue
            with self.subTest(labels["namespace"]):
                self.assertIn(labels["alertname"], EXPECTED[labels["namespace"]])

    def missing(self):
        """What should have fired and has not, by namespace. Some are over when the last begins: what was lost is told for a while."""
        firing = self.fired()
        return {n: names - firing.get(n, set()) for n, names in EXPECTED.items() if names - firing.get(n, set())}

    def settle(self):
        """Waits until everything fires, or has had time enough to."""
        while self.missing() and time.monotonic() < self.patience_ends:
            time.sleep(0.5)

    def test_every_panel_has_data_and_is_drawn(self):
        self.settle()
        panels, folder = Panels(self.ask), Path(os.environ.get("PICTURES", ROOT / "target/dashboards"))
        folder.mkdir(parents=True, exist_ok=True)
        for name, board in dashboards():
            data = {p["id"]: panels.series(p) for p in board["panels"] if p["type"] != "row"}
            picture = "\n".join(pictures.draw(board, data, panels.begin, panels.end))
            (folder / f"{name}.svg").write_text(picture)
            for panel in board["panels"]:
                with self.subTest(f"{name}: {panel['title']}"):
                    self.assertTrue(panel["type"] == "row" or any(points for _, points in data[panel["id"]]), "no data")

    def test_every_recorded_series_is_there_and_somebody_asks_for_it(self):
        self.settle()
        asked = "\n".join([rule["expr"] for rule in rules()] + [
            target["expr"] for _, board in dashboards() for panel in board["panels"] for target in panel.get("targets", [])])
        for name in sorted({rule["record"] for rule in rules() if "record" in rule}):
            with self.subTest(name):
                self.assertIn(name, asked)
                self.assertTrue(self.ask(query=name)["result"])

    def test_the_overview_tells_the_truth(self):
        self.settle()
        panels = Panels(self.ask)
        overview = {p["title"]: p for p in dict(dashboards())["overview"]["panels"]}

        def last(title, namespace):
            return panels.series(overview[title], namespace)[0][1][-1][1]

        self.assertEqual(last("Healthy upstreams", "well"), 3)
        self.assertEqual(last("Healthy upstreams", "away"), 0)
        self.assertLess(last("Failed", "well"), 0.5)
        self.assertEqual(last("Failed", "away"), 1)
        self.assertEqual(last("Gateways", "dead"), 0)
        self.assertGreater(last("Calls", "well"), 1)
        self.assertGreater(last("p95", "slow"), 0.5)
        products = {legend for legend, points in panels.series(
            next(p for p in dict(dashboards())["jupiter"]["panels"] if p["title"] == "Requests" and p["type"] != "row"), "well")
            if points and points[-1][1] > 0}
        self.assertLessEqual({"quote", "swap", "price"}, {legend.split(" ")[0] for legend in products})
        self.assertEqual(last("Redis lookups failed", "no-redis"), 1)
        self.assertLess(last("Redis lookups failed", "well"), 0.5)
