"""Dockerfile, compose file, units and scripts: linted, and the scripts run against a real gateway."""

import contextlib
import json
import os
import re
import shlex
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from scene import Scene, eventually
from tools import ROOT, binary, program, run


class Lints(unittest.TestCase):
    def clean(self, *words):
        done = run(*words, cwd=ROOT)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_scripts(self):
        scripts = [*ROOT.glob("scripts/*.sh"), ROOT / "scripts/setup", ROOT / "tests/chart/run", ROOT / "tests/image/run",
                   *ROOT.glob("charts/perijove/files/backup/*.sh")]
        self.clean(program("shellcheck"), *scripts)

    def test_dockerfile(self):
        self.clean(program("hadolint"), "Dockerfile")

    def test_compose_file(self):
        self.clean(program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "deploy/compose/compose.yaml")

    def test_yaml_that_no_template_makes(self):
        rules = "{extends: default, rules: {line-length: disable, document-start: disable, braces: {max-spaces-inside: 1}, comments: disable, commas: disable, truthy: {check-keys: false}}}"
        self.clean(program("yamllint"), "--strict", "-d", rules, "deploy", "dashboards/rules/gateway.yaml",
                   "dashboards/rules/ingest.yaml", *ROOT.glob("charts/perijove/values*.yaml"))

    def test_what_compose_mounts_is_there_and_its_configurations_are_valid(self):
        folder = ROOT / "deploy/compose"
        for service in yaml.safe_load((folder / "compose.yaml").read_text())["services"].values():
            for volume in service.get("volumes", []):
                if volume.startswith("."):
                    self.assertTrue((folder / volume.split(":")[0]).exists(), volume)
        environment = {"REDIS_URL": "redis://redis", "VALIDATOR_URL": "https://a.example", "DATABASE_URL": "postgres://a:b@c/d"}
        for name in ("gateway", "ingest"):
            done = run(binary(name.upper()), "check", "--config", folder / f"{name}.yaml", env=environment)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = run(program("promtool"), "check", "config", "--syntax-only", folder / "prometheus.yaml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


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


class Commands(unittest.TestCase):
    def test_the_programs_know_every_command_that_the_documentation_gives(self):
        pages = [ROOT / "README.md", ROOT / "charts/perijove/README.md", *ROOT.glob("docs/**/*.md")]
        seen = set()
        for page in pages:
            for block in re.findall(r"(?ms)^ *```(?:sh|bash|console)?\n(.*?)^ *```", page.read_text()):
                for line in block.replace("\\\n", " ").splitlines():
                    seen |= {(page.name, part.strip()) for part in re.split(r"\s#|[|;&>]", line)
                             if re.match(r"\s*perijove-(gateway|ingest) ", part)}
        self.assertGreater(len(seen), 20)
        for page, command in sorted(seen):
            name, *words = shlex.split(command)
            done = run(binary(name.removeprefix("perijove-").upper()), *words, "--help")
            with self.subTest(f"{page}: {command}"):
                self.assertEqual(done.returncode, 0, done.stderr)


class Scripts(unittest.TestCase):
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


def first(addresses):
    address = addresses if isinstance(addresses, str) else addresses[0]
    return address if address.startswith("http") else f"http://{address}"


