"""What the CronJob of the price oracle runs, with the real program, a real Redis and a stand-in for Jupiter's API."""

import http.server
import json
import threading
import unittest

import yaml

import rendered
from scene import Scene
from tools import binary, run

USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"


class Jupiter(http.server.BaseHTTPRequestHandler):
    """Prices of Jupiter's API: one for whatever is asked."""

    price, asked = 1.0, []

    def do_GET(self):
        self.asked.append((self.path, self.headers.get("x-api-key")))
        body = json.dumps({USDC: {"usdPrice": self.price, "decimals": 6, "blockId": 300000000, "priceChange24h": 0.0}}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Reconcile(unittest.TestCase):
    def test_it_compares_the_prices_that_ingest_has_written_with_jupiters(self):
        with Scene() as scene, http.server.ThreadingHTTPServer(("127.0.0.1", 0), Jupiter) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.shutdown)
            redis = f"redis://127.0.0.1:{scene.redis()}"
            objects = rendered.objects(settings=(
                "priceOracle.enabled=true", f'redis.url="{redis}"', f'priceOracle.mints=["{USDC}"]', 'priceOracle.maxAge="1h"',
                f'priceOracle.apiUrl="http://127.0.0.1:{server.server_address[1]}/price/v3"'))
            (spec,) = [spec for owner, spec, _ in rendered.pods(objects) if owner["kind"] == "CronJob"]
            (container,) = spec["containers"]
            (volume,) = spec["volumes"]
            config = rendered.named(objects, "ConfigMap", volume["configMap"]["name"])["data"]["ingest.yaml"]
            (scene.folder / "ingest.yaml").write_text(config)
            words = [word.replace("/etc/perijove", str(scene.folder)) for word in container["args"]]
            environment = {entry["name"]: entry.get("value", "a-key") for entry in container["env"]}
            self.assertEqual(environment, {"REDIS_URL": redis, "JUPITER_API_KEY": "a-key"})

            def reconcile():
                return run(binary("INGEST"), *words, env=environment, cwd=scene.folder)

            done = reconcile()
            self.assertEqual(done.returncode, 1, "no price is a reason to fail, and no mistake in the words: " + done.stderr)

            (scene.folder / "writes.yaml").write_text(yaml.safe_dump({
                "database": {"url": "sqlite:trades.db"}, "batch": {"rows": 300}, "redis": {"url": redis}}))
            for command in (("generate", "trades", "--messages", "800"), ("replay", "trades", "-c", "writes.yaml")):
                done = run(binary("INGEST"), *command, cwd=scene.folder)
                self.assertEqual(done.returncode, 0, done.stderr)
            done = reconcile()
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn(USDC, done.stdout)
            path, key = Jupiter.asked[-1]
            self.assertEqual((path.split("?")[0], key), ("/price/v3", "a-key"))
            self.assertIn(USDC, path)

            Jupiter.price = 1.1
            done = reconcile()
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertIn(USDC, done.stdout + done.stderr)
