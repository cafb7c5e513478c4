"""What was measured, as Markdown."""

import platform
from pathlib import Path

from hits import MEMORY, MEMORY_BASELINE, NGINX, REDIS, REDIS_BASELINE
from passthrough import BASELINE, GATEWAY, LIMITED
from quotes import MOST_API_MILLIS, MOST_QUOTE_MILLIS, UPSTREAM_MILLIS
from quotes import NGINX as NGINX_QUOTES


def passthrough(size, rows, how):
    """A table of one answer size, with ratios to nginx and to bare Pingora."""
    columns = ["", "req/s", "p50 µs", "p99 µs", "CPU µs/req", "user + system", "÷ nginx", "÷ bare Pingora", "errors"]
    lines = [f"### Answers of {size // 1000} KB, {how}", "", *header(columns)]
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
    return "\n".join([*lines, *limits(rows), *beside_baseline(rows, ((GATEWAY, BASELINE),))])


def limits(rows):
    """What limits cost a call that meets all of them and reaches none."""
    if LIMITED in rows and GATEWAY in rows:
        found = rows[LIMITED]["cpu"] / rows[GATEWAY]["cpu"]
        word = "met" if round(found, 2) <= 1.03 else "missed"
        yield f"- {LIMITED}: {found:.3f} × the CPU of {GATEWAY}; the aim of 1.03 is {word}."


def hits(size, rows, how):
    """A table of one answer size, with ratios to nginx' cache."""
    columns = ["", "req/s", "p50 µs", "p99 µs", "CPU µs/req", "user + system", "÷ nginx proxy_cache"]
    columns += ["Redis' CPU µs/req", "hits %", "from Redis %", "errors"]
    lines = [f"### Hits of {size // 1000} KB, {how}", "", *header(columns)]
    for name, seen in rows.items():
        cells = [name, f"{seen['rate']:,.0f}", f"{seen['p50']:.0f}", f"{seen['p99']:.0f}"]
        cells += [f"{seen['cpu']:.1f}", f"{seen['user']:.1f} + {seen['system']:.1f}"]
        cells += [ratio(seen, rows.get(NGINX)), f"{seen['beside']:.1f}" if seen["beside"] else ""]
        cells += [f"{seen['hits']:.3f}", f"{seen['from_redis']:.1f}" if seen["from_redis"] else ""]
        lines.append(row([*cells, f"{seen['errors']:.0f}"]))
    pairs = ((MEMORY, MEMORY_BASELINE), (REDIS, REDIS_BASELINE))
    return "\n".join([*lines, "", *aims(rows), *beside_baseline(rows, pairs)])


def beside_baseline(rows, pairs):
    """What a call costs now, in units of what it cost the earlier build in the same run."""
    for now, before in pairs:
        if now in rows and before in rows:
            found = rows[now]["cpu"] / rows[before]["cpu"]
            yield f"- {now}: {found:.3f} × the CPU of the baseline."


def aims(rows):
    """What a hit may cost, and what it costs."""
    for name, most in ((MEMORY, 1.0), (REDIS, 1.5)):
        if name in rows and NGINX in rows:
            found = rows[name]["cpu"] / rows[NGINX]["cpu"]
            word = "met" if round(found, 2) <= most else "missed"
            yield f"- {name}: {found:.2f} × the CPU of {NGINX}; the aim of {most} is {word}."


def crowd(callers, node_millis, rounds, results):
    columns = ["", "calls that reached the node", "p50 ms", "p99 ms", "all answered after ms", "errors"]
    lines = [
        f"### {callers} identical calls at once, the answer unknown",
        "",
        f"The node takes {node_millis} ms. The most calls and all errors of {rounds} crowds, the "
        "medians of their times; 64 connections to the node at most.",
        "",
        *header(columns),
    ]
    for name, seen in results.items():
        times = [f"{seen[key]:.0f}" for key in ("p50", "p99", "all")]
        lines.append(row([name, seen["asked"], *times, seen["errors"]]))
    return "\n".join(lines)


def subscribers(results):
    columns = ["", "through", "clients", "KB a client", "notifications", "CPU µs each", "p50 ms", "p99 ms"]
    lines = [
        "### Subscribers",
        "",
        "A sandbox validator with a slot every 400 ms. `KB` is the resident memory that the proxy has more than before "
        "the clients came; the CPU time is the proxy's; the times are those from the first client that was told "
        "something to each other one. HAProxy passes every socket on, so that the node makes each subscription as "
        "often as there are clients; the gateway makes it once.",
        "",
        *header(columns),
    ]
    for (way, kind), seen in results.items():
        numbers = [f"{seen[key]:.1f}" for key in ("micros", "p50", "p99")]
        told = [seen["clients"], f"{seen['kilobytes']:.1f}", seen["notifications"]]
        lines.append(row([kind, way, *told, *numbers]))
    return "\n".join(lines)


def flood(capacity, times, results, tenants):
    columns = ["critical calls", "p50 ms", "p99 ms", "calls", "without a result", "flood served a second"]
    lines = [
        "### A flood",
        "",
        f"One upstream that can do {capacity} calls a second; background calls come at {times} times that, "
        "critical ones at a tenth of it.",
        "",
        *header(columns),
    ]
    for name, seen in results.items():
        times = [f"{seen[key]:.0f}" for key in ("p50", "p99")]
        lines.append(row([name, *times, seen["calls"], seen["failed"], f"{seen['flood']:.0f}"]))
    lines += [
        "",
        f"Two tenants of one class, of whom the second asks for three times as much, were served "
        f"{tenants[0]} and {tenants[1]} calls.",
    ]
    return "\n".join(lines)


def hostages(watched, results):
    columns = ["", "gateway", "connections made", "kept at most", f"kept after {watched} s"]
    columns += ["MB more at most", f"after {watched} s", "calls of others failed", "p99 ms", "leaves on SIGTERM after s"]
    lines = [
        "### Clients that hold on",
        "",
        "Each attack on a gateway of its own with the default limits, all at once on this machine. "
        "`kept` counts the descriptors, `MB` the resident memory that the gateway has more than before.",
        "",
        *header(columns),
    ]
    for attack, rows in results.items():
        for name, seen in rows.items():
            cells = [attack, name, seen["asked"], seen["sockets"], seen["sockets_later"]]
            cells += [f"{seen[key] / 1e6:.0f}" for key in ("most", "later")]
            cells += [seen["failed"], f"{seen['p99']:.0f}"]
            lines.append(row([*cells, f"{seen['leaves']:.1f}" if seen["leaves"] is not None else "never"]))
    return "\n".join(lines)


def bots(count, seconds, seen):
    columns = ["", "calls", "reached a node", "answered without, %", "x-perijove-cache"]
    lines = [f"### {count} bots for {seconds} s", "", *header(columns)]
    for method, calls in [*sorted(seen["calls"].items()), ("all", seen["calls"].total())]:
        asked = seen["asked"].total() if method == "all" else seen["asked"][method]
        said = ", ".join(f"{word} {n}" for word, n in sorted(seen["said"].get(method, {}).items()))
        lines.append(row([method, calls, asked, f"{100 * (1 - asked / calls):.1f}", said]))
    lines += ["", f"Credits saved: {seen['saved']:,.0f}. Errors: {seen['errors']}."]
    return "\n".join(lines)


def quotes(latency, cost, trace, gains):
    """Everything of Jupiter's quotes."""
    columns = ["", "quotes/s", "p50 ms", "p95 ms", "p99 ms", "CPU µs/quote", "errors"]
    lines = [
        "### Quotes of Jupiter's API",
        "",
        f"The upstream takes {UPSTREAM_MILLIS} ms for each quote.",
        "",
        *header(columns),
    ]
    for name, seen in latency.items():
        times = [f"{seen[key] / 1000:.1f}" for key in ("p50", "p95", "p99")]
        cells = [name, f"{seen['rate']:,.0f}", *times, f"{seen['cpu']:.1f}"]
        lines.append(row([*cells, f"{seen['errors']:.0f}"]))
    slowest = max(seen["p95"] for seen in latency.values()) / 1000
    word = "met" if slowest <= MOST_QUOTE_MILLIS else "missed"
    lines += ["", f"- p95 is {slowest:.0f} ms at most; the bounds of {MOST_QUOTE_MILLIS} ms for a quote and "
              f"{MOST_API_MILLIS} ms for the API are {word}."]
    for how, rows in zip(("as fast as it goes", "at the same pace"), cost):
        columns = [f"A known quote, {how}", "req/s", "p50 µs", "p99 µs", "CPU µs/req", "÷ nginx", "errors"]
        lines += ["", *header(columns)]
        for name, seen in rows.items():
            cells = [name, f"{seen['rate']:,.0f}", f"{seen['p50']:.0f}", f"{seen['p99']:.0f}"]
            cells += [f"{seen['cpu']:.1f}", ratio(seen, rows.get(NGINX_QUOTES))]
            lines.append(row([*cells, f"{seen['errors']:.0f}"]))
    columns = ["A trace by Zipf's law; quotes live for", "quotes", "reached an upstream", "credits saved, %"]
    lines += ["", *header([*columns, "x-perijove-cache", "failed"])]
    for name, seen in trace.items():
        said = ", ".join(f"{word} {n}" for word, n in sorted(seen["words"].items()))
        cells = [name, seen["asked"], seen["reached"], f"{seen['saved']:.1f}"]
        lines.append(row([*cells, said, seen["failed"]]))
    lines += [
        "",
        f"- The best of several over the quote as it was asked for, {gains['pairs']} pairs: "
        f"{gains['least']:.2f} bps at least, {gains['mean']:.2f} on average, {gains['most']:.2f} at most; "
        f"{gains['gained']} of them gained.",
    ]
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
        *header(columns),
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
        "the proxy. Access logs are off; the gateway's cache is off while it passes through and fails "
        "over; everything else of the gateway is on."
    )


def header(columns):
    """The first two lines of a table whose first column is text."""
    return [row(columns), row(["---"] + ["---:"] * (len(columns) - 1))]


def row(cells):
    return "| " + " | ".join(map(str, cells)) + " |"
