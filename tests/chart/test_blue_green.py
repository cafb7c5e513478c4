"""The script that switches colours, with both Helms, against a stand-in for the API and for kubectl."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from release import Releases, values
from tools import CHART, ROOT, run

# `kubectl rollout status` as the script has to say it; anything else is refused, and so is a deployment that is not there.
KUBECTL = """#!{python}
import json, sys, urllib.request
words = sys.argv[1:]
with open("{folder}/asked", "a") as file:
    file.write(json.dumps(words) + "\\n")
if len(words) != 7 or words[:1] != ["--namespace"] or words[2:4] != ["rollout", "status"] or words[5] != "--timeout":
    sys.exit("kubectl does not know these words: " + " ".join(words))
kind, _, name = words[4].partition("/")
if kind != "deployment":
    sys.exit("the server has no resource " + kind)
urllib.request.urlopen("{server}/apis/apps/v1/namespaces/" + words[1] + "/deployments/" + name)
answers = {answers!r}
with open("{folder}/asked") as file:
    count = len(file.readlines())
if not answers[min(count, len(answers)) - 1]:
    sys.exit("error: timed out waiting for the condition")
"""


class Script(Releases):
    def script(self, release, *words, answers=(True,)):
        """Runs it, beside a kubectl that gives one answer after the other, and the last one from then on."""
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        kubectl = folder / "kubectl"
        kubectl.write_text(KUBECTL.format(python=sys.executable, folder=folder, server=release.server.url, answers=answers))
        kubectl.chmod(0o755)
        environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "KUBECONFIG": "/dev/null",
                       "HELM": release.helm, "HELM_KUBEAPISERVER": release.server.url}
        done = run(ROOT / "scripts/deploy_blue_green.sh", "--release", "pj", "--namespace", "spot", "--timeout", "61s", *words,
                   env=environment)
        asked = folder / "asked"
        self.asked = [json.loads(line) for line in asked.read_text().splitlines()] if asked.exists() else []
        return done

    def refused(self, done, says):
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(says, done.stderr)

    @staticmethod
    def running(cluster, component):
        return {name: one["spec"]["template"]["spec"]["containers"][0]["image"]
                for name, one in cluster.all("Deployment").items() if component in name}

    @staticmethod
    def active(cluster):
        return cluster.all("Service")["pj-perijove-api-gateway"]["spec"]["selector"]["perijove.io/colour"]

    def test_it_switches_colours_and_leaves_the_traffic_where_it_is_when_the_new_one_is_not_well(self):
        for helm, release, cluster in self.each():
            self.good(release("install", "pj", CHART, *values("prod", "mainnet")))
            self.good(self.script(release, "--tag", "0.2.0"))
            self.assertEqual(self.active(cluster), "green", helm)
            self.assertEqual(self.running(cluster, "gateway"), {"pj-perijove-api-gateway-green": "perijove-gateway:0.2.0"})
            rollout = ["--namespace", "spot", "rollout", "status", "deployment/pj-perijove-api-gateway-green", "--timeout", "61s"]
            self.assertEqual(self.asked, [rollout, rollout], "before the switch and after it")

            before = self.running(cluster, "gateway")
            self.refused(self.script(release, "--tag", "0.3.0", answers=(False,)), "stays with green")
            self.assertEqual(self.active(cluster), "green")
            self.assertEqual(self.running(cluster, "gateway"), before)

            # Its pods are ready, but nobody gets through to them.
            cluster.fail_next_job = "pj-perijove-test"
            self.refused(self.script(release, "--tag", "0.3.0"), "stays with green")
            self.assertEqual(self.active(cluster), "green")
            self.assertNotIn("pj-perijove-api-gateway-preview", cluster.all("Service"))

    def test_it_goes_back_when_the_new_colour_is_not_well_with_the_traffic(self):
        for helm, release, cluster in self.each():
            self.good(release("install", "pj", CHART, *values("prod", "mainnet")))
            before = self.running(cluster, "gateway")
            cluster.fail_next_job, cluster.fail_when = "pj-perijove-test", lambda: self.active(cluster) == "green"
            self.refused(self.script(release, "--tag", "0.2.0"), "goes back to blue")
            self.assertIsNone(cluster.fail_next_job, "it was looked at after the switch")
            self.assertEqual(self.active(cluster), "blue", helm)
            self.assertEqual(self.running(cluster, "gateway"), before)
            self.refused(self.script(release, "--tag", "0.2.0", answers=(True, False)), "goes back to blue")
            self.assertEqual(self.active(cluster), "blue")
            self.assertEqual(self.running(cluster, "gateway"), before)

    def test_a_tag_is_a_text_however_much_it_looks_like_a_number(self):
        for helm, release, cluster in self.each():
            self.good(release("install", "pj", CHART, *values("prod", "mainnet")))
            for tag in ("20261128", "1.10"):
                self.good(self.script(release, "--tag", tag))
                self.assertEqual(list(self.running(cluster, "gateway").values()), [f"perijove-gateway:{tag}"], helm)
            before = self.running(cluster, "gateway")
            done = self.script(release, "--tag", "1,apiGateway.enabled=false")
            self.assertEqual(done.returncode, 2)
            self.assertIn("is no tag of an image", done.stderr)
            self.assertEqual(self.running(cluster, "gateway"), before)

    def test_a_newer_chart_with_new_values_can_follow_by_the_script_and_by_the_documented_upgrade(self):
        newer = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "perijove")
        shutil.copytree(CHART, newer)
        with open(f"{newer}/values.yaml", "a") as file:
            file.write("\nlater:\n  name: its-default\n")
        schema = json.loads((CHART / "values.schema.json").read_text())
        schema["properties"]["later"] = {"type": "object"}
        with open(f"{newer}/values.schema.json", "w") as file:
            json.dump(schema, file)
        with open(f"{newer}/templates/later.yaml", "w") as file:
            file.write("{apiVersion: v1, kind: ConfigMap, metadata: {name: {{ .Values.later.name }}}}\n")
        for helm, release, cluster in self.each():
            self.good(release("install", "pj", CHART, *values("prod", "mainnet")))
            self.good(self.script(release, "--chart", newer, "--tag", "0.2.0"))
            self.assertIn("its-default", cluster.all("ConfigMap"), helm)
            self.assertIn("pj-perijove-ingest", cluster.all("Deployment"), "what was chosen at the install stays")
        for page in (*(ROOT / "docs").rglob("*.md"), CHART / "README.md", CHART / "templates/NOTES.txt",
                     ROOT / "scripts/deploy_blue_green.sh"):
            self.assertNotRegex(page.read_text(), r"(?m)helm upgrade.* --reuse-values", page)

    def test_it_switches_ingest_too_and_keeps_the_old_colour_to_go_back_to(self):
        for helm, release, cluster in self.each():
            self.good(release("install", "pj", CHART, *values("prod", "mainnet"), "--set", "ingest.blueGreen.enabled=true"))
            before = self.running(cluster, "ingest")
            self.assertEqual(set(before), {"pj-perijove-ingest-blue"}, helm)
            self.good(self.script(release, "--component", "ingest", "--tag", "20261128", "--keep"))
            running = self.running(cluster, "ingest")
            self.assertEqual(running, {**before, "pj-perijove-ingest-green": "perijove-ingest:20261128"})
            self.assertEqual(set(cluster.all("HorizontalPodAutoscaler")) & set(running), set(running), "both are scaled")
            self.assertEqual({words[4] for words in self.asked}, {"deployment/pj-perijove-ingest-green"})
            self.good(release("rollback", "pj", "1"))
            self.assertEqual(self.running(cluster, "ingest"), before)

    def test_it_keeps_the_old_ingest_when_the_new_one_is_not_well(self):
        for helm, release, cluster in self.each():
            self.good(release("install", "pj", CHART, *values("prod", "mainnet"), "--set", "ingest.blueGreen.enabled=true"))
            before = self.running(cluster, "ingest"), self.running(cluster, "gateway")
            for answers, says in (((False,), "stays with blue"), ((True, False), "goes back to blue")):
                self.refused(self.script(release, "--component", "ingest", "--tag", "0.2.0", answers=answers), says)
                self.assertEqual((self.running(cluster, "ingest"), self.running(cluster, "gateway")), before, helm)
