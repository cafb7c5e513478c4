// Tokens with @solana/spl-token, whose calls send a transaction and wait for its subscription.

import { strictEqual } from 'node:assert';

import {
  createMint,
  getAccount,
  getMint,
  getOrCreateAssociatedTokenAccount,
  mintTo,
  transfer,
} from '@solana/spl-token';
import { Connection, Keypair, LAMPORTS_PER_SOL } from '@solana/web3.js';

import { RPC_URL, name, step } from './steps.mjs';

const DECIMALS = 6;

const wsEndpoint = RPC_URL.replace(/^http/, 'ws');
const connection = new Connection(RPC_URL, { commitment: 'confirmed', wsEndpoint });
const payer = Keypair.generate();
const owner = Keypair.generate();
name(payer.publicKey, 'payer');
name(owner.publicKey, 'owner');
let mint;
let own;
let other;

async function accountOf(who, label) {
  const account = await getOrCreateAssociatedTokenAccount(connection, payer, mint, who.publicKey);
  name(account.address, label);
  return account.address;
}

await step('an airdrop is confirmed', async () => {
  const signature = await connection.requestAirdrop(payer.publicKey, 10 * LAMPORTS_PER_SOL);
  const latest = await connection.getLatestBlockhash();
  const { value } = await connection.confirmTransaction({ signature, ...latest }, 'confirmed');
  return value.err;
});

await step('createMint', async () => {
  mint = await createMint(connection, payer, payer.publicKey, null, DECIMALS);
  name(mint, 'mint');
  const { decimals, supply, isInitialized } = await getMint(connection, mint);
  strictEqual(decimals, DECIMALS);
  return { decimals, supply, isInitialized };
});

await step('getOrCreateAssociatedTokenAccount', async () => {
  own = await accountOf(payer, 'own');
  other = await accountOf(owner, 'other');
  return [own, other];
});

await step('mintTo', async () => {
  await mintTo(connection, payer, mint, own, payer, 1_000_000_007n);
  const { amount } = await getAccount(connection, own);
  strictEqual(amount, 1_000_000_007n);
  return (await getMint(connection, mint)).supply;
});

await step('transfer', async () => {
  await transfer(connection, payer, own, other, payer, 7n);
  const { amount } = await getAccount(connection, other);
  strictEqual(amount, 7n);
  return (await getAccount(connection, own)).amount;
});

// The socket stays open for whoever comes next.
process.exit(0);
