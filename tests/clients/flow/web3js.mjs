// The flow with @solana/web3.js 1.x.

import { deepStrictEqual, ok, strictEqual } from 'node:assert';

import {
  Connection,
  Keypair,
  LAMPORTS_PER_SOL,
  PublicKey,
  SystemProgram,
  Transaction,
  TransactionMessage,
  VersionedTransaction,
} from '@solana/web3.js';

import { WHALE } from '../upstream/known.mjs';
import { RPC_URL, control, name, refused, step, until, whileAnEndpointDies } from './steps.mjs';

const connection = new Connection(RPC_URL, 'confirmed');
const payer = Keypair.generate();
const receiver = Keypair.generate();
name(payer.publicKey, 'payer');
name(receiver.publicKey, 'receiver');

const confirmed = (signature) =>
  until(`the confirmation of ${signature}`, async () => {
    const { value } = await connection.getSignatureStatuses([signature]);
    return value[0]?.confirmationStatus !== 'processed' && value[0];
  });

async function transferOf(lamports, { blockhash } = {}) {
  const latest = await connection.getLatestBlockhash();
  const transaction = new Transaction({
    feePayer: payer.publicKey,
    blockhash: blockhash ?? latest.blockhash,
    lastValidBlockHeight: latest.lastValidBlockHeight,
  }).add(
    SystemProgram.transfer({
      fromPubkey: payer.publicKey,
      toPubkey: receiver.publicKey,
      lamports,
    }),
  );
  transaction.sign(payer);
  return transaction.serialize();
}

const shown = ({ name: type, message, logs, code, data }) => ({ type, message, logs, code, data });

await step('cluster', async () => ({
  version: await connection.getVersion(),
  genesis: await connection.getGenesisHash(),
  rent: await connection.getMinimumBalanceForRentExemption(165),
}));

await step('airdrop', async () => {
  const signature = await connection.requestAirdrop(payer.publicKey, 2 * LAMPORTS_PER_SOL);
  const status = await confirmed(signature);
  const balance = await connection.getBalance(payer.publicKey);
  strictEqual(balance, 2 * LAMPORTS_PER_SOL);
  return { err: status.err, balance };
});

let signature;
await step('signed transfer', async () => {
  signature = await connection.sendRawTransaction(await transferOf(LAMPORTS_PER_SOL / 2));
  const { err } = await confirmed(signature);
  strictEqual(await connection.getBalance(receiver.publicKey), LAMPORTS_PER_SOL / 2);
  return { err, payer: await connection.getAccountInfo(payer.publicKey) };
});

await step('versioned transfer', async () => {
  const { blockhash } = await connection.getLatestBlockhash();
  const message = new TransactionMessage({
    payerKey: payer.publicKey,
    recentBlockhash: blockhash,
    instructions: [
      SystemProgram.transfer({
        fromPubkey: payer.publicKey,
        toPubkey: receiver.publicKey,
        lamports: 1_000,
      }),
    ],
  }).compileToV0Message();
  const transaction = new VersionedTransaction(message);
  transaction.sign([payer]);
  const sent = await connection.sendTransaction(transaction);
  await confirmed(sent);
  return refused(() => connection.getTransaction(sent), shown);
});

await step('transaction', async () => {
  const transaction = await connection.getTransaction(signature, {
    maxSupportedTransactionVersion: 0,
  });
  strictEqual(transaction.meta.fee, 5_000);
  const parsed = await connection.getParsedTransaction(signature);
  return { transaction, parsed };
});

await step('history', async () => ({
  signatures: await connection.getSignaturesForAddress(receiver.publicKey),
  unknown: await connection.getTransaction('1'.repeat(64)),
}));

await step('insufficient funds', async () => {
  const error = await refused(
    async () => connection.sendRawTransaction(await transferOf(100 * LAMPORTS_PER_SOL)),
    shown,
  );
  ok(error.logs.some((line) => line.includes('insufficient lamports')));
  return error;
});

await step('unknown blockhash', async () => {
  const error = await refused(
    async () => connection.sendRawTransaction(await transferOf(1, { blockhash: '1'.repeat(32) })),
    shown,
  );
  ok(error.message.includes('Blockhash not found'));
  return error;
});

await step('simulation', async () => {
  const transaction = VersionedTransaction.deserialize(await transferOf(5));
  return (await connection.simulateTransaction(transaction)).value;
});

await step('errors', async () => ({
  pubkey: await refused(() => connection._rpcRequest('getBalance', ['no key']).then(thrown), shown),
  method: await refused(() => connection._rpcRequest('getNothing', []).then(thrown), shown),
  behind: await refused(
    () => connection.getSlot({ commitment: 'confirmed', minContextSlot: 10 ** 12 }),
    shown,
  ),
}));

await step('batch', async () => {
  const unknown = '2'.repeat(64);
  const [first, none, second] = await connection.getTransactions([signature, unknown, signature], {
    maxSupportedTransactionVersion: 0,
  });
  strictEqual(none, null);
  deepStrictEqual(first, second);
  return first;
});

await step('numbers beyond 2^53', async () => {
  const account = await connection.getAccountInfo(new PublicKey(WHALE.address));
  ok(account.rentEpoch > Number.MAX_SAFE_INTEGER);
  return account;
});

await step('large answer', async () => {
  const keys = Array.from({ length: 100 }, (_, i) => (i % 2 ? payer : receiver).publicKey);
  const accounts = await connection.getMultipleAccountsInfo(keys);
  strictEqual(accounts.length, 100);
  return accounts.map(({ lamports }) => lamports);
});

await step('rate limited', async () => {
  await control({ limit: { method: 'getEpochInfo', times: 2, retryAfter: 1 } });
  const { slotsInEpoch } = await connection.getEpochInfo();
  return { slotsInEpoch };
});

await step('rate limited batch', async () => {
  // Not asked for before: what is known already would not be limited.
  await control({ limit: { method: 'getTransaction', times: 2, retryAfter: 1 } });
  const unknown = ['2', '3'].map((digit) => digit.repeat(64));
  return connection.getTransactions(unknown, { maxSupportedTransactionVersion: 0 });
});

await step('many at once', async () =>
  Promise.all(Array.from({ length: 50 }, () => connection.getBalance(receiver.publicKey))),
);

await step('slots never go backwards', async () => {
  let last = 0;
  for (let i = 0; i < 30; i += 1) {
    const slot = await connection.getSlot('processed');
    ok(slot >= last, `${slot} after ${last}`);
    last = slot;
  }
});

await step('an endpoint dies', () =>
  whileAnEndpointDies(() => connection.getBalance(payer.publicKey)),
);

/** `_rpcRequest` hands over the error answer instead of throwing it. */
function thrown(answer) {
  if (answer.error === undefined) return answer;
  throw Object.assign(new Error(answer.error.message), answer.error);
}
