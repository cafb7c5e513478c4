"""Install, upgrade, switch, roll back, test, uninstall: against a stand-in for the API, with both Helms."""

import os
import re
import tempfile

from release import Releases, values
from tools import CHART, ROOT, run


class Lifecycle(Releases):
    # What Helm says when its tests have run: without any it says "None", and that all is well.
    TESTED = r"TEST SUITE: +\S+-test\n(?:.*\n)*?Phase: +Succeeded"

    def test_a_stranger_types_what_the_readme_says_and_finds_the_dashboards(self):
        """The chart's first block of commands, word by word, and the one that it gives for dashboards."""
        blocks = re.findall(r"(?ms)^```sh\n(.*?)^```", (CHART / "README.md").read_text())
        for helm, release, cluster in self.each():
            with tempfile.TemporaryDirectory() as folder:
                os.symlink(release.helm, os.path.join(folder, "helm"))
                with open(os.path.join(folder, "kubectl"), "w") as file:
                    file.write("#!/bin/sh\n[ \"$1 $2\" = 'create namespace' ]\n")
                os.chmod(file.name, 0o755)
                environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "KUBECONFIG": "/dev/null",
                               "HELM_KUBEAPISERVER": release.server.url, "HELM_DRIVER": "secret"}

                def types(block):
                    text = block.replace("REGISTRY", "registry.example")
                    return self.good(run("bash", "-euc", text, cwd=ROOT, env=environment))

                self.assertEqual(len(re.findall(r"(?m)^\S", blocks[0])), 3, "three commands")
                notes = types(blocks[0])
                self.assertIn("Status page, metrics:", notes, helm)
                self.assertRegex(notes, self.TESTED)
                self.assertIn("monitoring.enabled=true", notes, "says where dashboards are")
                images = {c["image"] for kind in ("Deployment", "StatefulSet") for o in cluster.all(kind).values()
                          for c in o["spec"]["template"]["spec"]["containers"]}
                self.assertEqual({image.split("/")[0] for image in images if "perijove" in image}, {"registry.example"})
                # Nobody has pushed these there.
                self.assertEqual({image.rsplit(":")[0] for image in images if "perijove" not in image},
                                 {"valkey/valkey", "postgres"})
                self.assertFalse([name for name in cluster.all("ConfigMap") if "dashboard" in name])
                notes = types(blocks[1])
                boards = {key for name, one in cluster.all("ConfigMap").items() for key in one["data"] if "dashboard" in name}
                self.assertEqual(boards, {file.name for file in (ROOT / "dashboards").glob("*.json")})
                self.assertIn('Begin with "Perijove: on call"', notes)

    def test_three_commands_and_everything_after_them(self):
        for helm, release, cluster in self.each():
            notes = self.good(release("install", "pj", CHART, "--wait", *values("dev", "devnet")))
            self.assertIn("service/pj-perijove-api-gateway", notes, helm)
            self.assertIn("ws://pj-perijove-api-gateway.spot:8900", notes)
            self.assertIn("pj-perijove-api-gateway", cluster.all("Deployment"))
            self.assertRegex(self.good(release("test", "pj")), self.TESTED)
            self.assertIn("pj-perijove-test", cluster.all("Pod"))
            cluster.fail_next_job = "pj-perijove-test"
            self.assertNotEqual(release("test", "pj").returncode, 0, "a caller does not get through")
            password = cluster.all("Secret")["pj-postgresql"]["data"]["password"]

            notes = self.good(release("upgrade", "pj", CHART, "--wait", *values("staging", "mainnet")))
            self.assertIn("Perijove: on call", notes)
            self.assertIn("pj-perijove-ingest", cluster.all("Deployment"))
            self.assertEqual(cluster.all("Secret")["pj-postgresql"]["data"]["password"], password, "kept over upgrades")
            self.assertEqual(len([n for n in cluster.all("ConfigMap") if "dashboard" in n]), len(list((ROOT / "dashboards").glob("*.json"))))

            self.good(release("rollback", "pj", "1", "--wait"))
            self.assertNotIn("pj-perijove-ingest", cluster.all("Deployment"))
            self.assertIn("3", self.good(release("history", "pj")))

            self.good(release("uninstall", "pj", "--wait"))
            left = {name for kind in ("Deployment", "Service", "ConfigMap", "CronJob", "NetworkPolicy", "StatefulSet")
                    for name in cluster.all(kind)}
            self.assertEqual(left, set(), helm)
            # What holds data or opens it stays.
            self.assertIn("pj-postgresql", cluster.all("Secret"))

    def test_the_notes_say_how_to_reach_what_was_installed(self):
        for helm, release, _ in self.each():
            def said(*settings, release=release):
                words = [word for setting in settings for word in ("--set-json", setting)]
                return self.good(release("install", "pj", CHART, "--dry-run=client", *words)).split("\nNOTES:\n")[1]

            plain = said()
            for line in ("  http://pj-perijove-api-gateway.spot:8899\n", "  ws://pj-perijove-api-gateway.spot:8900\n",
                         "port-forward service/pj-perijove-api-gateway 8899 &\n", "helm test pj -n spot", "monitoring.enabled=true"):
                self.assertIn(line, plain)
            self.assertNotIn("From outside", plain)
            for settings, line in (
                (('apiGateway.ingress={"enabled":true,"hosts":["a.example"],"tlsSecret":"t"}',), "  https://a.example\n"),
                (('apiGateway.ingress={"enabled":true,"hosts":["a.example"]}',), "  http://a.example\n"),
                (('apiGateway.httpRoute={"enabled":true,"parentRefs":[{"name":"g"}],"hostnames":["b.example"]}',),
                 "  b.example, by the Gateways"),
                (('apiGateway.service.type="LoadBalancer"',), "by the LoadBalancer: kubectl -n spot get service pj-perijove-api-gateway\n"),
                (('valkey.enabled=true',), "Pods share the budgets of upstreams"),
                ((), "EACH POD HAS THE BUDGETS OF UPSTREAMS TO ITSELF"),
                (('valkey.enabled=true', 'apiGateway.config={"budgets":{"shared":false}}'), "EACH POD HAS THE BUDGETS"),
                (('apiGateway.config={"budgets":{"shared":true}}',), "Pods share the budgets of upstreams"),
                (('tracing={"enabled":true,"endpoint":"http://c:4318","ratio":0.05}',), "Traces go to http://c:4318: 5 % of"),
                (('global.jupiterApiUrl="https://quote-api.jup.ag/v6"',), "has moved; https://api.jup.ag is asked"),
                (('global.jupiterApiUrl="https://api.jup.ag"', 'global.environment="devnet"'), "has no effect"),
                (('secrets.jupiterApiKey="k"',), "they can be read in the release"),
                (('apiGateway.blueGreen={"enabled":true,"preview":true}',), "service/pj-perijove-api-gateway-preview"),
            ):
                with self.subTest(f"{helm} {settings}"):
                    self.assertIn(line, said(*settings))

    def test_a_configuration_that_check_refuses_stops_an_upgrade_before_anything_changes(self):
        for helm, release, cluster in self.each():
            self.good(release("install", "pj", CHART, *values("dev", "devnet")))
            before = dict(cluster.all("Deployment")), dict(cluster.all("ConfigMap"))
            cluster.fail_next_job = "check-gateway"
            done = release("upgrade", "pj", CHART, *values("dev", "devnet"), "--set", "apiGateway.logLevel=debug")
            self.assertNotEqual(done.returncode, 0, helm)
            self.assertIn("pre-upgrade hooks failed", done.stderr)
            self.assertEqual(before[0], cluster.all("Deployment"))
            self.assertEqual(before[1]["pj-perijove-api-gateway"], cluster.all("ConfigMap")["pj-perijove-api-gateway"])

    def test_a_first_install_that_check_refuses_says_why_and_can_be_repeated(self):
        for helm, release, cluster in self.each():
            words = ("upgrade", "--install", "pj", CHART, "--wait", *values("dev", "devnet"))
            cluster.fail_next_job, cluster.log = "check-gateway", "upstreams[0].url: must begin with http"
            done = release(*words)
            self.assertNotEqual(done.returncode, 0, helm)
            self.assertFalse(cluster.all("Deployment"))
            self.assertIn("pj-perijove-check-gateway", cluster.all("Job"), "its log can be read")
            if helm == "helm4":
                self.assertIn(cluster.log, done.stdout + done.stderr)
            self.good(release(*words))
            self.assertNotIn("pj-perijove-check-gateway", cluster.all("Job"))

    def test_configuration_reaches_pods_without_a_rollout_where_the_program_can(self):
        for helm, release, cluster in self.each():
            def template():
                return cluster.all("Deployment")["pj-perijove-api-gateway"]["spec"]["template"]

            def config():
                return cluster.all("ConfigMap")["pj-perijove-api-gateway"]["data"]["gateway.yaml"]

            self.good(release("install", "pj", CHART, *values("dev", "devnet")))
            pods, file = template(), config()
            self.good(release("upgrade", "pj", CHART, *values("dev", "devnet"), "--set-json",
                              'apiGateway.config={"retry":{"attempts":3}}'))
            self.assertNotEqual(config(), file, helm)
            self.assertEqual(template(), pods, "no pod is started anew")
            self.good(release("upgrade", "pj", CHART, *values("dev", "devnet"), "--set-json",
                              'apiGateway.config={"runtime":{"threads":2}}'))
            self.assertNotEqual(template(), pods, "only a restart applies runtime.threads")

    def test_blue_and_green_preview_switch_and_roll_back(self):
        for helm, release, cluster in self.each():
            def selected(service):
                return cluster.all("Service")[service]["spec"]["selector"].get("perijove.io/colour")

            common = [*values("prod", "mainnet"), "--set", "ingest.blueGreen.enabled=true"]
            self.good(release("install", "pj", CHART, *common))
            gateways = {n for n in cluster.all("Deployment") if "gateway" in n}
            self.assertEqual(gateways, {"pj-perijove-api-gateway-blue"}, helm)

            preview = [*common, "--set", "apiGateway.blueGreen.preview=true,apiGateway.blueGreen.green.tag=0.2.0"]
            self.good(release("upgrade", "pj", CHART, *preview))
            green = cluster.all("Deployment")["pj-perijove-api-gateway-green"]
            self.assertIn(":0.2.0", green["spec"]["template"]["spec"]["containers"][0]["image"])
            self.assertEqual(selected("pj-perijove-api-gateway"), "blue", "nobody is sent there yet")
            self.assertEqual(selected("pj-perijove-api-gateway-preview"), "green")

            blue = cluster.all("Deployment")["pj-perijove-api-gateway-blue"]["spec"]
            self.good(release("upgrade", "pj", CHART, *preview, "--set", "apiGateway.blueGreen.active=green"))
            self.assertEqual(selected("pj-perijove-api-gateway"), "green")
            self.assertEqual(cluster.all("Deployment")["pj-perijove-api-gateway-blue"]["spec"], blue, "ready to go back")

            self.good(release("rollback", "pj", "2"))
            self.assertEqual(selected("pj-perijove-api-gateway"), "blue")

    def test_a_changed_selector_and_a_misspelt_key_would_be_refused(self):
        for _, release, cluster in self.each():
            self.good(release("install", "pj", CHART, *values("dev", "devnet")))
            done = release("upgrade", "pj", CHART, *values("dev", "devnet"), "--set", "nameOverride=other,fullnameOverride=pj-perijove")
            self.assertIn("immutable", done.stderr)
            done = release("install", "other", CHART, *values("dev", "devnet"), "--set-json", 'apiGateway.nodeSelector={"a":1}')
            self.assertNotEqual(done.returncode, 0)
            self.assertTrue(cluster.all("Deployment"))
