// The plans that clients are held to, and what each of them sees of that.

export { RPC_URL } from '../flow/steps.mjs';
import { RPC_URL } from '../flow/steps.mjs';

/** Calls that may come at once; more are earned at two a second. */
export const BURST = 5;
/** Calls that come at once. */
export const CALLS = 12;

export const { TIGHT_KEY, FEW_KEY } = process.env;

/** Sockets are on the port of calls too. */
export const socketOf = (key) => `${RPC_URL.replace(/^http/, 'ws')}/?api-key=${key}`;

/** The configuration of the plans, and a consumer of each for every client. */
export function plansFor(clients) {
  const consumers = clients.flatMap((_, i) => [
    `  - { id: tight-${i}, keys: ["${keysOf(i).TIGHT_KEY}"], plan: tight }`,
    `  - { id: few-${i}, keys: ["${keysOf(i).FEW_KEY}"], plan: few }`,
  ]);
  return `plans:
  - { id: tight, requests_per_minute: 120, burst: ${BURST} }
  - { id: few, requests_per_minute: 6, burst: 2 }
consumers:
${consumers.join('\n')}
`;
}

export function keysOf(index) {
  const key = (plan) => `key-of-${plan}-${index}-0123456789`;
  return { TIGHT_KEY: key('tight'), FEW_KEY: key('few') };
}

const SAID_429 = { burst: true, refused: [429] };

/** What each client sees. */
export const EXPECTED = {
  'web3.js': {
    'calls over the plan': CALLS,
    'subscriptions over the plan': { refused: true, spins: false },
  },
  kit: {
    'calls over the plan': SAID_429,
    'subscriptions over the plan': { refused: [-32603] },
  },
  'solana-py 0.36': { 'calls over the plan': SAID_429 },
  'solana-py 0.41': { 'calls over the plan': SAID_429 },
};
