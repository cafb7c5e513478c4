"""The exercise of docs/operations/disaster-recovery.md: a region is lost, and the second one takes over.

Pods of the backup's CronJob and of the restore's Job are run as they are rendered: their command, environment and
mounted files, with a real PostgreSQL behind them.
"""

import json
import shutil
import subprocess
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import yaml

import rendered
from api_server import Server
from scene import Scene, eventually
from test_configuration import check
from release import Release, values
from tools import CHART, HELMS, ROOT, binary, postgres, run

PLANS = {
    "plans": [{"id": "small", "requests_per_minute": 60, "burst": 3, "queue": "0s", "allow": ["getSlot"]}],
    "consumers": [{"id": "bot", "plan": "small", "keys": ["${BOT_KEY}"]}],
}
KEY = "0123456789abcdef0123"


def region(database, *files, config=None, **settings):
    """A region's objects; its database is a Secret of this name."""
    settings = {"backup.enabled": True, "backup.target": "pvc", "database.existingSecret": database, **settings}
    if config:
        settings["apiGateway.config"] = config
        settings["apiGateway.extraEnv"] = [{"name": "BOT_KEY", "valueFrom": {"secretKeyRef": {"name": "before", "key": "bot"}}}]
    words = tuple(f"{key}={json.dumps(value)}" for key, value in settings.items())
    return rendered.objects(*(CHART / f"values-{name}.yaml" for name in ("prod", "mainnet", *files)), settings=words)


def mount(folder, data):
    """A ConfigMap as the kubelet mounts it: links into a folder that begins with dots."""
    (folder / "..data").mkdir(parents=True)
    for name, text in data.items():
        (folder / "..data" / name).write_text(text)
        (folder / name).symlink_to(f"..data/{name}")


class Exercise(unittest.TestCase):
    def setUp(self):
        self.scene = self.enterContext(Scene())
        self.port = self.scene.postgres()
        self.folder = self.scene.folder
        (self.folder / "backups").mkdir()

    def url(self, database):
        return f"postgresql://owner@127.0.0.1:{self.port}/{database}"

    def sql(self, database, text):
        done = run(postgres("psql"), self.url(database), "-qAt", "-v", "ON_ERROR_STOP=1", "-c", text)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def pod(self, objects, kind, component):
        """Runs the pod of an object, and gives what it said."""
        (spec,) = [spec for owner, spec, labels in rendered.pods(objects)
                   if owner["kind"] == kind and labels["app.kubernetes.io/component"] == component]
        (container,) = rendered.containers(spec)
        root = self.folder / f"{kind}-root"
        shutil.rmtree(root, ignore_errors=True)
        mounts = {"backups": self.folder / "backups", "tmp": root / "tmp"}
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        paths = {}
        for entry in container["volumeMounts"]:
            name, inside = entry["name"], entry["mountPath"]
            here = mounts.get(name, root / inside.strip("/"))
            if "configMap" in volumes[name]:
                mount(here, rendered.named(objects, "ConfigMap", volumes[name]["configMap"]["name"])["data"])
            here.mkdir(parents=True, exist_ok=True)
            paths[inside] = here

        def placed(text):
            """A path of the pod's, as it is here."""
            for inside, here in sorted(paths.items(), key=lambda pair: -len(pair[0])):
                if text == inside or text.startswith(f"{inside}/"):
                    return f"{here}{text[len(inside):]}"
            return f"{root}{text}" if text.startswith("/") else text

        environment = {"PATH": f"{Path(postgres('pg_dump')).parent}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        for entry in container["env"]:
            if secret := entry.get("valueFrom", {}).get("secretKeyRef"):
                self.assertEqual((entry["name"], secret["key"]), ("DATABASE_URL", "database-url"))
                environment[entry["name"]] = self.url(secret["name"])
            else:
                environment[entry["name"]] = placed(entry["value"])
        done = subprocess.run([placed(word) for word in container["command"]], env=environment, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def rows(self, database):
        """Of each table: how many rows, and a sum over all that is in them."""
        tables = self.sql(database, "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname NOT IN "
                                    "('pg_catalog', 'information_schema') ORDER BY 1").split()
        return {table: self.sql(database, f"SELECT count(*), md5(string_agg(r::text, '|' ORDER BY r::text)) FROM {table} r")
                for table in tables}

    def replay(self, database):
        file = self.folder / f"{database}.yaml"
        file.write_text(yaml.safe_dump({"database": {"url": self.url(database)}}))
        return run(binary("INGEST"), "replay", "--config", file, self.folder / "trades")

    def test_a_region_is_lost_and_its_rows_configuration_and_plans_are_in_the_second_one(self):
        self.sql("postgres", "CREATE DATABASE first")
        done = run(binary("INGEST"), "generate", "--messages", "300", self.folder / "trades")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.replay("first")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        before = self.rows("first")
        self.assertGreater(len(before), 2)
        self.assertTrue(any(int(told.split("|")[0]) > 200 for told in before.values()), before)

        first = region("first", config=PLANS)
        self.assertIn("made", self.pod(first, "CronJob", "backup"))
        (backup,) = (self.folder / "backups").iterdir()
        self.assertFalse([f for f in backup.rglob("*") if f.is_file() and KEY.encode() in f.read_bytes()])
        self.sql("postgres", "DROP DATABASE first WITH (FORCE)")
        self.sql("postgres", "CREATE DATABASE second")

        # It waits: nothing there that costs or writes.
        waiting = region("second", "dr", **{"backup.enabled": False})
        self.assertEqual([o for o in waiting if "ingest" in o["metadata"]["name"] and o["kind"] == "Deployment"], [])
        restoring = region("second", "dr", **{"restore.enabled": True})
        self.assertIn(f"restored {backup.name}", self.pod(restoring, "Job", "backup"))
        self.assertEqual(self.rows("second"), before)
        # What ingest has stored it knows: read again from Kafka it changes nothing.
        done = self.replay("second")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual({t: n.split("|")[0] for t, n in self.rows("second").items()},
                         {t: n.split("|")[0] for t, n in before.items()})

        restored = self.values_of(backup)
        second = rendered.objects(*(CHART / f"values-{name}.yaml" for name in ("prod", "mainnet")), restored)
        config = "rel-perijove-api-gateway"
        self.assertEqual(*(rendered.named(objects, "ConfigMap", config)["data"] for objects in (first, second)))
        done = check("GATEWAY", rendered.named(second, "ConfigMap", config)["data"]["gateway.yaml"])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.limits_the_bot(backup / "config/gateway/gateway.yaml")

    def values_of(self, backup):
        """The values that the documentation makes of a backup's configuration, by its own command."""
        page = (ROOT / "docs/operations/backup-and-restore.md").read_text()
        (line,) = [line for line in page.splitlines() if line.endswith(">restored.yaml")]
        command = line.replace("20261128-060000Z", str(backup)).replace("restored.yaml", str(self.folder / "restored.yaml"))
        done = run("bash", "-c", command, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.folder / "restored.yaml"

    def limits_the_bot(self, file):
        """A gateway with the configuration of the backup, but its addresses, keeps to the bot's plan."""
        (validator,), _ = self.scene.sandbox(1)
        config = yaml.safe_load(file.read_text())
        here = {"upstreams": [{"id": "v", "url": validator, "tier": "local"}], "cluster": {}, "cache": {"enabled": False},
                "price": {"enabled": False}, "plans": config["plans"], "jupiter": {}}
        here["consumers"] = [{**one, "keys": [KEY]} for one in config["consumers"]]
        self.assertEqual([one["keys"] for one in config["consumers"]], [["${BOT_KEY}"]])
        _, address = self.scene.gateway("restored", **here)

        def status(method):
            request = urllib.request.Request(address["rpc"], b'{"jsonrpc":"2.0","id":1,"method":"%s"}' % method.encode(),
                                             {"content-type": "application/json", "x-api-key": KEY})
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                return error.code, error.read()

        eventually("an answer", lambda: b'"result"' in status("getSlot")[1])
        self.assertIn(b"not part of your plan", status("getVersion")[1])
        eventually("the end of the burst", lambda: status("getSlot")[0] == 429)


class TakeOver(unittest.TestCase):
    def test_the_second_region_waits_restores_and_serves(self):
        for helm in HELMS:
            with Server() as server:
                release, cluster = Release(helm, server), server.cluster

                def good(*words):
                    done = release(*words)
                    self.assertEqual(done.returncode, 0, f"{helm}: {done.stdout}{done.stderr}")

                def there(kind, part):
                    return [name for name in cluster.all(kind) if part in name]

                chart, files = ("pj", CHART, "--wait"), values("prod", "mainnet")
                good("install", *chart, *files, *values("dr"))
                self.assertTrue(there("Deployment", "api-gateway"))
                self.assertFalse(there("Deployment", "ingest") + there("CronJob", ""), "nothing writes, nothing costs")
                good("upgrade", *chart, *files, "--set", "restore.enabled=true")
                self.assertTrue(there("Job", "restore"))
                self.assertFalse(there("Deployment", "ingest"), "nobody writes meanwhile")
                good("upgrade", *chart, *files)
                self.assertFalse(there("Job", "restore"))
                self.assertTrue(there("Deployment", "ingest") and there("CronJob", "backup"))
                good("test", "pj")
