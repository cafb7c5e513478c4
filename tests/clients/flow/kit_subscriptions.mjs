// Subscriptions with @solana/kit.

import { ok, strictEqual } from 'node:assert';

import { getTransferSolInstruction } from '@solana-program/system';
import {
  airdropFactory,
  appendTransactionMessageInstruction,
  assertIsTransactionWithBlockhashLifetime,
  createSolanaRpc,
  createSolanaRpcSubscriptions,
  createTransactionMessage,
  generateKeyPairSigner,
  getBase64EncodedWireTransaction,
  getSignatureFromTransaction,
  lamports,
  pipe,
  sendAndConfirmTransactionFactory,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from '@solana/kit';

import { RPC_URL, name, step } from './steps.mjs';

const SOL = 1_000_000_000n;
const CONFIRMED = { commitment: 'confirmed' };

const rpc = createSolanaRpc(RPC_URL);
const rpcSubscriptions = createSolanaRpcSubscriptions(RPC_URL.replace(/^http/, 'ws'));
const sendAndConfirm = sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions });
const payer = await generateKeyPairSigner();
name(payer.address, 'payer');

async function receiverOf(label) {
  const { address } = await generateKeyPairSigner();
  name(address, label);
  return address;
}

async function transferTo(destination, amount) {
  const { value: latest } = await rpc.getLatestBlockhash(CONFIRMED).send();
  const transfer = getTransferSolInstruction({ source: payer, destination, amount });
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (m) => setTransactionMessageFeePayerSigner(payer, m),
    (m) => setTransactionMessageLifetimeUsingBlockhash(latest, m),
    (m) => appendTransactionMessageInstruction(transfer, m),
  );
  const transaction = await signTransactionMessageWithSigners(message);
  assertIsTransactionWithBlockhashLifetime(transaction);
  return transaction;
}

async function send(transaction) {
  const wire = getBase64EncodedWireTransaction(transaction);
  await rpc.sendTransaction(wire, { encoding: 'base64', preflightCommitment: 'confirmed' }).send();
}

/** Follows something, and takes so many of its notifications after `cause` has run. */
async function told(pending, count, cause = async () => {}) {
  const abort = new AbortController();
  const notifications = await pending.subscribe({ abortSignal: abort.signal });
  await cause();
  const seen = [];
  for await (const one of notifications) if (seen.push(one) === count) break;
  abort.abort();
  return seen;
}

await step('an airdrop is confirmed', async () => {
  const airdrop = airdropFactory({ rpc, rpcSubscriptions });
  const amount = lamports(10n * SOL);
  await airdrop({ ...CONFIRMED, lamports: amount, recipientAddress: payer.address });
  return (await rpc.getBalance(payer.address, CONFIRMED).send()).value;
});

await step('a transfer is sent and confirmed', async () => {
  const receiver = await receiverOf('confirmed');
  await sendAndConfirm(await transferTo(receiver, SOL), CONFIRMED);
  const { value } = await rpc.getBalance(receiver, CONFIRMED).send();
  strictEqual(value, SOL);
  return value;
});

await step('accountNotifications', async () => {
  const receiver = await receiverOf('watched');
  const options = { ...CONFIRMED, encoding: 'base64' };
  const pending = rpcSubscriptions.accountNotifications(receiver, options);
  const [{ value }] = await told(pending, 1, async () => send(await transferTo(receiver, SOL)));
  return value;
});

await step('logsNotifications', async () => {
  const receiver = await receiverOf('mentioned');
  const transaction = await transferTo(receiver, SOL);
  const pending = rpcSubscriptions.logsNotifications({ mentions: [receiver] }, CONFIRMED);
  const [{ value }] = await told(pending, 1, () => send(transaction));
  strictEqual(value.signature, getSignatureFromTransaction(transaction));
  return value;
});

await step('signatureNotifications', async () => {
  const transaction = await transferTo(await receiverOf('signed for'), SOL);
  const signature = getSignatureFromTransaction(transaction);
  const pending = rpcSubscriptions.signatureNotifications(signature, CONFIRMED);
  const [{ value }] = await told(pending, 1, () => send(transaction));
  return value;
});

await step('slotNotifications', async () => {
  const slots = await told(rpcSubscriptions.slotNotifications(), 5);
  slots.forEach(({ slot, parent }) => ok(slot > parent));
  return slots.slice(1).map(({ slot, root }, i) => ({
    next: slot - slots[i].slot,
    behind: slot - root,
  }));
});

await step('rootNotifications', async () => {
  const [first, second] = await told(rpcSubscriptions.rootNotifications(), 2);
  return second - first;
});

process.exit(0);
