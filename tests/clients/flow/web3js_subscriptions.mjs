// Subscriptions with @solana/web3.js 1.x.

import { ok, strictEqual } from 'node:assert';

import { getBase58Decoder } from '@solana/kit';
import {
  Connection,
  Keypair,
  LAMPORTS_PER_SOL,
  SystemProgram,
  Transaction,
  sendAndConfirmTransaction,
} from '@solana/web3.js';

import { RPC_URL, name, step, until } from './steps.mjs';

const wsEndpoint = RPC_URL.replace(/^http/, 'ws');
const connection = new Connection(RPC_URL, { commitment: 'confirmed', wsEndpoint });
const payer = Keypair.generate();
name(payer.publicKey, 'payer');

/** Calls a method of the connection that follows something, and waits until it does. */
async function follow(method, ...args) {
  const seen = [];
  const last = args.pop();
  const id = connection[method](...args, (...event) => seen.push(event), ...[last].flat());
  await until(`${method} to be accepted`, () =>
    Object.values(connection._subscriptionsByHash).every(({ state }) => state === 'subscribed'),
  );
  const next = () => until(`something from ${method}`, () => seen.length > 0 && seen.shift());
  return { next, id };
}

async function receiverOf(label) {
  const receiver = Keypair.generate().publicKey;
  name(receiver, label);
  return receiver;
}

async function transferTo(toPubkey, lamports) {
  const latest = await connection.getLatestBlockhash();
  const transaction = new Transaction({ feePayer: payer.publicKey, ...latest }).add(
    SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey, lamports }),
  );
  return { transaction, latest };
}

async function send(toPubkey, lamports) {
  const { transaction, latest } = await transferTo(toPubkey, lamports);
  transaction.sign(payer);
  const signature = await connection.sendRawTransaction(transaction.serialize());
  return { signature, ...latest };
}

await step('an airdrop is confirmed', async () => {
  const signature = await connection.requestAirdrop(payer.publicKey, 10 * LAMPORTS_PER_SOL);
  const latest = await connection.getLatestBlockhash();
  const { value } = await connection.confirmTransaction({ signature, ...latest }, 'confirmed');
  return value.err;
});

await step('a transfer is confirmed', async () => {
  const receiver = await receiverOf('confirmed');
  const { value } = await connection.confirmTransaction(await send(receiver, LAMPORTS_PER_SOL));
  strictEqual(await connection.getBalance(receiver), LAMPORTS_PER_SOL);
  return value.err;
});

await step('sendAndConfirmTransaction', async () => {
  const receiver = await receiverOf('sent and confirmed');
  const { transaction } = await transferTo(receiver, LAMPORTS_PER_SOL);
  await sendAndConfirmTransaction(connection, transaction, [payer]);
  return connection.getBalance(receiver);
});

await step('a transaction that failed is told as such', async () => {
  const receiver = await receiverOf('poor');
  const { transaction, latest } = await transferTo(receiver, 1_000 * LAMPORTS_PER_SOL);
  transaction.sign(payer);
  const signature = await connection.sendRawTransaction(transaction.serialize(), {
    skipPreflight: true,
  });
  // It is thrown or returned: by which of the two ways web3.js hears of it first decides.
  const confirmed = connection.confirmTransaction({ signature, ...latest }, 'confirmed');
  const err = await confirmed.then(({ value }) => value.err).catch((thrown) => thrown);
  ok(err.InstructionError);
  return err;
});

await step('onAccountChange', async () => {
  const receiver = await receiverOf('watched');
  const { next, id } = await follow('onAccountChange', receiver, { commitment: 'confirmed' });
  const changes = [];
  for (const lamports of [LAMPORTS_PER_SOL, 2 * LAMPORTS_PER_SOL]) {
    await connection.confirmTransaction(await send(receiver, lamports));
    const [account, context] = await next();
    ok(context.slot > 0);
    changes.push(account);
  }
  await connection.removeAccountChangeListener(id);
  return changes;
});

await step('onProgramAccountChange', async () => {
  const receiver = await receiverOf('owned');
  const followed = [SystemProgram.programId, { commitment: 'confirmed' }];
  const { next, id } = await follow('onProgramAccountChange', ...followed);
  await send(receiver, LAMPORTS_PER_SOL);
  let found;
  do [found] = await next();
  while (!found.accountId.equals(receiver));
  await connection.removeProgramAccountChangeListener(id);
  return found;
});

await step('onLogs', async () => {
  const receiver = await receiverOf('mentioned');
  const { next, id } = await follow('onLogs', receiver, 'confirmed');
  const { signature } = await send(receiver, LAMPORTS_PER_SOL);
  const [logs] = await next();
  strictEqual(logs.signature, signature);
  await connection.removeOnLogsListener(id);
  return logs;
});

await step('onSignature', async () => {
  const { transaction } = await transferTo(await receiverOf('signed for'), LAMPORTS_PER_SOL);
  transaction.sign(payer);
  const [{ signature }] = transaction.signatures;
  const encoded = getBase58Decoder().decode(signature);
  const { next } = await follow('onSignature', encoded, 'confirmed');
  await connection.sendRawTransaction(transaction.serialize());
  const [result] = await next();
  return result;
});

await step('onSlotChange', async () => {
  const { next, id } = await follow('onSlotChange', []);
  const slots = [];
  while (slots.length < 5) slots.push((await next())[0]);
  await connection.removeSlotChangeListener(id);
  return slots.map(({ slot, parent, root }, i) => ({
    after: slot - parent,
    behind: slot - root,
    next: i === 0 ? 1 : slot - slots[i - 1].slot,
  }));
});

await step('onRootChange', async () => {
  const { next, id } = await follow('onRootChange', []);
  const roots = [(await next())[0], (await next())[0]];
  await connection.removeRootChangeListener(id);
  return roots[1] - roots[0];
});

// The socket stays open for whoever comes next.
process.exit(0);
