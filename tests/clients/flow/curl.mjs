// The flow with curl: what goes over the wire, byte for byte. Node only signs, starts curl and
// keeps the record.

import { ok, strictEqual } from 'node:assert';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { Keypair, SystemProgram, Transaction } from '@solana/web3.js';

import { WHALE } from '../upstream/known.mjs';
import { RPC_URL, name, step, until, whileAnEndpointDies } from './steps.mjs';

const JSON_TYPE = 'content-type: application/json';
const THROUGH_GATEWAY = process.env.THROUGH_GATEWAY === '1';

const run = promisify(execFile);
const payer = Keypair.generate();
const receiver = Keypair.generate();
name(payer.publicKey, 'payer');
name(receiver.publicKey, 'receiver');

/** Runs curl; the body, and of the transfer what the arguments ask for. */
async function curl(args, path = '/') {
  const format = '\n%{http_code} %{content_type} %{num_connects} %{http_version}';
  const { stdout } = await run('curl', ['-sS', '-m', '20', '-w', format, ...args, RPC_URL + path]);
  const at = stdout.lastIndexOf('\n');
  const [status, ...rest] = stdout.slice(at + 1).split(' ');
  const [version, connects] = [rest.pop(), rest.pop()];
  return { status, type: rest.join(' '), version, connects, body: stdout.slice(0, at) };
}

async function post(body, args = [], path = '/') {
  const { status, type, body: answer } = await curl(
    ['-H', JSON_TYPE, '--data-binary', body, ...args],
    path,
  );
  return { status, type, body: answer };
}

const call = (method, params, id = 1) => JSON.stringify({ jsonrpc: '2.0', id, method, params });
const resultOf = async (method, params) => {
  const { body } = await post(call(method, params));
  return JSON.parse(body).result;
};
const balanceOf = async ({ publicKey }) =>
  (await resultOf('getBalance', [publicKey, { commitment: 'confirmed' }])).value;
const settled = (signature) =>
  until(`the confirmation of ${signature}`, async () => {
    const { value } = await resultOf('getSignatureStatuses', [[signature]]);
    return value[0] !== null && value[0].confirmationStatus !== 'processed';
  });

await step('health', async () => {
  const { status, body } = await curl([], '/health');
  return { status, body };
});

await step('airdrop and transfer', async () => {
  await settled(await resultOf('requestAirdrop', [payer.publicKey, 2_000_000_000]));
  const { value } = await resultOf('getLatestBlockhash', [{ commitment: 'confirmed' }]);
  const transaction = new Transaction({ feePayer: payer.publicKey, ...value }).add(
    SystemProgram.transfer({
      fromPubkey: payer.publicKey,
      toPubkey: receiver.publicKey,
      lamports: 500_000_000,
    }),
  );
  transaction.sign(payer);
  const wire = transaction.serialize().toString('base64');
  const signature = await resultOf('sendTransaction', [wire, { encoding: 'base64' }]);
  await settled(signature);
  strictEqual(await balanceOf(receiver), 500_000_000);
  const again = await post(call('sendTransaction', [wire, { encoding: 'base64' }]));
  // Through the gateway it is as good as sent, wherever it was processed before.
  const known = process.env.THROUGH_GATEWAY ? signature : 'AlreadyProcessed';
  return {
    again: again.body.includes(known),
    transaction: await post(call('getTransaction', [signature, { commitment: 'confirmed' }])),
  };
});

await step('numbers beyond 2^53', async () => {
  const answer = await post(call('getAccountInfo', [WHALE.address, { encoding: 'base64' }]));
  ok(answer.body.includes(`"lamports":${WHALE.lamports},`));
  ok(answer.body.includes('"rentEpoch":18446744073709551615'));
  return answer;
});

await step('ids of every kind', async () => {
  const answers = [];
  for (const id of [0, 7, 9_007_199_254_740_991, '7', 'a "quoted" id', 'é', '', null]) {
    answers.push(await post(call('getGenesisHash', [], id)));
  }
  return answers;
});

await step('any order of members', () =>
  post('{"params":[],"method":"getGenesisHash","id":3,"jsonrpc":"2.0"}'),
);

await step('any path', () => post(call('getGenesisHash', []), [], '/some/path?with=query'));

await step('a batch of every outcome', () =>
  post(
    JSON.stringify([
      { jsonrpc: '2.0', id: 'first', method: 'getGenesisHash' },
      { jsonrpc: '2.0', method: 'getHealth' },
      { jsonrpc: '2.0', id: 2, method: 'getNothing' },
      { jsonrpc: '2.0', id: 2, method: 'getBalance', params: ['no key'] },
      { jsonrpc: '2.0', id: null, method: 'getHealth', params: null },
      { jsonrpc: '2.0', id: 9 },
    ]),
  ),
);

await step('nothing to answer', async () => [
  await post('[]'),
  await post('{"jsonrpc":"2.0","method":"getHealth"}'),
]);

await step('what is no call', async () => [
  await post('{"jsonrpc":"2.0",'),
  await post('[7]'),
  await post('{"jsonrpc":"2.0","id":1,"method":"getHealth","params":{"a":1}}'),
  await post('{"jsonrpc":"2.0","id":1}'),
]);

await step('other methods and types', async () => {
  const get = await curl([]);
  const text = await curl(['-H', 'content-type: text/plain', '--data', '{}']);
  return [get, text].map(({ status, body }) => ({ status, body }));
});

await step('a large answer, compressed for who asks', async () => {
  const keys = Array.from({ length: 100 }, (_, i) => (i % 2 ? payer : receiver).publicKey);
  const body = call('getMultipleAccounts', [keys, { encoding: 'base64', commitment: 'confirmed' }]);
  const plain = await post(body);
  const decoded = await post(body, ['--compressed']);
  if (THROUGH_GATEWAY) {
    const head = ['-D', '-', '-o', '/dev/null', '-H', 'accept-encoding: gzip'];
    const { body: header } = await curl(['-H', JSON_TYPE, '--data-binary', body, ...head]);
    ok(/^content-encoding: gzip/im.test(header), header);
  }
  return { plain, decoded };
});

await step('ways to send a body', async () => [
  await post(call('getGenesisHash', []), ['-H', 'Expect: 100-continue']),
  await post(call('getGenesisHash', []), ['-H', 'Transfer-Encoding: chunked']),
  await post(call('getGenesisHash', []), ['--http1.0']),
  await post(call('getGenesisHash', []), ['-H', 'content-type: application/json; charset=utf-8']),
]);

await step('one connection for two calls', async () => {
  const body = call('getGenesisHash', []);
  const args = ['-H', JSON_TYPE, '--data-binary', body, RPC_URL];
  const { connects } = await curl(args);
  return { newConnectionsOfTheSecond: connects };
});

if (THROUGH_GATEWAY) {
  await step('HTTP/2 without TLS', async () => {
    const args = ['-H', JSON_TYPE, '--data-binary', call('getGenesisHash', [])];
    const { version, status, body } = await curl(['--http2-prior-knowledge', ...args]);
    strictEqual(version, '2');
    return { status, body };
  });
}

await step('an endpoint dies', () => whileAnEndpointDies(() => balanceOf(payer)));
