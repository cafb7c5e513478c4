"""Load from wrk, in alternating rounds, and the CPU time of what stands under it."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from servers import LOAD_CORE

HERE = Path(__file__).resolve().parent
CONNECTIONS = 32
# Between two calls of a connection in the paced rounds. Flat out, the core of load and backend never
# rests behind a fast proxy but has to be woken for each call of a slower one, which is charged to
# the slower one; paced, all pay for it alike.
PAUSE_MILLIS = 5
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Target:
    """What takes calls: where, the process whose CPU time counts, and one whose time is told apart."""

    port: int
    # A file of calls, one a line, which are made in turn.
    calls: Path
    pid: int | None = None
    beside: int | None = None
    # What makes requests of the calls.
    script: str = "call.lua"


def alternate(targets, rounds, one_round):
    """The medians of each target's rounds: {name: {key: number}}."""
    results = {name: [] for name in targets}
    for number in range(rounds):
        # The other way round every second time, so that drift hits all alike.
        for name in targets if number % 2 == 0 else reversed(targets):
            results[name].append(one_round(targets[name]))
    return {
        name: {key: median(one[key] for one in runs) for key in runs[0]}
        for name, runs in results.items()
    }


def round_of(target, seconds, pause):
    """wrk for some seconds: {"rate", "p50", "p99", "user", "system", "cpu", "beside", "errors",
    "requests"}, times in microseconds, those of a CPU for each request."""
    before, beside = Spent.by(target.pid), Spent.by(target.beside)
    result = subprocess.run(
        ["taskset", "-c", str(LOAD_CORE), "wrk", "-t", "1", "-c", str(CONNECTIONS)]
        + ["-d", f"{seconds}s", "-s", HERE / target.script, f"http://127.0.0.1:{target.port}/"],
        env={**os.environ, "CALLS": str(target.calls), "CALL_PAUSE": str(pause)},
        capture_output=True,
        text=True,
        check=True,
    )
    spent, beside = Spent.by(target.pid) - before, Spent.by(target.beside) - beside
    line = next(line for line in result.stdout.splitlines() if line.startswith("{"))
    seen = json.loads(line)
    requests = seen["requests"]
    in_system = spent.system / (spent.user + spent.system) if spent.user + spent.system else 0.0
    return {
        "rate": requests / seen["micros"] * 1e6,
        "p50": seen["p50"],
        "p95": seen.get("p95", 0.0),
        "p99": seen["p99"],
        "user": spent.total * (1 - in_system) / requests,
        "system": spent.total * in_system / requests,
        "cpu": spent.total / requests,
        "beside": beside.total / requests,
        "errors": seen["errors"],
        "requests": requests,
    }


@dataclass
class Spent:
    """CPU time of a process with all its threads, in microseconds. The total is exact, user and
    system time are in ticks: good for their proportion."""

    total: float = 0.0
    user: float = 0.0
    system: float = 0.0

    @classmethod
    def by(cls, pid):
        if pid is None:
            return cls()
        process = Path(f"/proc/{pid}")
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        user, system = (int(field) * 1e6 / TICKS for field in fields[11:13])
        threads = (process / "task").glob("*/schedstat")
        return cls(sum(int(one.read_text().split()[0]) for one in threads) / 1e3, user, system)

    def __sub__(self, before):
        return Spent(
            self.total - before.total, self.user - before.user, self.system - before.system
        )
