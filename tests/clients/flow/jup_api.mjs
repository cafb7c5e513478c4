// The flow with @jup-ag/api: quotes and transactions of Jupiter's swap API, signed here and sent to the RPC
// beside it. Amounts move with the market, so of them only what must be true is compared.

import { deepStrictEqual, ok, strictEqual } from 'node:assert';

import { Configuration, SwapApi } from '@jup-ag/api';
import { Connection, Keypair, LAMPORTS_PER_SOL, VersionedTransaction } from '@solana/web3.js';

import { RPC_URL, name, refused, step, until } from './steps.mjs';

const SOL = 'So11111111111111111111111111111111111111112';
const USDC = 'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v';
const BONK = 'DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263';
const { JUPITER_URL, JUPITER_CONTROL } = process.env;
/** The stand-in that the gateway asks first. */
const FIRST = 0;

const connection = new Connection(RPC_URL, 'confirmed');
// `createJupiterApiClient` would overwrite the URL.
const jupiter = new SwapApi(new Configuration({ basePath: `${JUPITER_URL}/swap/v1` }));

const sold = { inputMint: SOL, outputMint: USDC, amount: LAMPORTS_PER_SOL / 10 };

const confirmed = (signature) =>
  until(`the confirmation of ${signature}`, async () => {
    const { value } = await connection.getSignatureStatuses([signature]);
    return value[0]?.confirmationStatus !== 'processed' && value[0];
  });

/** What two quotes for the same have in common. */
const shape = ({ routePlan, ...quote }) => {
  const { inputMint, outputMint, swapMode, slippageBps, platformFee } = quote;
  const [leg] = routePlan;
  const members = Object.keys(quote).sort();
  const leads = Object.keys(leg.swapInfo).sort();
  return { inputMint, outputMint, swapMode, slippageBps, platformFee, members, leads };
};

/** What the client makes of a refusal. */
const refusal = async ({ name: type, response }) => ({
  type,
  status: response.status,
  contentType: response.headers.get('content-type'),
  body: await response.json(),
});

/** Quote, transaction, signature, sent and confirmed. A payer of its own makes each one new. */
async function trade(request) {
  const payer = Keypair.generate();
  name(payer.publicKey, 'payer');
  await confirmed(await connection.requestAirdrop(payer.publicKey, LAMPORTS_PER_SOL));
  const quoteResponse = await jupiter.quoteGet(request);
  const swap = await jupiter.swapPost({
    swapRequest: { quoteResponse, userPublicKey: payer.publicKey.toBase58() },
  });
  const transaction = VersionedTransaction.deserialize(Buffer.from(swap.swapTransaction, 'base64'));
  const keys = transaction.message.staticAccountKeys.map(String);
  ok(quoteResponse.routePlan.every(({ swapInfo }) => keys.includes(swapInfo.ammKey)));
  transaction.sign([payer]);
  const signature = await connection.sendRawTransaction(transaction.serialize());
  const { err } = await confirmed(signature);
  strictEqual(err, null);
  const { meta } = await connection.getTransaction(signature, {
    maxSupportedTransactionVersion: 0,
  });
  return { err, fee: meta.fee, members: Object.keys(swap).sort() };
}

async function order(fault) {
  const answer = await fetch(`${JUPITER_CONTROL}/jupiters/${FIRST}/fault`, {
    method: 'POST',
    body: JSON.stringify(fault),
  });
  strictEqual(answer.status, 200);
}

await step('quote', async () => {
  const quote = await jupiter.quoteGet(sold);
  const dollars = Number(quote.outAmount) / 1e6;
  ok(dollars > 12 && dollars < 18, `${dollars} dollars for a tenth of SOL`);
  strictEqual(quote.inAmount, String(sold.amount));
  return shape(quote);
});

await step('quote for an exact output', async () => {
  const quote = await jupiter.quoteGet({ ...sold, amount: 15_000_000, swapMode: 'ExactOut' });
  strictEqual(quote.outAmount, '15000000');
  ok(BigInt(quote.otherAmountThreshold) > BigInt(quote.inAmount));
  return shape(quote);
});

await step('quote over some exchanges', async () => {
  // Sent as a parameter that is repeated, with a space in one.
  const dexes = ['Meteora DLMM', 'Orca V2'];
  const quote = await jupiter.quoteGet({ ...sold, dexes, onlyDirectRoutes: true });
  ok(quote.routePlan.every(({ swapInfo }) => dexes.includes(swapInfo.label)));
  return shape(quote);
});

await step('quote with all options', async () => {
  const quote = await jupiter.quoteGet({
    ...sold,
    outputMint: BONK,
    slippageBps: 30,
    restrictIntermediateTokens: true,
    asLegacyTransaction: false,
    maxAccounts: 40,
    platformFeeBps: 20,
    instructionVersion: 'V1',
    excludeDexes: ['Raydium'],
  });
  strictEqual(quote.platformFee.feeBps, 20);
  const { platformFee, ...rest } = quote;
  return shape(rest);
});

await step('the same quote again', async () => {
  const quotes = await Promise.all(Array.from({ length: 20 }, () => jupiter.quoteGet(sold)));
  const slots = quotes.map(({ contextSlot }) => contextSlot);
  ok(Math.max(...slots) - Math.min(...slots) <= 4, `slots ${slots}`);
  return quotes.map(shape);
});

await step('swap', () => trade(sold));

await step('swap for an exact output', () =>
  trade({ ...sold, amount: 1_000_000, swapMode: 'ExactOut' }),
);

await step('swap instructions', async () => {
  const payer = Keypair.generate();
  name(payer.publicKey, 'payer');
  return jupiter.swapInstructionsPost({
    swapRequest: {
      quoteResponse: await jupiter.quoteGet(sold),
      userPublicKey: payer.publicKey.toBase58(),
    },
  });
});

await step('program labels', () => jupiter.programIdToLabelGet());

await step('no route', () =>
  refused(() => jupiter.quoteGet({ ...sold, dexes: ['Nobody'] }), refusal),
);

await step('no such token', () =>
  refused(() => jupiter.quoteGet({ ...sold, outputMint: Keypair.generate().publicKey.toBase58() }), async (error) => {
    const { status, body } = await refusal(error);
    return { status, code: body.errorCode };
  }),
);

await step('what cannot be right', async () => {
  const wrong = [
    { ...sold, outputMint: 'dollars' },
    { ...sold, amount: 1.5 },
    { ...sold, swapMode: 'Exact' },
  ];
  const status = async (request) =>
    refused(() => jupiter.quoteGet(request), async (error) => {
      const { status, contentType, body } = await refusal(error);
      strictEqual(typeof body.error, 'string');
      return { status, contentType };
    });
  const seen = await Promise.all(wrong.map(status));
  deepStrictEqual(new Set(seen.map((one) => one.status)), new Set([400]));
  return seen;
});

await step('the first swap API dies between two trades', async () => {
  const trades = [];
  for (let i = 0; i < 6; i += 1) {
    if (i === 2) await order({ kind: 'down' });
    if (i === 4) await order({ kind: 'up' });
    trades.push(await trade({ ...sold, amount: sold.amount + i }));
  }
  return trades;
});

await step('the first swap API dies between quote and swap', async () => {
  const payer = Keypair.generate();
  name(payer.publicKey, 'payer');
  const quoteResponse = await jupiter.quoteGet(sold);
  await order({ kind: 'down' });
  const swapRequest = { quoteResponse, userPublicKey: payer.publicKey.toBase58() };
  const swap = await jupiter.swapPost({ swapRequest });
  await order({ kind: 'up' });
  return Object.keys(swap).sort();
});

await step('the first swap API freezes, and trails', async () => {
  const quotes = [];
  for (const fault of [{ kind: 'hang' }, { kind: 'lag', slots: 60 }]) {
    await order(fault);
    const quote = await jupiter.quoteGet({ ...sold, amount: sold.amount + 10 + quotes.length });
    const slot = await connection.getSlot('processed');
    ok(slot - quote.contextSlot < 30, `a quote of ${quote.contextSlot} at ${slot}`);
    quotes.push(shape(quote));
    await order({ kind: 'up' });
  }
  return quotes;
});
