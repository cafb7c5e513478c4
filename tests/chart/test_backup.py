"""A backup that is put back: the chart's own scripts against a real PostgreSQL."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from tools import CHART, postgres, program, run

SCRIPTS = CHART / "files/backup"
# PostgreSQL does not run as root.
ORDINARY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []


class Backup(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        for name in ("data", "backups", "config"):
            (self.folder / name).mkdir()
        if ORDINARY:
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, 65534, 65534)
        program("rclone")
        tools = str(Path(postgres("pg_dump")).parent)
        self.environment = {"PATH": f"{tools}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8",
                            "DATABASE_URL": f"postgresql://owner:hush@/postgres?host={self.folder}",
                            "BACKUP_DIR": str(self.folder / "backups"), "CONFIG_DIR": str(self.folder / "config"), "KEEP": "2"}
        self.good(self.at(postgres("initdb"), "-D", self.folder / "data", "-U", "owner", "-A", "trust", "-N"))
        control = [postgres("pg_ctl"), "-D", self.folder / "data", "-w", "-l", self.folder / "log"]
        start = [*control, "-o", f"-k {self.folder} -c listen_addresses=''", "start"]
        self.good(self.at(*start, stdout=subprocess.DEVNULL))
        self.addCleanup(self.at, *control, "-m", "immediate", "stop")

    def at(self, *words, **extra):
        """Runs as an ordinary user with the pod's environment."""
        stdout = extra.pop("stdout", subprocess.PIPE)
        return subprocess.run([*ORDINARY, *map(str, words)], env={**self.environment, **extra}, text=True, check=False,
                              stdout=stdout, stderr=subprocess.STDOUT, cwd=self.folder)

    def good(self, done):
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout or ""

    def sql(self, text):
        return self.good(self.at("psql", self.environment["DATABASE_URL"], "-qAt", "-v", "ON_ERROR_STOP=1", "-c", text)).strip()

    def mount(self, name, text):
        """A ConfigMap as the kubelet mounts it."""
        folder = self.folder / "config" / name
        (folder / "..data").mkdir(parents=True)
        (folder / "..data" / f"{name}.yaml").write_text(text)
        (folder / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")

    def backups(self):
        return sorted(path.name for path in (self.folder / "backups").iterdir())

    def test_a_backup_brings_everything_back_and_holds_no_secret(self):
        self.mount("gateway", "upstreams: [{url: '${KEY}'}]\n")
        self.sql("CREATE TABLE trades (id bigint PRIMARY KEY, price numeric); CREATE TABLE kafka_offsets (next bigint);"
                 "INSERT INTO trades SELECT n, n * 1.5 FROM generate_series(1, 5000) n; INSERT INTO kafka_offsets VALUES (5001)")
        before = self.sql("SELECT count(*), sum(price), max(id) FROM trades")
        self.good(self.at("sh", SCRIPTS / "backup.sh"))
        (name,) = self.backups()
        kept = self.folder / "backups" / name
        self.assertEqual((kept / "config/gateway/gateway.yaml").read_text(), "upstreams: [{url: '${KEY}'}]\n")
        self.assertFalse([f for f in kept.rglob("*") if f.is_file() and b"hush" in f.read_bytes()])

        self.sql("DELETE FROM trades WHERE id > 100; UPDATE trades SET price = 0; DROP TABLE kafka_offsets")
        said = self.good(self.at("sh", SCRIPTS / "restore.sh", FROM="latest"))
        self.assertIn(f"restored {name}", said)
        self.assertEqual(self.sql("SELECT count(*), sum(price), max(id) FROM trades"), before)
        self.assertEqual(self.sql("SELECT next FROM kafka_offsets"), "5001")

    def test_a_damaged_backup_changes_nothing(self):
        self.sql("CREATE TABLE trades (id bigint); INSERT INTO trades VALUES (1)")
        self.good(self.at("sh", SCRIPTS / "backup.sh"))
        (name,) = self.backups()
        dump = self.folder / "backups" / name / "database.dump"
        dump.write_bytes(dump.read_bytes()[:-10])
        self.sql("INSERT INTO trades VALUES (2)")
        done = self.at("sh", SCRIPTS / "restore.sh", FROM=name)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("nothing was changed", done.stdout)
        self.assertEqual(self.sql("SELECT count(*) FROM trades"), "2")

    def test_a_backup_that_fails_leaves_nothing_and_removes_nothing(self):
        self.sql("CREATE TABLE trades (id bigint)")
        for name in ("20260101-000000Z", "20260102-000000Z", "20260103-000000Z"):
            (self.folder / "backups" / name).mkdir()
        if ORDINARY:
            run("chown", "-R", "65534:65534", self.folder / "backups")
        done = self.at("sh", SCRIPTS / "backup.sh", DATABASE_URL="postgresql://owner@/nowhere?host=/nonexistent")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(len(self.backups()), 3)
        self.good(self.at("sh", SCRIPTS / "backup.sh"))
        self.assertEqual(len(self.backups()), 2)
        self.assertIn("20260103-000000Z", self.backups())

    def test_a_backup_comes_back_from_a_bucket_which_keeps_so_many(self):
        """What runs in rclone's container, with a folder in place of the bucket."""
        bucket = self.folder / "bucket"
        for name in ("20260101-000000Z", "20260102-000000Z", "20260103-000000Z", "not-a-backup"):
            (bucket / "rel" / name).mkdir(parents=True)
            (bucket / "rel" / name / "database.dump").write_text("old")
        if ORDINARY:
            run("chown", "-R", "65534:65534", bucket)
        remote = {"RCLONE_CONFIG_BUCKET_TYPE": "alias", "RCLONE_CONFIG_BUCKET_REMOTE": str(bucket), "BUCKET": "bucket:rel",
                  "RCLONE_CONFIG": str(self.folder / "rclone.conf"), "RCLONE_CACHE_DIR": str(self.folder / "cache")}
        self.sql("CREATE TABLE trades (id bigint); INSERT INTO trades VALUES (7)")
        self.good(self.at("sh", SCRIPTS / "backup.sh"))
        (name,) = self.backups()
        said = self.good(self.at("sh", SCRIPTS / "upload.sh", **remote))
        self.assertIn("backup 20260101-000000Z removed", said)
        self.assertEqual({one.name for one in (bucket / "rel").iterdir()}, {name, "20260103-000000Z", "not-a-backup"})

        # The pod that restores begins with nothing.
        shutil.rmtree(self.folder / "backups" / name)
        self.sql("DELETE FROM trades")
        self.good(self.at("sh", SCRIPTS / "download.sh", FROM="latest", **remote))
        self.assertEqual(self.backups(), [name], "and nothing else")
        self.assertIn(f"restored {name}", self.good(self.at("sh", SCRIPTS / "restore.sh", FROM="latest")))
        self.assertEqual(self.sql("SELECT id FROM trades"), "7")
        self.good(self.at("sh", SCRIPTS / "download.sh", FROM="20260103-000000Z", **remote))
        self.assertEqual(self.backups(), ["20260103-000000Z", name])

    def test_a_bucket_that_lets_nobody_delete_has_the_backup_all_the_same(self):
        (self.folder / "bin").mkdir()
        fake = self.folder / "bin/rclone"
        fake.write_text("#!/bin/sh\ncase $1 in\nlsf) printf '2026010%s-000000Z/\\n' 1 2 3 ;;\npurge) exit 3 ;;\nesac\n")
        fake.chmod(0o755)
        said = self.good(self.at("sh", SCRIPTS / "upload.sh", BUCKET="bucket:rel",
                                 PATH=f"{fake.parent}:{self.environment['PATH']}"))
        self.assertIn("backup 20260101-000000Z stays", said)

    def test_an_empty_bucket_and_one_that_cannot_be_reached_are_told(self):
        remote = {"RCLONE_CONFIG_BUCKET_TYPE": "alias", "RCLONE_CONFIG": str(self.folder / "rclone.conf"),
                  "RCLONE_CACHE_DIR": str(self.folder / "cache"), "BUCKET": "bucket:rel"}
        (self.folder / "empty/rel").mkdir(parents=True)
        for place, says in (("empty", "there is no backup in bucket:rel"), ("nowhere", "not found")):
            done = self.at("sh", SCRIPTS / "download.sh", FROM="latest", RCLONE_CONFIG_BUCKET_REMOTE=str(self.folder / place), **remote)
            self.assertNotEqual(done.returncode, 0, place)
            self.assertIn(says, done.stdout)
        (self.folder / "backups/20260101-000000Z").mkdir()
        (self.folder / "backups/20260101-000000Z/database.dump").write_text("x")
        done = self.at("sh", SCRIPTS / "upload.sh", RCLONE_CONFIG_BUCKET_REMOTE="/proc/nowhere", **remote)
        self.assertNotEqual(done.returncode, 0, "a backup that was not copied is a Job that failed")

    def test_there_is_nothing_to_restore_from(self):
        done = self.at("sh", SCRIPTS / "restore.sh", FROM="latest")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("there is no backup", done.stdout)
