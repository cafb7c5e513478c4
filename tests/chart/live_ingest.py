"""Ingests with a fault each, beside a Kafka, a PostgreSQL and a Redis that are real."""

import itertools
import re

import yaml
from confluent_kafka import OFFSET_END, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from scene import Proxy, eventually, fetch, free_port, recording
from tools import binary, postgres, run

TOPIC = "solana.dextrades.proto"
# For so many seconds trades are of now: prices allow a minute, and a recording spans some of it.
FRESH = 15


class Ingests:
    """Of the class of tests: `scene`, `targets` and `kafka` are there."""

    @classmethod
    def ingests(cls):
        scene = cls.scene
        cls.producer = Producer({"bootstrap.servers": cls.kafka, "linger.ms": 0, "log_level": 0})
        admin = AdminClient({"bootstrap.servers": cls.kafka, "log_level": 0})
        topics = (TOPIC, "backlog", "garbage", "gap", "quiet", "wrong")
        made = [*(NewTopic(name, 1, 1) for name in topics), NewTopic("shared", 2, 1)]
        for made in admin.create_topics(made).values():
            made.result(timeout=60)
        cls.trades, cls.fresh = cls.generated(200), []
        database = scene.postgres()

        def ingest(name, topic, brokers=cls.kafka, group=None, **config):
            namespace = f"ingest-{name}"
            kafka = {"brokers": [brokers], "security": "plaintext", "start": "earliest", "connect": "5s",
                     "group": {"prefix": namespace}, **(group or {})}
            process, address = scene.ingest(namespace, kafka=kafka, streams=[{"topic": topic, "kind": "trades"}], **config)
            return process, address

        def watched(name, *words, **config):
            process, address = ingest(name, *words, **config)
            cls.targets.append(("perijove-ingest", f"ingest-{name}", address))
            return process, address

        # What has to have read something before its fault.
        process, address = ingest("gap", "gap")
        cls.produce("gap", cls.trades[:3])
        eventually("the first records", lambda: metric(address, "messages_processed_total") >= 3)
        process.terminate()
        process.wait()
        cls.produce("gap", cls.trades[3:6])
        for done in admin.delete_records([TopicPartition("gap", 0, OFFSET_END)]).values():
            done.result(timeout=60)
        cls.produce("gap", cls.trades[6:9])
        watched("gap", "gap")

        # Not the gateways' Redis: these trades are of other slots than the sandbox's, whose trades would seem old beside them.
        url = {"url": f"redis://127.0.0.1:{scene.redis()}"}
        watched("well", TOPIC, database={"url": f"postgres://owner@127.0.0.1:{database}/postgres"}, redis=url)
        scene.beside(cls.refresh)
        scene.beside(cls.flow)
        watched("no-broker", "quiet", brokers=f"127.0.0.1:{free_port()}")
        watched("garbage", "garbage")
        watched("wrong-kind", "wrong")
        cls.produce("wrong", [(None, b"this is no trade")] * 60)
        process, _ = watched("dead", "quiet")
        scene.end(process)
        cls.unread(watched)

        gone = Proxy(cls.redis)
        scene.callback(gone.close)
        gone.cut = True
        watched("no-redis", TOPIC, redis={"url": f"redis://127.0.0.1:{gone.port}"}, breaker={"open": "2s"})

        slow, hanging = Proxy(database), Proxy(database)
        for name, topic, proxy in (("slow", TOPIC, slow), ("no-database", "backlog", hanging)):
            scene.callback(proxy.close)
            run(postgres("createdb"), "-h", "127.0.0.1", "-p", database, "-U", "owner", name)
            timeout = "30s" if name == "slow" else "1s"
            url = f"postgres://owner@127.0.0.1:{proxy.port}/{name}"
            _, address = watched(name, topic, breaker={"open": "2s"}, database={"url": url, "timeout": timeout})
            if name == "no-database":
                cls.produce(topic, cls.trades[:1])
                eventually("the first record", lambda: metric(address, "messages_processed_total") >= 1)
        slow.delay, hanging.hang = 0.4, True
        backlog = itertools.islice(itertools.cycle(cls.trades), 12000)
        cls.produce("backlog", backlog)

    @classmethod
    def unread(cls, watched):
        """Two that share a topic; the one that is not watched is killed, and its session lasts for minutes."""
        group = {"group": {"id": "unread"}, "session_timeout": "10m", "max_poll_interval": "10m",
                 "commit_interval": "1s"}
        _, address = watched("unread", "shared", group=group)
        eventually("both partitions", lambda: metric(address, "kafka_assigned_partitions") == 2)
        config = yaml.safe_load((cls.scene.folder / "ingest-unread.yaml").read_text())
        other, theirs = cls.scene.ingest("other", kafka=config["kafka"], streams=config["streams"])
        eventually("one each", lambda: metric(address, "kafka_assigned_partitions") == 1
                   and metric(theirs, "kafka_assigned_partitions") == 1)
        cls.scene.end(other)

    @classmethod
    def produce(cls, topic, messages):
        for key, payload in messages:
            cls.producer.produce(topic, payload, key)
        assert cls.producer.flush(30) == 0, "Kafka did not take all of it"

    @classmethod
    def generated(cls, count, *more, name="trades"):
        """So many trades, of now if nothing else is said."""
        file = cls.scene.folder / f"{name}.recording"
        done = run(binary("INGEST"), "generate", "--messages", count, *more, file)
        assert done.returncode == 0, done.stderr
        return list(recording(file))

    @classmethod
    def refresh(cls):
        """Keeps trades of now at hand."""
        for seed in itertools.count(3):
            cls.fresh = cls.generated(4 * FRESH, "--seed", seed, name="fresh")
            if cls.scene.stopping.wait(FRESH):
                return

    @classmethod
    def flow(cls):
        """Trades and garbage, some every second, until the end."""
        for n in range(1 << 30):
            if cls.scene.stopping.wait(0.25):
                return
            cls.produce(TOPIC, [cls.fresh.pop()] if cls.fresh else [])
            for partition in (0, 1):
                cls.producer.produce("shared", cls.trades[n % len(cls.trades)][1], partition=partition)
            # Garbage alone would be a topic of the wrong kind.
            cls.produce("garbage", [(None, b"this is no trade"), cls.trades[n % len(cls.trades)]])


def metric(address, name):
    """The sum of a metric's series."""
    lines = fetch(f"{address}/metrics").splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(name + r"[{ ]", line))
