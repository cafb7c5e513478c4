// The flow with @solana/kit. It polls; kit's own confirmation helpers need subscriptions.

import { deepStrictEqual, ok, strictEqual } from 'node:assert';

import { getTransferSolInstruction } from '@solana-program/system';
import {
  appendTransactionMessageInstruction,
  createSolanaRpc,
  createTransactionMessage,
  generateKeyPairSigner,
  getBase64EncodedWireTransaction,
  getSignatureFromTransaction,
  isSolanaError,
  lamports,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from '@solana/kit';

import { WHALE } from '../upstream/known.mjs';
import { RPC_URL, name, refused, step, until, whileAnEndpointDies } from './steps.mjs';

const SOL = 1_000_000_000n;
const ENCODING = { encoding: 'base64' };

const rpc = createSolanaRpc(RPC_URL);
const payer = await generateKeyPairSigner();
const receiver = await generateKeyPairSigner();
name(payer.address, 'payer');
name(receiver.address, 'receiver');

const balanceOf = async ({ address }) => (await rpc.getBalance(address).send()).value;

const confirmed = (signature) =>
  until(`the confirmation of ${signature}`, async () => {
    const { value } = await rpc.getSignatureStatuses([signature]).send();
    return value[0]?.confirmationStatus !== 'processed' && value[0];
  });

async function transferOf(amount, { blockhash, version = 0 } = {}) {
  const { value: latest } = await rpc.getLatestBlockhash().send();
  const lifetime = { ...latest, blockhash: blockhash ?? latest.blockhash };
  const transfer = getTransferSolInstruction({
    source: payer,
    destination: receiver.address,
    amount,
  });
  const message = pipe(
    createTransactionMessage({ version }),
    (m) => setTransactionMessageFeePayerSigner(payer, m),
    (m) => setTransactionMessageLifetimeUsingBlockhash(lifetime, m),
    (m) => appendTransactionMessageInstruction(transfer, m),
  );
  return signTransactionMessageWithSigners(message);
}

const send = (transaction) =>
  rpc.sendTransaction(getBase64EncodedWireTransaction(transaction), ENCODING).send();

const shown = (error) => ({
  known: isSolanaError(error),
  message: error.message,
  context: error.context,
  cause: error.cause && { message: error.cause.message, context: error.cause.context },
});

await step('cluster', async () => ({
  health: await rpc.getHealth().send(),
  version: await rpc.getVersion().send(),
  genesis: await rpc.getGenesisHash().send(),
  rent: await rpc.getMinimumBalanceForRentExemption(165n).send(),
}));

await step('airdrop', async () => {
  const signature = await rpc.requestAirdrop(payer.address, lamports(2n * SOL)).send();
  const status = await confirmed(signature);
  const balance = await balanceOf(payer);
  strictEqual(balance, 2n * SOL);
  return { err: status.err, balance };
});

let signature;
await step('signed transfer', async () => {
  const transaction = await transferOf(SOL / 2n);
  signature = await send(transaction);
  strictEqual(signature, getSignatureFromTransaction(transaction));
  const { err } = await confirmed(signature);
  strictEqual(await balanceOf(receiver), SOL / 2n);
  return { err, payer: await rpc.getAccountInfo(payer.address, ENCODING).send() };
});

await step('transaction', async () => {
  const config = { commitment: 'confirmed', maxSupportedTransactionVersion: 0 };
  const transaction = await rpc.getTransaction(signature, { ...config, encoding: 'json' }).send();
  strictEqual(transaction.meta.fee, 5_000n);
  const parsed = await rpc
    .getTransaction(signature, { ...config, encoding: 'jsonParsed' })
    .send();
  const wire = await rpc.getTransaction(signature, { ...config, ...ENCODING }).send();
  return { transaction, parsed, length: wire.transaction[0].length };
});

await step('history', async () => ({
  signatures: await rpc.getSignaturesForAddress(receiver.address, { limit: 5 }).send(),
  unknown: await rpc
    .getTransaction('1'.repeat(64), { encoding: 'json', maxSupportedTransactionVersion: 0 })
    .send(),
}));

await step('insufficient funds', async () => {
  const error = await refused(async () => send(await transferOf(100n * SOL)), shown);
  ok(error.context.logs.some((line) => line.includes('insufficient lamports')));
  return error;
});

await step('unknown blockhash', async () =>
  refused(async () => send(await transferOf(1n, { blockhash: '1'.repeat(32) })), shown),
);

await step('sent twice', async () => {
  const transaction = await transferOf(7n);
  const signature = await send(transaction);
  await confirmed(signature);
  // Through the gateway it is as good as sent, wherever it was processed before.
  if (process.env.THROUGH_GATEWAY) return { known: (await send(transaction)) === signature };
  const words = await refused(
    () => send(transaction),
    (error) => `${error.message} ${error.cause?.message}`,
  );
  return { known: words.includes('already been processed') };
});

await step('simulation', async () => {
  const wire = getBase64EncodedWireTransaction(await transferOf(5n));
  return (await rpc.simulateTransaction(wire, ENCODING).send()).value;
});

await step('errors', async () => ({
  pubkey: await refused(() => rpc.getBalance('no key').send(), shown),
  method: await refused(() => rpc.getNothing().send(), shown),
  behind: await refused(
    () => rpc.getSlot({ commitment: 'confirmed', minContextSlot: 10n ** 12n }).send(),
    shown,
  ),
}));

await step('numbers beyond 2^53', async () => {
  const { value } = await rpc.getAccountInfo(WHALE.address, ENCODING).send();
  strictEqual(value.lamports, WHALE.lamports);
  return value;
});

await step('large answer', async () => {
  const keys = Array.from({ length: 100 }, (_, i) => (i % 2 ? payer : receiver).address);
  const { value } = await rpc.getMultipleAccounts(keys, ENCODING).send();
  strictEqual(value.length, 100);
  return value;
});

await step('many at once', async () => {
  const balances = await Promise.all(Array.from({ length: 50 }, () => balanceOf(receiver)));
  deepStrictEqual(new Set(balances).size, 1);
  return balances;
});

await step('slots never go backwards', async () => {
  let last = 0n;
  for (let i = 0; i < 30; i += 1) {
    const slot = await rpc.getSlot({ commitment: 'processed' }).send();
    ok(slot >= last, `${slot} after ${last}`);
    last = slot;
  }
});

await step('an endpoint dies', () => whileAnEndpointDies(() => balanceOf(payer)));
