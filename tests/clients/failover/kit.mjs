// Follows and confirms with @solana/kit; see lines.mjs.

import { strictEqual } from 'node:assert';

import { getTransferSolInstruction } from '@solana-program/system';
import {
  address,
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

import { KEY, LEVELS, RPC_URL, WS_URL, inEveryWay, obey, print, told } from './lines.mjs';

const AGAIN_MS = 50;
const CONFIRMED = { commitment: 'confirmed' };

const rpc = createSolanaRpc(RPC_URL);
const rpcSubscriptions = createSolanaRpcSubscriptions(WS_URL);
const sendAndConfirm = sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions });
const payer = await generateKeyPairSigner();
const key = address(KEY);

const shown = ({ data, executable, lamports: held, owner }) => ({
  data,
  executable,
  lamports: Number(held),
  owner,
});

const context = ({ slot }) => ({ slot: Number(slot) });

/** Prints what is notified; where the socket ends, it is for the program to subscribe again. */
async function follow(what, pending, show) {
  for (;;) {
    const abort = new AbortController();
    try {
      const notifications = await pending.subscribe({ abortSignal: abort.signal });
      for await (const one of notifications) told(what, show(one));
    } catch (error) {
      print({ lost: what, error: String(error) });
    }
    abort.abort();
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

follow('slot', rpcSubscriptions.slotNotifications(), ({ slot, parent, root }) => ({
  slot: Number(slot),
  parent: Number(parent),
  root: Number(root),
}));
follow('root', rpcSubscriptions.rootNotifications(), Number);
for (const commitment of LEVELS) {
  const options = { commitment, encoding: 'base64' };
  follow(commitment, rpcSubscriptions.accountNotifications(key, options), (one) => ({
    context: context(one.context),
    value: shown(one.value),
  }));
}
const options = { ...CONFIRMED, encoding: 'base64' };
follow('program', rpcSubscriptions.programNotifications(key, options), (one) => ({
  context: context(one.context),
  value: { pubkey: one.value.pubkey, account: shown(one.value.account) },
}));

let count = 0n;

/** A transaction that nobody has sent before, signed. */
async function signed() {
  count += 1n;
  const amount = lamports(count);
  const { value: latest } = await rpc.getLatestBlockhash(CONFIRMED).send();
  const transfer = getTransferSolInstruction({ source: payer, destination: key, amount });
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

const ways = {
  async sendAndConfirm() {
    await sendAndConfirm(await signed(), CONFIRMED);
  },
  async signatureNotifications() {
    const transaction = await signed();
    const signature = getSignatureFromTransaction(transaction);
    const abort = new AbortController();
    const pending = rpcSubscriptions.signatureNotifications(signature, CONFIRMED);
    const notifications = await pending.subscribe({ abortSignal: abort.signal });
    const wire = getBase64EncodedWireTransaction(transaction);
    const settings = { encoding: 'base64', preflightCommitment: 'confirmed' };
    await rpc.sendTransaction(wire, settings).send();
    for await (const { value } of notifications) {
      strictEqual(value.err, null);
      break;
    }
    abort.abort();
  },
};

obey({
  send: () => inEveryWay(ways),
  async follow(other) {
    const abort = new AbortController();
    const settings = { commitment: 'processed', encoding: 'base64' };
    const pending = rpcSubscriptions.accountNotifications(address(other), settings);
    for await (const _ of await pending.subscribe({ abortSignal: abort.signal })) break;
    abort.abort();
  },
});
