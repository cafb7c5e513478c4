// Compares two records of a flow. What must differ between two runs on one ledger is replaced by
// its name: new addresses, signatures, hashes, and what moves with time. The rest must be equal.

import { inspect, isDeepStrictEqual } from 'node:util';

/** Members whose numbers grow with the ledger. */
const MOVING = [
  'absoluteSlot',
  'blockHeight',
  'blockTime',
  'confirmations',
  'contextSlot',
  'lastValidBlockHeight',
  'slot',
  'slotIndex',
  'transactionCount',
];
const HASHES = ['blockhash', 'recentBlockhash'];
const MOVING_IN_TEXT = new RegExp(`"(${MOVING.join('|')})":(\\d+|null)`, 'g');
const HASH_IN_TEXT = new RegExp(`"(${HASHES.join('|')})":"\\w+"`, 'g');
/** A transaction may settle between the two runs of a step. */
const SETTLED = /\b(confirmed|finalized)\b/g;
const SIGNATURE = /\b[1-9A-HJ-NP-Za-km-z]{86,88}\b/g;

/** Steps that only one of the two runs has. */
const ONLY_THROUGH_GATEWAY = [
  'HTTP/2 without TLS',
  'messages to it are compressed',
  'messages from it are compressed',
];

/** Title → { seen } or { failed }, from the lines of a flow. */
export function normalise(lines) {
  const names = new Map();
  const steps = new Map();
  for (const line of lines) {
    if (line.name !== undefined) names.set(line.address, `<${line.name}>`);
    else if (line.failed !== undefined) steps.set(line.step, { failed: line.failed });
    else steps.set(line.step, { seen: settle(line.seen, names) });
  }
  return steps;
}

/** Why a step counts as failed, or null. */
export function describeDifference(title, direct, through) {
  if (direct === undefined && ONLY_THROUGH_GATEWAY.includes(title)) return failure(through);
  const failed = failure(direct, 'directly') ?? failure(through, 'through the gateway');
  if (failed !== null) return failed;
  if (isDeepStrictEqual(direct.seen, through.seen)) return null;
  const shown = (value) => inspect(value, { depth: 12, breakLength: 100, maxArrayLength: 5 });
  return `directly:\n${shown(direct.seen)}\nthrough the gateway:\n${shown(through.seen)}`;
}

function failure(step, where = '') {
  if (step === undefined) return `did not run ${where}`;
  return step.failed === undefined ? null : `${where}: ${step.failed}`;
}

function settle(value, names, key = '') {
  if (MOVING.includes(key) && (value === null || typeof value !== 'object')) return `<${key}>`;
  if (HASHES.includes(key) && typeof value === 'string') return `<${key}>`;
  if (typeof value === 'string') return settleText(value, names);
  if (Array.isArray(value)) return value.map((each) => settle(each, names));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([member, inner]) => [member, settle(inner, names, member)]),
  );
}

function settleText(text, names) {
  let settled = text;
  for (const [address, name] of names) settled = settled.replaceAll(address, name);
  return settled
    .replaceAll(SIGNATURE, '<signature>')
    .replaceAll(SETTLED, '<settled>')
    .replaceAll(MOVING_IN_TEXT, '"$1":"<$1>"')
    .replaceAll(HASH_IN_TEXT, '"$1":"<$1>"');
}
