"""Backups in a bucket: rclone with the environment that the chart gives it, against a server of S3."""

import os
import shutil
import unittest
import urllib.parse
import urllib.request
from pathlib import Path

import rendered
from scene import Proxy, Scene, eventually, free_port, listens
from tools import CHART, program, run

BUCKET = "perijove-backups"


class Heard(Proxy):
    """A proxy that keeps what clients send."""

    def __init__(self, port):
        self.heard = bytearray()
        super().__init__(port)

    def pump(self, source, sink, late):
        super().pump(Ear(source, self.heard) if late else source, sink, late)


class Ear:
    def __init__(self, socket, heard):
        self.socket, self.heard = socket, heard

    def recv(self, size):
        data = self.socket.recv(size)
        self.heard += data
        return data

    def __getattr__(self, name):
        return getattr(self.socket, name)


class Bucket(unittest.TestCase):
    def setUp(self):
        self.scene = self.enterContext(Scene())
        port = free_port()
        self.scene.start("s3", program("moto_server"), "-H", "127.0.0.1", "-p", port)
        eventually("S3", lambda: listens(f"127.0.0.1:{port}"))
        self.url = f"http://127.0.0.1:{port}"
        self.s3("PUT", BUCKET)
        self.proxy = Heard(port)
        self.addCleanup(self.proxy.close)
        self.backups = self.scene.folder / "backups"

    def s3(self, method, path, body=None):
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/{path}", body, method=method), timeout=30) as answer:
            return answer.read().decode()

    def runs(self, name, *settings, **more):
        """Runs the container of that name, with its environment, and paths of ours in place of the pod's."""
        objects = rendered.objects(settings=(
            "backup.enabled=true", "restore.enabled=true", "postgresql.enabled=true", 'backup.target="s3"', "backup.keep=2",
            f'backup.s3.bucket="{BUCKET}"', f'backup.s3.endpoint="http://127.0.0.1:{self.proxy.port}"', *settings))
        (container,) = [one for _, spec, _ in rendered.pods(objects) for one in rendered.containers(spec) if one["name"] == name]
        environment = {"PATH": os.environ["PATH"], **more}
        for entry in container["env"]:
            secret = entry.get("valueFrom", {}).get("secretKeyRef")
            value = f"the-{secret['key']}" if secret else entry["value"]
            environment[entry["name"]] = value.replace("/backup", str(self.backups), 1) if value.startswith("/backup") else (
                value.replace("/tmp/", f"{self.scene.folder}/", 1))
        self.assertEqual(container["command"][:1], ["sh"])
        script = CHART / "files/backup" / Path(container["command"][1]).name
        return run("sh", script, env=environment)

    def keep(self, name):
        (self.backups / name).mkdir(parents=True)
        (self.backups / name / "database.dump").write_text(f"dump {name}")

    def kept(self):
        """Names in the bucket."""
        listing = self.s3("GET", f"{BUCKET}?list-type=2")
        return {urllib.parse.unquote(part.split("</Key>")[0]) for part in listing.split("<Key>")[1:]}

    def test_backups_go_there_and_come_back_with_the_keys_of_the_secret(self):
        names = ["20260101-000000Z", "20260102-000000Z", "20260103-000000Z"]
        for name in names:
            self.keep(name)
        secret = 'backup.s3.existingSecret="perijove-backup"'
        done = self.runs("upload", secret)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.kept(), {f"rel/{name}/database.dump" for name in names[1:]}, "so many are kept")
        self.assertIn(b"Credential=the-access-key-id/", self.proxy.heard)
        self.assertIn(b"/us-east-1/s3/aws4_request", self.proxy.heard)
        self.assertNotIn(b"the-secret-access-key", self.proxy.heard)

        shutil.rmtree(self.backups)
        done = self.runs("download", secret)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual([one.name for one in self.backups.iterdir()], names[2:])
        self.assertEqual((self.backups / names[2] / "database.dump").read_text(), f"dump {names[2]}")

    def test_without_a_secret_it_goes_by_what_the_cloud_puts_into_the_pod(self):
        self.keep("20260101-000000Z")
        done = self.runs("upload", 'backup.s3.prefix="elsewhere"', 'backup.s3.region="eu-west-2"',
                         AWS_ACCESS_KEY_ID="of-the-role", AWS_SECRET_ACCESS_KEY="hush")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.kept(), {"elsewhere/20260101-000000Z/database.dump"})
        self.assertIn(b"Credential=of-the-role/", self.proxy.heard)
        self.assertIn(b"/eu-west-2/s3/aws4_request", self.proxy.heard)
