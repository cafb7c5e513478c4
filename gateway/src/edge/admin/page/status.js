// Asks `status` every second and shows what it says. What changes is written in place, so that focus,
// selection and place on the page stay.
"use strict";

const PERIOD = 1000;
// So many answers are remembered: a minute of them.
const KEPT = 60;
const NONE = "–";
const MARKS = { ok: "✓", warn: "!", bad: "✕" };
// Words for health that say that an upstream may be well in a moment, or serves while none is better.
const UNSURE = ["unprobed", "lagging", "suspect"];

const $ = id => document.getElementById(id);
const number = value => value === null || value === undefined ? NONE : value.toLocaleString("en");
const counted = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
const time = seconds => seconds === null ? NONE
  : seconds < 120 ? `${seconds} s`
  : seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
const http = status => status === null || status === 200 ? "" : ` (HTTP ${status})`;
const bytes = value => value < 1024 ? `${value} B`
  : value < 1048576 ? `${(value / 1024).toFixed(1)} KiB` : `${(value / 1048576).toFixed(1)} MiB`;
const milliseconds = value => value === null ? NONE : `${value.toFixed(value < 10 ? 1 : 0)} ms`;

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function grade(element, word) {
  for (const other of Object.keys(MARKS)) element.classList.toggle(other, other === word);
}

// The same number of children as there are items, each brought up to date; `key` tells them apart.
function list(parent, items, key, make, update) {
  const old = new Map([...parent.children].map(child => [child.dataset.key, child]));
  items.forEach((item, at) => {
    const name = String(key(item, at));
    const child = old.get(name) ?? make();
    old.delete(name);
    child.dataset.key = name;
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
    update(child, item);
  });
  for (const gone of old.values()) gone.remove();
}

const element = tag => () => document.createElement(tag);

// Lines of [text, grade].
function lines(parent, items) {
  list(parent, items, (_, at) => at, element("li"), (child, [text, word]) => {
    write(child, text);
    grade(child, word);
  });
  parent.hidden = items.length === 0;
}

function facts(parent, items) {
  const make = () => {
    const pair = document.createElement("div");
    pair.append(document.createElement("dt"), document.createElement("dd"));
    return pair;
  };
  list(parent, items, ([name]) => name, make, (pair, [name, value]) => {
    write(pair.children[0], name);
    write(pair.children[1], value);
  });
}

function card() {
  const made = $("card").content.firstElementChild.cloneNode(true);
  made.parts = {};
  for (const part of made.querySelectorAll("[data-is]")) made.parts[part.dataset.is] = part;
  made.latencies = [];
  made.left = [];
  return made;
}

function remember(values, value) {
  values.push(value);
  if (values.length > KEPT) values.shift();
}

function spark(svg, values, name) {
  const known = values.filter(value => value !== null);
  const top = Math.max(1, ...known) * 1.1;
  let path = "", pen = "M";
  values.forEach((value, at) => {
    if (value === null) return void (pen = "M");
    const x = 120 - (values.length - 1 - at) * 120 / (KEPT - 1);
    path += `${pen}${x.toFixed(1)} ${(31 - 30 * value / top).toFixed(1)}`;
    pen = "L";
  });
  // One point alone is a dash.
  if (known.length === 1) path += "h2";
  svg.firstElementChild.setAttribute("d", path);
  const least = milliseconds(Math.min(...known)), most = milliseconds(Math.max(...known));
  const told = known.length ? `between ${least} and ${most} in the last ${values.length} s` : "not known yet";
  svg.setAttribute("aria-label", `latency of ${name}: ${told}`);
  return known.length ? `, ${told}` : "";
}

// ok, warn or bad.
function gradeOf(one) {
  if (one.state === "healthy") return "ok";
  if (one.key_refused || one.breaker === "open") return "bad";
  return one.health === "healthy" || UNSURE.includes(one.health) ? "warn" : "bad";
}

// What is behind its state: each a line, if there is anything to say.
function reasons(one) {
  const told = [];
  if (one.cause !== null) told.push([one.health === "healthy" ? one.cause : `${one.health}: ${one.cause}`, gradeOf(one)]);
  if (one.cure !== null) told.push([`likely cure: ${one.cure}`]);
  for (const hold of one.holds) {
    told.push([`${hold.method ?? "all calls"}: ${hold.cause}` +
      (hold.fault === null ? "" : `, ${hold.fault}${http(hold.http_status)}`) +
      (hold.since_seconds === null ? "" : `, since ${time(hold.since_seconds)}`) +
      (hold.seconds_left === null ? ", asked again with the next call" : `, asked again in ${time(hold.seconds_left)}`), "warn"]);
  }
  const last = one.last_error;
  if (last !== null) {
    told.push([`last error: ${last.method}: ${last.fault}${http(last.http_status)}, ${time(last.seconds_ago)} ago`]);
  }
  return told;
}

function budget(made, one) {
  const { parts, left } = made;
  parts["budget-part"].hidden = one.budget_left === null;
  if (one.budget_left === null) return;
  remember(left, one.budget_left);
  const before = left[Math.max(0, left.length - 10)];
  const trend = one.budget_left < before ? ", draining" : one.budget_left > before ? ", filling" : "";
  const { burst, requests, per, ends_seconds: ends } = one.budget;
  const end = ends === null ? "" : one.budget_left === 0 ? ", used up" : `, used up in ${time(ends)} at this rate`;
  write(parts["budget-text"],
    `budget: ${number(one.budget_left)} of ${number(burst)} at once${trend}${end}; ${number(requests)} each ${per}`);
  const meter = parts.budget;
  meter.max = burst;
  meter.low = burst / 4;
  meter.high = burst / 2;
  meter.optimum = burst;
  meter.value = one.budget_left;
  meter.setAttribute("aria-label", `requests left of the budget of ${one.id}`);
}

function head(made, id, word, state, where) {
  made.classList.contains(word) || grade(made, word);
  write(made.parts.mark, MARKS[word]);
  write(made.parts.id, id);
  write(made.parts.state, state);
  write(made.parts.where, where);
}

function upstream(made, one) {
  const { parts, latencies } = made;
  head(made, one.id, gradeOf(one), `${one.state}, for ${time(one.since_seconds)}`, `${one.tier}, ${one.origin}`);
  const away = one.health === "failing";
  remember(latencies, away ? null : one.latency_milliseconds);
  const range = spark(parts.spark, latencies, one.id);
  write(parts.latency, `latency ${milliseconds(away ? null : one.latency_milliseconds)}${range}`);
  facts(parts.facts, [
    ["slot", number(one.slots.processed)],
    ["slots behind", number(one.lag)],
    ["breaker", one.breaker + (one.breaker_open_seconds === null ? "" : `, tried in ${time(one.breaker_open_seconds)}`)],
    ["failed lately", `${(100 * one.failures).toFixed(0)} %`],
    ["calls under way", number(one.in_flight) + (one.concurrency === null ? "" : `, ${one.concurrency.limit} at most`)],
    ["connections", `${one.connections_busy} busy, ${one.connections_idle} idle` + (one.http === null ? "" : `, HTTP/${one.http}`)],
  ]);
  budget(made, one);
  lines(parts.reasons, reasons(one));
}

function api(made, one) {
  const { parts } = made;
  const held = one.held_because !== null;
  const open = one.breaker === "open" || one.fitness === "failing";
  const word = open ? "bad" : held || one.breaker !== "closed" || one.fitness === "lagging" ? "warn"
    : one.fitness === "fit" ? "ok" : "warn";
  head(made, one.id, word, one.fitness, one.tier);
  parts.figure.hidden = true;
  facts(parts.facts, [
    ["its markets, slots behind", number(one.market_cache_age_slots)],
    ["breaker", one.breaker],
    ["fee", `${one.platform_fee_bps} bps`],
    ["connections", number(one.connections)],
  ]);
  lines(parts.reasons, held ? [[`left alone: ${one.held_because}, for ${time(one.held_for_seconds)}`, "warn"]] : []);
}

// Answers of the last minute, for rates: {at, classes, cache}.
const past = [];

function since(now, pick) {
  const then = past[0];
  const span = (now.at - then.at) / 1000;
  return { was: pick(then), is: pick(now), span };
}

function cache(status, now) {
  const kept = status.cache;
  $("cache-off").hidden = kept !== null;
  $("cache-part").hidden = kept === null;
  if (kept !== null) {
    const { was, is } = since(now, one => one.cache ?? kept);
    const looks = is.lookups - was.lookups;
    write($("cache-hits"), looks > 0 ? `${(100 * (is.hits - was.hits) / looks).toFixed(0)} % of ${number(looks)}` : NONE);
    write($("cache-entries"), number(kept.entries));
    write($("cache-bytes"), `${bytes(kept.bytes)} of ${bytes(kept.of_bytes)}`);
    $("cache-meter").max = kept.of_bytes;
    $("cache-meter").value = kept.bytes;
  }
  const shared = status.shared_cache;
  $("shared").hidden = shared === null;
  if (shared !== null) {
    const well = shared.trouble === null && shared.breaker === "closed";
    grade($("shared"), well ? "" : "bad");
    write($("shared"), `shared cache: ${well ? "" : "✕ "}${shared.mode}, ${shared.connections} of ${shared.of_connections} ` +
      `connections, breaker ${shared.breaker}, ${counted(shared.waiting_writes, "answer")} waiting to be written` +
      (shared.trouble === null ? "" : `; ${shared.trouble}`));
  }
}

function classes(status, now) {
  const { was, is, span } = since(now, one => one.classes);
  const rows = is.map((one, at) => {
    const held = status.upstreams.map(upstream => upstream.classes[at]);
    const sum = name => held.reduce((all, one) => all + one[name], 0);
    const each = name => span > 0 ? Math.max(0, (one[name] - was[at][name]) / span).toFixed(1) : NONE;
    return [one.class, each("answered"), each("refused"), number(sum("in_use")), number(sum("waiting"))];
  }).reverse();
  const make = () => {
    const row = document.createElement("tr"), name = document.createElement("th");
    name.scope = "row";
    row.append(name, ...[1, 2, 3, 4].map(element("td")));
    return row;
  };
  list($("classes"), rows, ([name]) => name, make, (row, cells) => cells.forEach((text, at) => write(row.children[at], text)));
}

function subscriptions({ clients, subscriptions, shared_subscriptions: different, upstreams }) {
  write($("ws-clients"), number(clients));
  write($("ws-subscriptions"), number(subscriptions));
  write($("ws-shared"), number(different));
  write($("ws-waiting"), number(upstreams?.waiting ?? 0));
  const unreachable = (upstreams?.unreachable ?? []).map(one => [`${one.upstream}: no socket: ${one.cause}; ${one.cure}`, "warn"]);
  lines($("sockets"), unreachable.concat((upstreams?.sockets ?? []).map(one => [
    `${one.upstream}: ${one.open ? "open" : "not open"}, ${counted(one.subscriptions, "subscription")}, slot ${number(one.slot)}` +
    (one.leaving === null ? "" : `, left because ${one.leaving}`), one.open ? undefined : "warn"])));
}

function jupiter(told) {
  $("jupiter-part").hidden = told.upstreams.length === 0;
  write($("jupiter-line"), `${counted(told.kept_quotes, "quote")} kept; trades are ${told.trades_heard ? "" : "not "}heard`);
  list($("jupiter"), told.upstreams, one => one.id, card, api);
}

function verdict(word, text) {
  grade($("verdict"), word);
  // It is read out when it changes.
  write($("verdict"), `${MARKS[word]} ${text}`);
}

function show(status) {
  const now = { at: performance.now(), classes: status.classes, cache: status.cache };
  // The gateway has been started anew: it counts from zero.
  const restarted = past.at(-1)?.classes.some((one, at) => one.answered > status.classes[at].answered);
  if (restarted) past.length = 0;
  remember(past, now);
  const well = status.upstreams.filter(one => one.state === "healthy").length;
  const count = `${well} of ${counted(status.upstreams.length, "upstream")} healthy`;
  if (status.shutting_down) verdict("warn", "shutting down");
  else if (!status.ready) verdict("bad", `not ready: no upstream available; ${count}`);
  else verdict(well === status.upstreams.length ? "ok" : "warn", `ready, ${count}`);
  write($("facts"), `version ${status.version}, configuration revision ${status.revision}, up ${time(status.uptime_seconds)}, ` +
    `${counted(status.in_flight, "request")} in progress, ${number(status.connections.open)} of ` +
    `${counted(status.connections.limit, "connection")}, tip ${number(status.tip.processed)}, genesis ${status.genesis ?? NONE}`);
  lines($("problems"), [
    ...status.config.errors.map(error => [`the configuration in the file is refused: ${error}`, "bad"]),
    ...status.config.restart_required.map(key => [`only a restart applies ${key}`, "warn"]),
    ...status.certificates.flatMap(one => one.problems.map(problem => [`certificate at ${one.listener}: ${problem}`, "bad"])),
  ]);
  list($("upstreams"), status.upstreams, one => one.id, card, upstream);
  jupiter(status.jupiter);
  cache(status, now);
  classes(status, now);
  subscriptions(status.websocket);
}

async function refresh() {
  try {
    const answer = await fetch("status", { signal: AbortSignal.timeout(5 * PERIOD) });
    show(await answer.json());
  } catch (error) {
    verdict("bad", `the gateway does not answer: ${error.message}`);
  }
}

const pause = $("pause");
pause.addEventListener("click", () => {
  const paused = pause.getAttribute("aria-pressed") !== "true";
  pause.setAttribute("aria-pressed", String(paused));
  if (!paused) refresh();
});

async function run() {
  const waits = pause.getAttribute("aria-pressed") === "true" || document.hidden;
  if (!waits) await refresh();
  setTimeout(run, PERIOD);
}
run();
