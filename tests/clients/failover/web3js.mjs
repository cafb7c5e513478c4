// Follows and confirms with @solana/web3.js 1.x; see lines.mjs.

import { ok, strictEqual } from 'node:assert';

import { getBase58Decoder } from '@solana/kit';
import {
  Connection,
  Keypair,
  PublicKey,
  SystemProgram,
  Transaction,
  sendAndConfirmTransaction,
} from '@solana/web3.js';

import { KEY, LEVELS, RPC_URL, WS_URL, inEveryWay, obey, print, told } from './lines.mjs';

const connection = new Connection(RPC_URL, { commitment: 'confirmed', wsEndpoint: WS_URL });
const payer = Keypair.generate();
const key = new PublicKey(KEY);

const shown = ({ data, executable, lamports, owner }) => ({
  data: [data.toString('base64'), 'base64'],
  executable,
  lamports,
  owner: owner.toBase58(),
});

connection.onSlotChange((info) => told('slot', info));
connection.onRootChange((root) => told('root', root));
for (const commitment of LEVELS) {
  connection.onAccountChange(
    key,
    (account, context) => told(commitment, { context, value: shown(account) }),
    { commitment },
  );
}
connection.onProgramAccountChange(
  key,
  ({ accountId, accountInfo }, context) => {
    const value = { pubkey: accountId.toBase58(), account: shown(accountInfo) };
    told('program', { context, value });
  },
  { commitment: 'confirmed' },
);

let count = 0;

/** A transaction that nobody has sent before, signed. */
async function signed() {
  count += 1;
  const latest = await connection.getLatestBlockhash();
  const transfer = { fromPubkey: payer.publicKey, toPubkey: key, lamports: count };
  const transaction = new Transaction({ feePayer: payer.publicKey, ...latest });
  transaction.add(SystemProgram.transfer(transfer));
  transaction.sign(payer);
  const signature = getBase58Decoder().decode(transaction.signature);
  return { transaction, signature, latest };
}

const ways = {
  async sendAndConfirmTransaction() {
    const { transaction } = await signed();
    await sendAndConfirmTransaction(connection, transaction, [payer]);
  },
  async confirmTransaction() {
    const { transaction, signature, latest } = await signed();
    await connection.sendRawTransaction(transaction.serialize());
    const { value } = await connection.confirmTransaction({ signature, ...latest });
    strictEqual(value.err, null);
  },
  async onSignature() {
    const { transaction, signature } = await signed();
    const notified = new Promise((resolve) => {
      connection.onSignature(signature, resolve, 'confirmed');
    });
    await connection.sendRawTransaction(transaction.serialize());
    strictEqual((await notified).err, null);
  },
  async onLogs() {
    const { transaction, signature } = await signed();
    let id;
    const heard = new Promise((resolve) => {
      const hear = (logs) => logs.signature === signature && resolve();
      id = connection.onLogs(payer.publicKey, hear, 'confirmed');
    });
    // What is missed of logs cannot be recovered: only that the client goes on is of interest here.
    await connection.sendRawTransaction(transaction.serialize());
    await Promise.race([heard, connection.confirmTransaction(signature)]);
    await connection.removeOnLogsListener(id);
  },
};

obey({
  send: () => inEveryWay(ways),
  async follow(other) {
    let id;
    await new Promise((resolve) => {
      const hear = ({ lamports }) => resolve(ok(lamports > 0));
      id = connection.onAccountChange(new PublicKey(other), hear, { commitment: 'processed' });
    });
    await connection.removeAccountChangeListener(id);
  },
});

// Each that was lost is subscribed to again, by itself.
connection._rpcWebSocket.on('open', () => print({ opened: true }));
