// @solana/web3.js over the limits of its plan: calls are tried again by themselves, and subscriptions
// that are refused do not make it spin.

import { Connection, Keypair } from '@solana/web3.js';
import { setTimeout as sleep } from 'node:timers/promises';

import { step } from '../flow/steps.mjs';
import { CALLS, RPC_URL, TIGHT_KEY, FEW_KEY, socketOf } from './plans.mjs';

const refusals = [];
console.error = (...words) => refusals.push(words.join(' '));

const connection = (key) =>
  new Connection(`${RPC_URL}/?api-key=${key}`, { wsEndpoint: socketOf(key) });

await step('calls over the plan', async () => {
  const tight = connection(TIGHT_KEY);
  const balances = Array.from({ length: CALLS }, () => tight.getBalance(Keypair.generate().publicKey));
  return (await Promise.all(balances)).length;
});

await step('subscriptions over the plan', async () => {
  const few = connection(FEW_KEY);
  for (let i = 0; i < 6; i++) few.onAccountChange(Keypair.generate().publicKey, () => {});
  await sleep(5000);
  // It subscribes again as soon as it is refused; 4 of 6 are refused once a second.
  return { refused: refusals.length > 0, spins: refusals.length > 40 };
});

process.exit(0);
