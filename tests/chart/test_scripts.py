"""The scripts for operators, against real gateways and stand-ins of what they look at."""

import contextlib
import http.server
import json
import os
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import yaml

from scene import Scene, eventually
from tools import ROOT, binary, program, run


@contextlib.contextmanager
def running():
    """A gateway in front of a sandbox: its RPC and admin URLs."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        def start(*words):
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder)
            stack.callback(process.stdout.close)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return json.loads(process.stdout.readline())

        sandbox = start(binary("SANDBOX"), "--print-json", "--base-port", "0", "--control", "127.0.0.1:0")
        upstreams = [{"id": f"v{n}", "url": first(v), "tier": "local"}
                     for n, v in enumerate(sandbox["validators"])]
        file = Path(folder, "gateway.yaml")
        file.write_text(yaml.safe_dump({"listen": {"rpc": ["127.0.0.1:0"]}, "admin": {"listen": "127.0.0.1:0"},
                                        "upstreams": upstreams, "runtime": {"upgrade_socket": f"{folder}/u.sock"}}))
        gateway = start(binary("GATEWAY"), "run", "--config", str(file))
        yield gateway


class Scripts(unittest.TestCase):
    def test_they_say_what_is_wrong_with_their_words(self):
        for name, words, says in (
            ("monitor_deployment.sh", ["--time"], "--time needs a value"),
            ("monitor_deployment.sh", ["--time", "soon"], "--time needs a whole number, not soon"),
            ("monitor_deployment.sh", ["--tiem", "1"], "--tiem is not known"),
            ("deploy_blue_green.sh", [], "--tag is needed"),
            ("deploy_blue_green.sh", ["--tag"], "--tag needs a value"),
            ("deploy_blue_green.sh", ["--tag", "1", "--component", "redis"], "redis is neither gateway nor ingest"),
            ("verify_setup.sh", ["--gateway"], "--gateway needs a value"),
            ("verify_setup.sh", ["--kafka"], "--kafka needs --ingest"),
            ("verify_setup.sh", ["--yellowstone"], "--yellowstone needs a value"),
            ("quick_verify.sh", ["--rpc"], "--rpc is not known"),
            ("quick_verify.sh", ["--key"], "--key needs a value"),
            ("monitor_deployment.sh", ["--ca"], "--ca needs a value"),
        ):
            with self.subTest(f"{name} {words}"):
                done = run(ROOT / "scripts" / name, *words)
                self.assertEqual(done.returncode, 2)
                self.assertIn(says, done.stderr)

    def test_they_say_how_they_are_used_to_who_asks(self):
        for script in sorted(ROOT.glob("scripts/*.sh")):
            with self.subTest(script.name):
                done = run(script, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn(f"scripts/{script.name} ", done.stdout)

    def test_they_name_a_program_that_is_missing(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("bash", "dirname", "sed", "cat"):
                os.symlink(program(name), Path(folder, name))
            for name, words, says in (
                ("monitor_deployment.sh", [], "curl is missing; install it with: apt-get install curl"),
                ("quick_verify.sh", [], "curl is missing; install it with: apt-get install curl"),
                ("deploy_blue_green.sh", ["--tag", "1"], "helm is missing"),
                ("verify_setup.sh", [], "perijove-gateway is not there; build it with: cargo build"),
            ):
                with self.subTest(name):
                    done = run(ROOT / "scripts" / name, *words, env={"PATH": folder})
                    self.assertIn(done.returncode, (1, 2))
                    self.assertIn(says, done.stderr)

    def test_quick_verify_says_what_it_was_told(self):
        with Scene() as scene:
            (validator,), fault = scene.sandbox(1)
            fault(0, kind="down")
            _, address = scene.gateway("gateway", [{"id": "v", "url": validator, "tier": "local"}])
            done = run(ROOT / "scripts/quick_verify.sh", address["rpc"], address["admin"])
            self.assertEqual(done.returncode, 1)
            for says in ("FAIL  ready", "no upstream available", "FAIL  getSlot", "-32005", "2 of 4 failed"):
                self.assertIn(says, done.stderr)
            self.assertIn("ok    health", done.stdout)

    def test_health_quick_verify_and_monitor_say_yes_to_a_gateway_that_is_well_and_no_to_none(self):
        with running() as gateway:
            rpc, admin = (first(gateway[name]) for name in ("rpc", "admin"))
            done = run(binary("GATEWAY"), "health", "--wait", "60s", f"{admin}/health", f"{admin}/ready", f"{rpc}/health")
            self.assertEqual(done.returncode, 0, done.stderr)
            done = run(ROOT / "scripts/quick_verify.sh", rpc, admin)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            done = run(ROOT / "scripts/monitor_deployment.sh", "--admin", admin, "--time", "1", "--every", "1")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("healthy upstreams 3", done.stdout)
        self.assertEqual(run(binary("GATEWAY"), "health", f"{admin}/health").returncode, 1)
        self.assertNotEqual(run(ROOT / "scripts/quick_verify.sh", rpc, admin).returncode, 0)

    def test_they_check_a_gateway_that_asks_for_keys_tokens_and_certificates(self):
        key, token = "a-key-of-someone", "the-token-of-the-port"
        with Scene() as scene:
            (validator,), _ = scene.sandbox(1)
            tls = scene.tls("own", 30)
            admin = {"listen": "127.0.0.1:0", "token": token, "tls": {name: tls[name] for name in ("certificate", "key")}}
            _, address = scene.gateway("gateway", [{"id": "v", "url": validator, "tier": "local"}], admin=admin,
                                       anonymous=False, consumers=[{"id": "bots", "keys": [key]}])
            admin = address["admin"].replace("http://127.0.0.1", "https://localhost")
            quick = [ROOT / "scripts/quick_verify.sh", address["rpc"], admin]
            watch = [ROOT / "scripts/monitor_deployment.sh", "--admin", admin, "--time", "1", "--every", "1"]
            shown = {"PERIJOVE_KEY": key, "PERIJOVE_ADMIN_TOKEN": token, "PERIJOVE_CA": tls["certificate"]}
            options = ["--token", token, "--ca", tls["certificate"]]
            ordinary = {name: value for name, value in os.environ.items() if not name.startswith("PERIJOVE_")}
            eventually("a healthy upstream", lambda: run(*watch, *options, env=ordinary).returncode == 0)
            for words, env in (([*quick, "--key", key, *options], ordinary), (quick, {**ordinary, **shown}),
                               (watch, {**ordinary, **shown})):
                done = run(*words, env=env)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertNotIn(key, done.stdout + done.stderr)
            without = {**ordinary, "PERIJOVE_CA": tls["certificate"]}
            said = self.refused(run(*quick, env=without))
            for says in ("show admin.token with --token or PERIJOVE_ADMIN_TOKEN", "show an API key with --key or PERIJOVE_KEY",
                         "2 of 4 failed"):
                self.assertIn(says, said)
            self.assertIn("needs admin.token: --token or PERIJOVE_ADMIN_TOKEN", self.refused(run(*watch, env=without)))
            self.assertIn("FAIL  health", self.refused(run(*quick, env=ordinary)))

    def test_monitor_says_what_is_wrong_with_a_deployment(self):
        with Scene() as scene:
            (validator,), fault = scene.sandbox(1)
            process, address = scene.gateway("gateway", [{"id": "v", "url": validator, "tier": "local"}])
            watch = [ROOT / "scripts/monitor_deployment.sh", "--admin", address["admin"], "--time", "1", "--every", "1"]
            eventually("a healthy upstream", lambda: run(*watch).returncode == 0)
            fault(0, kind="down")
            scene.load(address["rpc"], [("/", {"jsonrpc": "2.0", "id": 1, "method": "getSlot"})])
            for problem in ("no upstream is healthy", "calls failed"):
                eventually(problem, lambda problem=problem: problem in self.refused(run(*watch)))
            scene.end(process)
            self.assertIn("/metrics cannot be read", self.refused(run(*watch)))

    def test_monitor_says_what_is_wrong_with_ingest(self):
        """Its numbers are those of a stand-in, which says what it is told to."""
        said = {"ready": 200, "lag": 3, "stored": 0, "pace": 100}

        class Ingest(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                said["stored"] += said["pace"]
                text = (f'kafka_consumer_lag{{topic="a",partition="0"}} {said["lag"]}\n'
                        f'kafka_consumer_lag{{topic="a",partition="1"}} 1\nmessages_processed_total{{topic="a"}} {said["stored"]}\n')
                body = text.encode() if self.path == "/metrics" else b""
                self.send_response(said["ready"] if self.path == "/ready" else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        with Scene() as scene, http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ingest) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.shutdown)
            (validator,), _ = scene.sandbox(1)
            _, address = scene.gateway("gateway", [{"id": "v", "url": validator, "tier": "local"}])
            watch = [ROOT / "scripts/monitor_deployment.sh", "--admin", address["admin"], "--time", "1", "--every", "1",
                     "--ingest", f"http://127.0.0.1:{server.server_address[1]}", "--max-lag", "10", "--min-rate", "20"]
            eventually("a healthy upstream", lambda: run(*watch).returncode == 0)
            for wrong, says in (({"lag": 10}, "the lag is 11 records"), ({"pace": 1}, "messages a second, not 20"),
                                ({"ready": 503}, "ingest is not ready")):
                right = {name: said[name] for name in wrong}
                said.update(wrong)
                told = self.refused(run(*watch))
                self.assertIn(says, told)
                self.assertEqual(len({line for line in told.splitlines() if "PROBLEM" in line}), 1, told)
                said.update(right)
            self.assertEqual(run(*watch).returncode, 0)
            server.shutdown()
            server.server_close()
            told = self.refused(run(*watch))
            self.assertIn("/metrics cannot be read", told)

    def refused(self, done):
        """What a script that said no had to say."""
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return done.stderr

    def test_verify_setup_finds_a_configuration_that_is_wrong(self):
        with tempfile.TemporaryDirectory() as folder:
            bins = Path(folder, "bin")
            bins.mkdir()
            for name in ("GATEWAY", "INGEST"):
                os.symlink(binary(name), bins / f"perijove-{name.lower()}")
            script = [ROOT / "scripts/verify_setup.sh", "--bin", bins, "--gateway"]
            self.assertEqual(run(*script, ROOT / "conf/examples/minimal.yaml", cwd=folder).returncode, 0)
            done = run(*script, ROOT / "conf/invalid/unknown-key.yaml", cwd=folder)
            self.assertEqual(done.returncode, 1)
            self.assertIn("FAIL", done.stderr)
            asks = [*script, ROOT / "conf/examples/minimal.yaml", "--yellowstone"]
            with socket.create_server(("127.0.0.1", 0)) as server:
                url = f"http://127.0.0.1:{server.getsockname()[1]}"
                done = run(*asks, url, cwd=folder)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(f"ok    Yellowstone at {url}", done.stdout)
            for wrong, says in ((url, "cannot be reached"), ("nonsense", "is not http(s)://HOST:PORT")):
                done = run(*asks, wrong, cwd=folder)
                self.assertEqual(done.returncode, 1)
                self.assertIn(says, done.stderr)


def first(addresses):
    address = addresses if isinstance(addresses, str) else addresses[0]
    return address if address.startswith("http") else f"http://{address}"
