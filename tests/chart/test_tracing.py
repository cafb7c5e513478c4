"""Traces, with everything real but the collector: what the chart renders for them, run as a pod would."""

import json
import re
import unittest

import yaml

import rendered
from collector import Collector
from scene import Scene, eventually, fetch
from test_live import call
from tools import binary

SECRET = "hush-of-the-collector"


def environment(container):
    """A pod's variables, as the kubelet makes them: every Secret holds the same."""
    made = {}
    for env in container.get("env", []):
        source = env.get("valueFrom", {})
        text = SECRET if "secretKeyRef" in source else "pod-1" if "fieldRef" in source else env["value"]
        made[env["name"]] = re.sub(r"\$\((\w+)\)", lambda name: made[name[1]], text)
    return made


class Tracing(unittest.TestCase):
    def run_as_rendered(self, *settings):
        """A gateway with the chart's configuration and environment in front of a sandbox: its addresses."""
        scene = self.enterContext(Scene())
        (validator,), _ = scene.sandbox(1)
        upstreams = json.dumps([{"id": "v", "url": validator, "tier": "local"}])
        objects = rendered.objects(settings=(f"apiGateway.upstreams={upstreams}", *settings))
        text = rendered.named(objects, "ConfigMap", "rel-perijove-api-gateway")["data"]["gateway.yaml"]
        self.assertNotIn(SECRET, text)
        config = yaml.safe_load(text)
        for key in ("cluster", "admin", "listen", "log", "shutdown", "upstreams"):
            config.pop(key)
        deployment = rendered.named(objects, "Deployment", "rel-perijove-api-gateway")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        _, address = scene.gateway("gateway", json.loads(upstreams), env=environment(container), **config)
        eventually("an answer", lambda: '"result":' in fetch(address["rpc"], call("getSlot")[1]))
        return address

    def test_spans_arrive_with_the_secrets_header_and_say_of_which_pod_they_are(self):
        collector = self.enterContext(Collector())
        self.run_as_rendered(f'tracing={{"enabled":true,"endpoint":"{collector.address}","ratio":1,'
                             '"existingSecret":"s","headers":{"x-api-key":"key"}}')
        says = ("perijove-gateway", "k8s.pod.name", "pod-1", "k8s.namespace.name", "spot", "getSlot")
        eventually("spans", lambda: collector.has(*says))
        for _, headers, body in collector.exports:
            self.assertEqual(headers["x-api-key"], SECRET)
            self.assertNotIn(SECRET.encode(), body)

    def test_nothing_is_exported_where_nothing_asks_for_it(self):
        address = self.run_as_rendered()
        spans = re.findall(r'(?m)^perijove_telemetry_spans_total\{outcome="\w+"\} (\d+)$', fetch(f"{address['admin']}/metrics"))
        self.assertEqual(spans, ["0"] * 3)
