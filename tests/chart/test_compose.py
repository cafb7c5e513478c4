"""The compose file, without an engine: whatever it names exists, and what it configures is run as it is."""

import re
import unittest
from pathlib import Path

import yaml
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from collector import Collector
from live_ingest import metric
from scene import Scene, eventually, fetch, free_port, listens, recording
from test_live import call
from tools import ROOT, binary, program, run

FOLDER = ROOT / "deploy/compose"
SERVICES = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
# Ports that images open which are not ours.
FOREIGN = {"redis": {6379}, "postgres": {5432}, "kafka": {9092}, "prometheus": {9090}, "grafana": {3000},
           "jaeger": {4318, 16686}}
ENVIRONMENT = {"REDIS_URL": "redis://redis:6379", "VALIDATOR_URL": "https://a.example",
               "DATABASE_URL": "postgres://perijove:perijove@postgres:5432/perijove"}


def dockerfile(target):
    """The instructions of a target, as text."""
    return re.search(rf"(?ms)^FROM \S+ AS {target}$(.*?)(?=^FROM|\Z)", (ROOT / "Dockerfile").read_text())[1]


def open_ports(service):
    if service in FOREIGN:
        return FOREIGN[service]
    return {int(port) for port in re.search(r"^EXPOSE (.*)$", dockerfile(service), re.M)[1].split()}


def config(name):
    return yaml.safe_load((FOLDER / name).read_text())


class References(unittest.TestCase):
    def test_images_have_a_version_and_ours_have_a_target_and_the_versions_of_the_programs(self):
        version = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
        for name, service in SERVICES.items():
            with self.subTest(name):
                self.assertRegex(service["image"], r":v?\d+\.\d+")
                if "build" in service:
                    self.assertTrue((FOLDER / service["build"]["context"] / "Dockerfile").is_file())
                    self.assertTrue(dockerfile(service["build"]["target"]))
                    self.assertEqual(service["image"].split(":")[1], version)

    def test_published_ports_are_open_inside_and_published_once_to_this_machine_only(self):
        published = []
        for name, service in SERVICES.items():
            for port in service.get("ports", []):
                host, outside, inside = port.split(":")
                with self.subTest(f"{name} {port}"):
                    self.assertEqual(host, "127.0.0.1")
                    self.assertIn(int(inside), open_ports(name))
                published.append(outside)
        self.assertEqual(len(published), len(set(published)))

    def test_whatever_is_mounted_is_there_and_where_the_program_looks_for_it(self):
        for name, service in SERVICES.items():
            for volume in service.get("volumes", []):
                if volume.startswith("."):
                    self.assertTrue((FOLDER / volume.split(":")[0]).exists(), volume)
            if "build" in service:
                looks_for = re.search(r'CMD \["run", "--config", "(.*)"\]', dockerfile(name))[1]
                self.assertIn(looks_for, [volume.split(":")[1] for volume in service["volumes"]])

    def test_hosts_in_urls_and_targets_are_services_that_have_that_port(self):
        texts = [(FOLDER / "compose.yaml").read_text()]
        texts += [file.read_text() for file in sorted(FOLDER.rglob("*.yaml")) if file.name != "compose.yaml"]
        found = set()
        for text in texts:
            found |= set(re.findall(r"(?<=[/@\"])([a-z]+):(\d{4,5})\b", text))
        named = {name for name, _ in found}
        self.assertLessEqual({"redis", "postgres", "kafka", "prometheus", "gateway", "ingest"}, named)
        for name, port in found:
            with self.subTest(f"{name}:{port}"):
                self.assertIn(name, SERVICES)
                self.assertIn(int(port), open_ports(name) | ({9093} if name == "kafka" else set()))
        for name, service in SERVICES.items():
            self.assertLessEqual(set(service.get("depends_on", [])), set(SERVICES), name)

    def test_each_variable_that_is_set_is_used_and_each_that_is_used_is_set(self):
        for name in ("gateway", "ingest"):
            used = set(re.findall(r"\$\{(\w+)", (FOLDER / f"{name}.yaml").read_text()))
            standard = {variable for variable in SERVICES[name]["environment"] if variable.startswith("OTEL_")}
            self.assertEqual(used, set(SERVICES[name]["environment"]) - standard, name)
            for variable in standard:
                self.assertIn(f"`{variable}`", (ROOT / "docs/tracing.md").read_text())
        # The user that PostgreSQL makes is the one that ingest comes as.
        made = SERVICES["postgres"]["environment"]
        self.assertIn(f"//{made['POSTGRES_USER']}:{made['POSTGRES_PASSWORD']}@postgres:5432/{made['POSTGRES_DB']}",
                      SERVICES["ingest"]["environment"]["DATABASE_URL"])

    def test_health_commands_exist_and_ask_where_the_configuration_listens(self):
        for name in ("gateway", "ingest"):
            command = re.search(r'CMD \["/usr/local/bin/(.*)", "(health)"\]', dockerfile(name))
            asked = re.search(r"\[default: http://127\.0\.0\.1:(\d+)/health\]", run(binary(name.upper()), "health", "--help").stdout)
            listens_on = config(f"{name}.yaml").get("admin", config(f"{name}.yaml").get("http"))["listen"]
            self.assertEqual(command[1], f"perijove-{name}")
            self.assertEqual(asked[1], listens_on.split(":")[1])
        self.assertEqual(SERVICES["postgres"]["healthcheck"]["test"][:2], ["CMD", "pg_isready"])
        for name, service in SERVICES.items():
            for other, how in dict(service["depends_on"] if isinstance(service.get("depends_on"), dict) else {}).items():
                if how["condition"] == "service_healthy":
                    self.assertIn("healthcheck", SERVICES[other], f"{name} waits for {other}")

    def test_programs_are_given_longer_to_end_than_they_take(self):
        for name, grace in (("gateway", 30), ("ingest", 25)):
            self.assertGreater(int(SERVICES[name]["stop_grace_period"].rstrip("s")), grace)

    def test_grafana_finds_its_data_source_and_the_dashboards(self):
        (provider,) = config("grafana/dashboards/perijove.yaml")["providers"]
        (source,) = config("grafana/datasources/prometheus.yaml")["datasources"]
        mounts = dict(volume.split(":")[1::-1] for volume in SERVICES["grafana"]["volumes"])
        self.assertEqual((provider["type"], source["type"]), ("file", "prometheus"))
        self.assertTrue(list((FOLDER / mounts[provider["options"]["path"]]).glob("*.json")))
        self.assertEqual((FOLDER / mounts["/etc/grafana/provisioning"]).resolve(), FOLDER / "grafana")
        self.assertTrue(source["isDefault"], "dashboards choose the default one")
        self.assertEqual(source["url"], "http://prometheus:9090")

    def test_traces_need_a_profile_and_the_command_that_the_documentation_gives(self):
        self.assertEqual({name for name, service in SERVICES.items() if "profiles" in service}, {"jaeger"})
        for name, service in SERVICES.items():
            self.assertNotIn("jaeger", service.get("depends_on", []), f"{name} would not start without the profile")
        (profile,) = SERVICES["jaeger"]["profiles"]
        command = f"OTEL_EXPORTER_OTLP_ENDPOINT=http://jaeger:4318 docker compose -f deploy/compose/compose.yaml --profile {profile} up"
        for page in ("deploy/compose/compose.yaml", "docs/tracing.md"):
            self.assertIn(command, (ROOT / page).read_text())
        self.assertRegex(SERVICES["gateway"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"], r"^\$\{OTEL_EXPORTER_OTLP_ENDPOINT:-\}$")


class Run(unittest.TestCase):
    """The programs with the configurations that the containers have; only addresses are others."""

    def test_everything_that_is_configured_works_together(self):
        scene, collector = self.enterContext(Scene()), self.enterContext(Collector())
        (validator,), _ = scene.sandbox(1)
        kafka, redis, database = scene.kafka(), scene.redis(), scene.postgres()
        ports = {name: free_port() for name in ("rpc", "websocket", "admin", "ingest")}
        places = {"0.0.0.0:8899": f"127.0.0.1:{ports['rpc']}", "0.0.0.0:9090": f"127.0.0.1:{ports['admin']}",
                  "0.0.0.0:9091": f"127.0.0.1:{ports['ingest']}", "kafka:9092": kafka}
        environment = ENVIRONMENT | {"REDIS_URL": f"redis://127.0.0.1:{redis}", "VALIDATOR_URL": validator,
                                     "DATABASE_URL": f"postgres://owner@127.0.0.1:{database}/postgres",
                                     "OTEL_TRACES_SAMPLER": SERVICES["gateway"]["environment"]["OTEL_TRACES_SAMPLER"],
                                     "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address}
        for name in ("gateway", "ingest"):
            text = (FOLDER / f"{name}.yaml").read_text()
            for there, here in places.items():
                text = text.replace(there, here)
            (scene.folder / f"{name}.yaml").write_text(text)
        eventually("Kafka", lambda: listens(kafka))
        (topic,) = [stream["topic"] for stream in config("ingest.yaml")["streams"]]
        admins = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
        admins.create_topics([NewTopic(topic, 1, 1)])[topic].result(timeout=60)
        scene.start("gateway", binary("GATEWAY"), "run", "--config", "gateway.yaml", env=environment)
        scene.start("ingest", binary("INGEST"), "run", "--config", "ingest.yaml", env=environment)
        rpc, admin, ingest = (f"http://127.0.0.1:{ports[name]}" for name in ("rpc", "admin", "ingest"))
        for name, place in (("gateway", admin), ("ingest", ingest)):
            with self.subTest(name):
                eventually(f"{name}: {scene.log(name)}", lambda place=place: fetch(f"{place}/ready"))
        self.assertIn('"result":', fetch(rpc, call("getSlot")[1]))
        eventually("a trace of it", lambda: collector.has("perijove-gateway", "getSlot"))

        # What somebody produces is read.
        run(binary("INGEST"), "generate", "--messages", "200", scene.folder / "trades")
        producer = Producer({"bootstrap.servers": kafka, "log_level": 0})
        trades = list(recording(scene.folder / "trades"))

        def stored():
            for key, payload in trades:
                producer.produce(topic, payload, key)
            return producer.flush(60) == 0 and metric(ingest, "messages_processed_total") > 0

        eventually("trades", stored)

        text = (FOLDER / "prometheus.yaml").read_text()
        for name, port in (("gateway:9090", ports["admin"]), ("ingest:9091", ports["ingest"])):
            self.assertIn(name, text)
            text = text.replace(name, f"127.0.0.1:{port}")
        text = text.replace("15s", "1s").replace("/etc/prometheus/rules", str(ROOT / "dashboards/rules"))
        (scene.folder / "prometheus.yaml").write_text(text)
        prometheus = f"127.0.0.1:{free_port()}"
        scene.start("prometheus", program("prometheus"), "--config.file", "prometheus.yaml", "--storage.tsdb.path", "tsdb",
                    "--web.listen-address", prometheus, "--log.level", "warn")
        for query in ('up{job="perijove-gateway"} == 1', 'up{job="perijove-ingest"} == 1', "messages_processed_total > 0",
                      "job:perijove_rpc_calls_failed:ratio_rate5m", "kafka_connection_active == 1"):
            address = f"http://{prometheus}/api/v1/query?query={re.sub(' ', '%20', query)}"
            eventually(query, lambda address=address: '"result":[{' in fetch(address))

        done = run(ROOT / "scripts/monitor_deployment.sh", "--admin", admin, "--ingest", ingest, "--time", "1", "--every", "1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"healthy upstreams 1, lag \d+")
        done = run(ROOT / "scripts/quick_verify.sh", rpc, admin)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = run(ROOT / "scripts/verify_setup.sh", "--bin", self.bins(scene), "--gateway", "gateway.yaml", "--ingest",
                   "ingest.yaml", "--kafka", cwd=scene.folder, env={**environment, "PATH": "/usr/bin:/bin"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    @staticmethod
    def bins(scene):
        folder = Path(scene.folder, "bin")
        folder.mkdir()
        for name in ("GATEWAY", "INGEST"):
            (folder / f"perijove-{name.lower()}").symlink_to(binary(name))
        return folder
