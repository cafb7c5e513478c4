"""What was measured, as Markdown."""

import platform
from pathlib import Path


def passthrough(size, rows, how):
    """A table of one answer size, with ratios to nginx and to bare Pingora."""
    columns = ["", "req/s", "p50 µs", "p99 µs", "CPU µs/req", "user + system", "÷ nginx", "÷ bare Pingora", "errors"]
    lines = [f"### Answers of {size // 1000} KB, {how}", "", row(columns), row(["---"] + ["---:"] * 8)]
    for name, seen in rows.items():
        cpu = split = ""
        if seen["cpu"]:
            cpu, split = f"{seen['cpu']:.1f}", f"{seen['user']:.1f} + {seen['system']:.1f}"
        lines.append(
            row(
                [
                    name,
                    f"{seen['rate']:,.0f}",
                    f"{seen['p50']:.0f}",
                    f"{seen['p99']:.0f}",
                    cpu,
                    split,
                    ratio(seen, rows.get("nginx")),
                    ratio(seen, rows.get("bare Pingora")),
                    f"{seen['errors']:.0f}",
                ]
            )
        )
    return "\n".join(lines)


def ratio(seen, yardstick):
    """CPU per request in units of the yardstick's."""
    if yardstick is None or not seen["cpu"]:
        return ""
    return f"{seen['cpu'] / yardstick['cpu']:.2f}"


def failover(rate, repeats, results):
    columns = ["fault", "calls", "lost", "usual ms", "failed over", "extra median ms"]
    columns += ["extra p99 ms", "slowest ms", "settled after ms"]
    lines = [
        "### One of two validators gets a fault",
        "",
        f"{rate} reads a second, open loop, {repeats} runs of each fault. Failed over: calls with "
        "more than one attempt after the fault. Extra: their latency above the usual median. Settled: "
        "from the fault until the last of them was answered, median of the runs.",
        "",
        row(columns),
        row(["---"] + ["---:"] * (len(columns) - 1)),
    ]
    for name, seen in results.items():
        numbers = [seen["calls"], seen["lost"], f"{seen['usual']:.2f}", seen["failed_over"]]
        numbers += [f"{seen[key]:.1f}" for key in ("extra_median", "extra_p99", "worst")]
        lines.append(row([name, *numbers, f"{seen['until_settled']:.0f}"]))
    return "\n".join(lines)


def machine(rounds, seconds, connections):
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    load = Path("/proc/loadavg").read_text().split()[0]
    return (
        f"{cpu}; Linux {platform.release()}; load before the run {load}. wrk with {connections} "
        f"connections and the backend (nginx) on one core, the proxy alone on another, one thread "
        f"each; medians of {rounds} alternating rounds of {seconds} s. CPU is user and system time of "
        "the proxy. Access logs are off, everything else of the gateway is on."
    )


def row(cells):
    return "| " + " | ".join(map(str, cells)) + " |"
