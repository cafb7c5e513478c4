"""What the chart makes of values is a configuration that the programs take; and a restart follows where one is needed."""

import json
import re
import tempfile
import unittest
from pathlib import Path

import yaml

import rendered
from tools import ROOT, binary, run

# What pods have in their environment and files.
ENVIRONMENT = {
    "REDIS_URL": "redis://:x@redis:6379/0", "DATABASE_URL": "postgres://u:p@database/perijove", "KAFKA_USERNAME": "u",
    "KAFKA_PASSWORD": "p", "SOLANA_RPC_AUTH": "Bearer x", "JUPITER_API_KEY": "k", "BOT_KEY": "0123456789abcdef0123",
    "OTLP_HEADER_X_API_KEY": "k", "OTLP_HEADER_X_TENANT": "t",
}


def check(program, text):
    """What `check` says of a configuration; files that pods mount are put in their places."""
    with tempfile.TemporaryDirectory() as folder:
        for name, block in (("ca.crt", "CERTIFICATE"), ("tls.crt", "CERTIFICATE"), ("tls.key", "PRIVATE KEY")):
            Path(folder, name).write_text(f"-----BEGIN {block}-----\n-----END {block}-----\n")
        file = Path(folder, "config.yaml")
        file.write_text(text.replace("/etc/kafka-tls", folder))
        return run(binary(program), "check", "--config", file, env=ENVIRONMENT)


def files(objects):
    """(program, text) of every configuration among objects."""
    for o in objects:
        if o["kind"] == "ConfigMap":
            for key, program in (("gateway.yaml", "GATEWAY"), ("ingest.yaml", "INGEST")):
                if key in o.get("data", {}):
                    yield o["metadata"]["name"], program, o["data"][key]


class Configuration(unittest.TestCase):
    def test_the_programs_take_what_every_combination_makes(self):
        seen = set()
        for title, objects in rendered.everything():
            for name, program, text in files(objects):
                if text in seen:
                    continue
                seen.add(text)
                done = check(program, text)
                self.assertEqual(done.returncode, 0, f"{title} {name}: {done.stdout}{done.stderr}\n{text}")
        self.assertGreater(len(seen), 8)

    def test_what_the_hook_checks_is_what_is_installed(self):
        for title, objects in rendered.everything():
            texts = {}
            for name, _, text in files(objects):
                part = next((part for part in ("ingest", "optimizer", "oracle") if part in name), "gateway")
                texts.setdefault(part, set()).add(text)
            for part, different in texts.items():
                self.assertEqual(len(different), 1, f"{title}: {part}")

    def test_check_says_what_is_wrong_with_a_bad_one(self):
        objects = rendered.objects(settings=('apiGateway.config={"retry":{"atempts":3}}',))
        text = rendered.named(objects, "ConfigMap", "rel-perijove-check-gateway")["data"]["gateway.yaml"]
        done = check("GATEWAY", text)
        self.assertEqual(done.returncode, 3)
        self.assertIn("atempts", done.stdout + done.stderr)

    def test_what_is_wrong_is_left_to_check_however_wrong_it_is(self):
        for wrong in ({"upstreams": 3}, {"upstreams": ["x"]}, {"upstreams": [{"url": 5}]}, {"upstreams": [{"id": "x"}]},
                      {"jupiter": {"upstreams": {"a": 1}}}, {"cache": {"redis": {"urls": 7}}},
                      {"telemetry": {"otlp": {"endpoint": [1]}}}, {"telemetry": 1}, {"log": "x"}, {"selection": [1]}):
            with self.subTest(wrong):
                objects = rendered.objects(settings=(f"apiGateway.config={json.dumps(wrong)}",))
                text = rendered.named(objects, "ConfigMap", "rel-perijove-check-gateway")["data"]["gateway.yaml"]
                self.assertEqual(check("GATEWAY", text).returncode, 3)

    def test_the_hooks_environment_has_every_variable_of_the_configuration(self):
        for title, objects in rendered.everything():
            for owner, spec, _ in rendered.pods(objects):
                for container in spec["containers"]:
                    maps = [v["configMap"]["name"] for v in spec.get("volumes", []) if "configMap" in v]
                    has = {env["name"] for env in container.get("env", [])}
                    for name, _, text in files(objects):
                        if name in maps and "perijove" in container["image"] and "envFrom" not in container:
                            self.assertLessEqual(set(re.findall(r"\$\{(\w+)\}", text)), has, f"{title} {owner['metadata']['name']}")

    def test_every_key_that_needs_a_restart_is_in_the_checksum(self):
        documented = re.findall(r"^\| `([\w.\[\]*]+)` \|.*\| restart \|", (ROOT / "docs/configuration.md").read_text(), re.M)
        self.assertGreater(len(documented), 8)
        optimizer = ("routeOptimizer.enabled=true", 'global.jupiterApiUrl="https://api.jup.ag"')
        base = rendered.objects(settings=optimizer)
        for key in documented:
            config = {}
            keys = key.replace("[]", "").split(".")
            at = config
            for part in keys[:-1]:
                at = at.setdefault(part, {})
            at[keys[-1]] = "changed"
            if key.startswith("admin.tls"):
                # The kubelet shows no certificate, so the chart refuses an admin port that requires one.
                config["admin"]["tls"] = config["admin"]["tls"] if isinstance(config["admin"]["tls"], dict) else {}
                config["admin"]["tls"] = {"certificate": "a", "key": "a", **config["admin"]["tls"], "client_auth": "optional"}
            changed = rendered.objects(settings=(*optimizer, f"apiGateway.config={json.dumps(config)}"))
            self.assertNotEqual(self.checksum(base), self.checksum(changed), key)
            self.assertNotEqual(self.checksum(base, "route-optimizer"), self.checksum(changed, "route-optimizer"), key)
            if key.startswith("admin.tls"):
                continue
            changed = rendered.objects(settings=(*optimizer, f"routeOptimizer.config={json.dumps(config)}"))
            self.assertEqual(self.checksum(base), self.checksum(changed), f"{key} of the optimizer is not the gateway's")
            self.assertNotEqual(self.checksum(base, "route-optimizer"), self.checksum(changed, "route-optimizer"), key)
        for part in ("apiGateway", "routeOptimizer"):
            for key in ("retry", "breaker", "upstreams"):
                changed = rendered.objects(settings=(*optimizer, f'{part}.config.{key}={{"x":1}}'))
                for component in ("api-gateway", "route-optimizer"):
                    self.assertEqual(self.checksum(base, component), self.checksum(changed, component), f"{part}: {key}")

    @staticmethod
    def checksum(objects, component="api-gateway"):
        deployment = rendered.named(objects, "Deployment", f"rel-perijove-{component}")
        return deployment["spec"]["template"]["metadata"]["annotations"]["checksum/restart"]

    def test_a_pod_ends_later_than_its_longest_request(self):
        for title, objects in rendered.everything():
            for o in objects:
                if o["kind"] != "Deployment" or "gateway" not in o["metadata"]["name"]:
                    continue
                config = yaml.safe_load(rendered.named(objects, "ConfigMap", "rel-perijove-api-gateway")["data"]["gateway.yaml"])
                seconds = {k: int(v.rstrip("s")) for k, v in config["shutdown"].items()}
                grace = o["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
                self.assertGreater(grace, sum(seconds.values()), title)
                self.assertGreaterEqual(seconds["grace"], int(config["limits"]["request_timeout"].rstrip("s")), title)

