"""Every combination of values renders, with both Helms, to objects that Kubernetes takes as they are."""

import json
import re
import unittest

import rendered
from kube_schema import fault
from tools import CHART, HELMS, KUBERNETES, ROOT, program, run


class Rendering(unittest.TestCase):
    def test_both_helms_find_nothing_to_complain_of(self):
        for helm in HELMS:
            for title, files in rendered.combinations():
                words = [word for file in files for word in ("--values", file)]
                done = run(program(helm), "lint", "--strict", CHART, *words)
                self.assertEqual(done.returncode, 0, f"{helm} {title}: {done.stdout}{done.stderr}")

    def test_both_helms_make_the_same_of_it(self):
        # Generated passwords aside.
        def blank(text):
            return re.sub(r"(?m)^  password: .*$", "", text)

        for title, files in rendered.combinations():
            with self.subTest(title):
                three, four = (rendered.objects(*files, helm=helm) for helm in HELMS)
                self.assertEqual(*(blank(json.dumps(sorted(map(json.dumps, o)), indent=1)) for o in (
                    [self.without_password(x) for x in three], [self.without_password(x) for x in four])))

    @staticmethod
    def without_password(document):
        return {**document, "data": None} if document["kind"] == "Secret" else document

    def test_every_template_makes_something_somewhere(self):
        # What .helmignore leaves out of the chart is missed by nobody else: Helm runs no test where it finds none.
        made = set()
        for _, files in rendered.combinations():
            made |= set(re.findall(r"(?m)^# Source: perijove/(\S+)$", rendered.text(files)))
        templates = {str(file.relative_to(CHART)) for folder in (CHART, *(CHART / "charts").iterdir())
                     for file in (folder / "templates").rglob("*.yaml")}
        self.assertEqual(templates - made, {"templates/validate.yaml"})

    def test_every_object_is_valid_in_every_kubernetes(self):
        seen = {}
        for title, objects in rendered.everything():
            for document in objects:
                seen.setdefault(json.dumps(document, sort_keys=True), (title, document))
        self.assertGreater(len(seen), 100)
        for title, document in seen.values():
            for kube in KUBERNETES:
                error = fault(document, kube)
                name = f"{document['kind']}/{document['metadata']['name']}"
                self.assertIsNone(error, f"{title}, {name}, Kubernetes {kube}")

    def test_a_misspelt_key_would_be_found(self):
        for kind, change in (
            ("Deployment", lambda o: o["spec"].update(replica=1)),
            ("Deployment", lambda o: o["spec"]["template"]["spec"]["containers"][0]["ports"][0].update(containerPort="80")),
            ("ServiceMonitor", lambda o: o["spec"]["endpoints"][0].update(intervall="30s")),
            ("PrometheusRule", lambda o: o["spec"]["groups"][0]["rules"][0].update(lables={})),
            ("ScaledObject", lambda o: o["spec"].update(minReplicas=1)),
            ("HTTPRoute", lambda o: o["spec"]["rules"][0].update(backends=[])),
            ("ExternalSecret", lambda o: o["spec"].update(refresh="1h")),
            ("Cluster", lambda o: o["spec"].update(replicas=1)),
        ):
            with self.subTest(kind):
                found = [o for _, objects in rendered.everything() for o in objects if o["kind"] == kind]
                self.assertTrue(found, f"no combination renders a {kind}")
                broken = json.loads(json.dumps(found[0]))
                self.assertIsNone(fault(broken, "1.34"))
                change(broken)
                self.assertIsNotNone(fault(broken, "1.34"))

    def test_generated_files_are_up_to_date(self):
        done = run(program("python"), ROOT / "scripts/chart-docs", "--check")
        self.assertEqual(done.returncode, 0, done.stderr)


class Values(unittest.TestCase):
    def test_unknown_and_misplaced_values_are_refused(self):
        for setting in (
            "apiGateway.replicas=3", "globl={}", 'apiGateway.image.digest="sha256:abc"', "valkey.maxmem=1",
            'apiGateway.antiAffinity="maybe"', 'global.environment="mainnet"', "ingest.kafka.user=1",
            'redis.url="redis://:secret@host"', 'restore.from="yesterday"', "apiGateway.replicaCount=-1",
            'jupiterApi.env={"YELLOWSTONE_ENDPOINT":"nonsense"}', 'jupiterApi.env={"YELLOWSTONE_ENDPOINT":"grpc://h:1"}',
            'priceOracle.mints=["not a mint"]', 'monitoring.alerts.rules=[{"name":"x"}]',
            'tracing.endpoint="collector:4318"', "tracing.ratio=2", 'tracing.headers={"X Key":"k"}', 'tracing.headers={"x-key":1}',
        ):
            with self.subTest(setting), self.assertRaises(rendered.Refused) as refusal:
                rendered.text(settings=("valkey.enabled=true", setting) if "valkey" in setting else (setting,))
            self.assertIn("schema", str(refusal.exception), setting)

    def test_a_digest_pins_an_image(self):
        digest = "sha256:" + "a" * 64
        objects = rendered.objects(settings=(f'apiGateway.image.digest="{digest}"', 'global.imageRegistry="r.example"'))
        images = {c["image"] for _, spec, _ in rendered.pods(objects) for c in rendered.containers(spec)}
        self.assertEqual(images, {f"r.example/perijove-gateway@{digest}"})

    def test_each_image_of_the_chart_can_be_pinned(self):
        digest = "sha256:" + "b" * 64
        places = ["apiGateway.blueGreen.green", "ingest.blueGreen.green", "apiGateway.image", "ingest.image", "jupiterApi.image",
                  "backup.image", "backup.s3.image", "valkey.image", "postgresql.image"]
        settings = [f'{place}.digest="{digest}"' for place in places]
        settings += ["ingest.enabled=true", 'ingest.kafka.existingSecret="k"', "priceOracle.enabled=true", "valkey.enabled=true",
                     "postgresql.enabled=true", "backup.enabled=true", "restore.enabled=false", "jupiterApi.enabled=true",
                     'jupiterApi.image.repository="j"', "routeOptimizer.enabled=true", 'backup.target="s3"', 'backup.s3.bucket="b"']
        settings += [f"{part}.blueGreen.{key}=true" for part in ("apiGateway", "ingest") for key in ("enabled", "preview")]
        objects = rendered.objects(settings=tuple(settings))
        images = {c["image"] for _, spec, _ in rendered.pods(objects) for c in rendered.containers(spec)}
        self.assertEqual(images, {f"{name}@{digest}" for name in (
            "perijove-gateway", "perijove-ingest", "j", "postgres", "rclone/rclone", "valkey/valkey")})
