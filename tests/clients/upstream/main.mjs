// An upstream for real clients: JSON-RPC over HTTP, and subscriptions over WebSocket on the same port,
// in front of a ledger that executes transactions.
// One ledger has several endpoints, so that one of them can die while the others serve on; a
// control port switches that and rate limiting. Prints one JSON line with its addresses when it
// listens.
//
//   node upstream/main.mjs [--endpoints 2] [--slot-ms 200]
//
// Control (POST, JSON):
//   {"down": INDEX}  closes an endpoint and its connections
//   {"up": INDEX}    opens it again on the same port
//   {"limit": {"method": NAME, "times": N, "retryAfter": SECONDS}}
//                    answers the next N calls of a method with 429

import http from 'node:http';
import { parseArgs } from 'node:util';

import { Ledger } from './ledger.mjs';
import { methods } from './methods.mjs';
import { PubSub } from './pubsub.mjs';
import {
  RpcError,
  encode,
  invalidParams,
  invalidRequest,
  methodNotFound,
  parseError,
} from './wire.mjs';

const MAX_BODY = 50 * 1024;
const JSON_TYPES = ['application/json', 'application/json; charset=utf-8'];
const HOST = '127.0.0.1';

const { values: options } = parseArgs({
  options: {
    endpoints: { type: 'string', default: '2' },
    'slot-ms': { type: 'string', default: '200' },
  },
});

const ledger = new Ledger();
const table = methods(ledger);
const pubsub = new PubSub(ledger);
/** Method → { times, retryAfter } still to be answered with 429. */
const limits = new Map();

const endpoints = await Promise.all(
  Array.from({ length: Number(options.endpoints) }, () => listen(serveRpc)),
);
const control = await listen(serveControl);
setInterval(() => ledger.advance(), Number(options['slot-ms']));

const url = ({ port }) => `http://${HOST}:${port}`;
console.log(JSON.stringify({ event: 'listening', rpc: endpoints.map(url), control: url(control) }));

async function listen(handler, port = 0) {
  const server = http.createServer((request, response) => {
    handler(request, response).catch((error) => {
      console.error(error);
      response.destroy();
    });
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HOST, resolve);
  });
  if (handler === serveRpc) pubsub.attach(server);
  return { server, port: server.address().port };
}

async function serveControl(request, response) {
  const order = JSON.parse(await body(request));
  if (order.down !== undefined) {
    endpoints[order.down].server.close();
    endpoints[order.down].server.closeAllConnections();
    pubsub.cut(endpoints[order.down].server);
  }
  if (order.up !== undefined && !endpoints[order.up].server.listening) {
    endpoints[order.up] = await listen(serveRpc, endpoints[order.up].port);
  }
  if (order.limit !== undefined) limits.set(order.limit.method, { ...order.limit });
  response.end('ok\n');
}

async function serveRpc(request, response) {
  if (request.method === 'GET' && request.url === '/health') return void response.end('ok');
  if (request.method !== 'POST') {
    response.writeHead(405, { 'content-type': 'text/plain' });
    return void response.end('Used HTTP Method is not allowed. POST or OPTIONS is required\n');
  }
  if (!JSON_TYPES.includes(request.headers['content-type'])) {
    response.writeHead(415, { 'content-type': 'text/plain' });
    return void response.end(
      'Supplied content type is not allowed. Content-Type: application/json is required\n',
    );
  }
  const text = await body(request);
  if (text.length > MAX_BODY) {
    response.writeHead(413, { 'content-type': 'text/plain' });
    return void response.end('request body size exceeds allowed maximum');
  }
  const calls = read(text);
  const limited = limit([calls].flat());
  if (limited !== null) {
    response.writeHead(429, {
      'content-type': 'application/json',
      'retry-after': limited.retryAfter,
    });
    const error = new RpcError(429, 'Too many requests for a specific RPC call');
    return void response.end(encode({ jsonrpc: '2.0', error, id: calls?.id ?? null }));
  }
  const answers = Array.isArray(calls) ? await Promise.all(calls.map(answer)) : await answer(calls);
  response.setHeader('content-type', 'application/json; charset=utf-8');
  response.end(written(answers));
}

function limit(calls) {
  for (const call of calls) {
    const found = limits.get(call?.method);
    if (found?.times > 0) {
      found.times -= 1;
      return found;
    }
  }
  return null;
}

function read(text) {
  try {
    const calls = JSON.parse(text);
    // To Agave a batch with anything but objects is no JSON-RPC at all.
    return [calls].flat().every(isObject) ? calls : undefined;
  } catch {
    return undefined;
  }
}

/** The answer to one call, or undefined to a notification. */
async function answer(call) {
  if (call === undefined) return { jsonrpc: '2.0', error: parseError(), id: null };
  const id = call?.id ?? null;
  try {
    const result = await invoke(call);
    return isNotification(call) ? undefined : { jsonrpc: '2.0', result, id };
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    if (isNotification(call)) return undefined;
    return { jsonrpc: '2.0', error, id };
  }
}

function isObject(value) {
  return value !== null && typeof value === 'object';
}

function isNotification(call) {
  return typeof call?.method === 'string' && call.id === undefined;
}

async function invoke(call) {
  if (call?.jsonrpc !== '2.0' || typeof call.method !== 'string') throw invalidRequest();
  const params = call.params ?? [];
  if (!Array.isArray(params)) throw invalidParams('`params` should be an array');
  const method = Object.hasOwn(table, call.method) ? table[call.method] : undefined;
  if (method === undefined) throw methodNotFound();
  return method(params);
}

function written(answers) {
  if (!Array.isArray(answers)) return answers === undefined ? '' : `${encode(answers)}\n`;
  const kept = answers.filter((each) => each !== undefined);
  return kept.length === 0 ? '' : `${encode(kept)}\n`;
}

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
