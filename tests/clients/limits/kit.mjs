// @solana/kit over the limits of its plan: what is refused is an error that can be caught.

import { createSolanaRpc, createSolanaRpcSubscriptions, generateKeyPairSigner } from '@solana/kit';

import { step } from '../flow/steps.mjs';
import { BURST, CALLS, RPC_URL, TIGHT_KEY, FEW_KEY, socketOf } from './plans.mjs';

const newAddress = async () => (await generateKeyPairSigner()).address;
const kinds = (outcomes, of) => [
  ...new Set(outcomes.filter(({ reason }) => reason).map(({ reason }) => of(reason))),
];

await step('calls over the plan', async () => {
  const rpc = createSolanaRpc(`${RPC_URL}/?api-key=${TIGHT_KEY}`);
  const addresses = await Promise.all(Array.from({ length: CALLS }, newAddress));
  const outcomes = await Promise.allSettled(addresses.map((one) => rpc.getBalance(one).send()));
  const answered = outcomes.filter(({ status }) => status === 'fulfilled').length;
  return {
    burst: answered >= BURST,
    refused: kinds(outcomes, ({ context }) => context.statusCode),
  };
});

await step('subscriptions over the plan', async () => {
  const subscriptions = createSolanaRpcSubscriptions(socketOf(FEW_KEY));
  const { signal } = new AbortController();
  const addresses = await Promise.all(Array.from({ length: 6 }, newAddress));
  const outcomes = await Promise.allSettled(
    addresses.map((one) => subscriptions.accountNotifications(one).subscribe({ abortSignal: signal })),
  );
  return { refused: kinds(outcomes, ({ context }) => context.__code) };
});

process.exit(0);
