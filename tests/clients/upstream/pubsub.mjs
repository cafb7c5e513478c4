// Subscriptions over WebSocket, in front of the ledger: who follows what, and what each is told when
// a slot begins or a transaction was executed. Ids, errors and shapes are Agave's.

import { WebSocketServer } from 'ws';

import { commitment, pubkey, shownAccount } from './methods.mjs';
import { RpcError, encode, invalidParams, methodNotFound, parseError } from './wire.mjs';

const LONGEST_MESSAGE = 4_096;
const LEVELS = ['processed', 'confirmed', 'finalized'];
const STEMS = ['account', 'program', 'logs', 'signature', 'slot', 'root'];

export class PubSub {
  #ledger;
  #server = new WebSocketServer({ noServer: true, maxPayload: LONGEST_MESSAGE });
  #lastId = 0;
  /** Id → { socket, stem, level, ...what is followed }. */
  #subscriptions = new Map();

  constructor(ledger) {
    this.#ledger = ledger;
    ledger.onSlot = () => this.#slot();
    ledger.onExecuted = (entry) => this.#reached('processed', [entry]);
  }

  /** Takes over the handshakes of an HTTP server. */
  attach(server) {
    server.on('upgrade', (request, socket, head) =>
      this.#server.handleUpgrade(request, socket, head, (opened) => this.#open(opened, server)),
    );
  }

  /** Cuts the sockets that came through a server. */
  cut(server) {
    for (const socket of this.#server.clients) if (socket.via === server) socket.terminate();
  }

  #open(socket, server) {
    socket.via = server;
    // A peer that breaks the protocol is closed by the library.
    socket.on('error', () => {});
    socket.on('message', (data) => this.#hear(socket, data.toString()));
    socket.on('close', () => {
      for (const [id, one] of this.#subscriptions) {
        if (one.socket === socket) this.#subscriptions.delete(id);
      }
    });
  }

  #hear(socket, text) {
    let calls;
    try {
      calls = JSON.parse(text);
    } catch {
      return void socket.send(encode({ jsonrpc: '2.0', error: parseError(), id: null }));
    }
    const answers = [calls].flat().map((call) => this.#answer(socket, call));
    const kept = answers.filter((answer) => answer !== undefined);
    if (kept.length > 0) socket.send(encode(Array.isArray(calls) ? kept : kept[0]));
  }

  /** The answer to one call, or undefined to a notification such as `ping`. */
  #answer(socket, { id, method, params }) {
    if (id === undefined) return undefined;
    try {
      return { jsonrpc: '2.0', result: this.#call(socket, method, params ?? []), id };
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      return { jsonrpc: '2.0', error, id };
    }
  }

  #call(socket, method, params) {
    const [, stem, verb] = /^(\w+?)(Subscribe|Unsubscribe)$/.exec(method) ?? [];
    if (!STEMS.includes(stem)) throw methodNotFound();
    if (verb === 'Unsubscribe') {
      const own = this.#subscriptions.get(params[0])?.socket === socket;
      if (!own) throw invalidParams('Invalid subscription id.');
      return this.#subscriptions.delete(params[0]);
    }
    const followed = read(stem, params);
    this.#lastId += 1;
    this.#subscriptions.set(this.#lastId, { socket, stem, ...followed });
    return this.#lastId;
  }

  #slot() {
    const [slot, root] = [this.#ledger.slot('processed'), this.#ledger.slot('finalized')];
    for (const [id, { stem }] of this.#subscriptions) {
      if (stem === 'slot') this.#tell(id, { parent: slot - 1, root, slot });
      if (stem === 'root') this.#tell(id, root);
    }
    for (const level of LEVELS) {
      this.#reached(level, level === 'processed' ? [] : this.#ledger.executedIn(this.#ledger.slot(level)));
    }
  }

  /** Transactions have reached a level. */
  #reached(level, entries) {
    for (const [id, one] of [...this.#subscriptions]) {
      if (one.level !== level) continue;
      if (one.stem === 'signature') this.#tellFate(id, one);
      for (const entry of entries) {
        for (const value of this.#values(one, entry)) this.#tell(id, this.#wrapped(level, value));
      }
    }
  }

  /** What a transaction means for a subscription. */
  #values({ stem, key, program, mentions, config }, { message, outcome, signature }) {
    const touched = message.staticAccounts;
    if (stem === 'logs') {
      const wanted = mentions === undefined || touched.includes(mentions);
      return wanted ? [{ err: outcome.err, logs: outcome.logs, signature }] : [];
    }
    const shown = (address) => shownAccount(this.#ledger.account(address), config);
    if (stem === 'account') return touched.includes(key) ? [shown(key)] : [];
    if (stem === 'program') {
      const owned = touched.filter((address) => this.#ledger.account(address)?.programAddress === program);
      return owned.map((address) => ({ account: shown(address), pubkey: address }));
    }
    return [];
  }

  /** A subscription to a transaction ends with the word that it was processed. */
  #tellFate(id, { signature, level, received }) {
    const entry = this.#ledger.transaction(signature);
    if (entry === null) return;
    if (received) {
      this.#subscriptions.get(id).received = false;
      this.#tell(id, { context: { slot: entry.slot }, value: 'receivedSignature' });
    }
    if (entry.slot > this.#ledger.slot(level)) return;
    this.#tell(id, this.#wrapped(level, { err: entry.outcome.err }));
    this.#subscriptions.delete(id);
  }

  #wrapped(level, value) {
    return { context: { slot: this.#ledger.slot(level) }, value };
  }

  #tell(id, result) {
    const { socket, stem } = this.#subscriptions.get(id);
    const method = `${stem}Notification`;
    socket.send(encode({ jsonrpc: '2.0', method, params: { result, subscription: id } }));
  }
}

/** What the params of a subscription follow. */
function read(stem, [subject, config]) {
  const level = commitment(config);
  const key = (text, thing = 'pubkey') => {
    try {
      return pubkey(text);
    } catch {
      throw invalidParams(`Invalid Request: Invalid ${thing} provided`);
    }
  };
  if (stem === 'account') return { level, config, key: key(subject) };
  if (stem === 'program') return { level, config, program: key(subject) };
  if (stem === 'signature') {
    return { level, signature: subject, received: config?.enableReceivedNotification === true };
  }
  if (stem !== 'logs' || subject === 'all' || subject === 'allWithVotes') return { level };
  if (subject?.mentions?.length !== 1) {
    throw invalidParams('Invalid Request: Only 1 address supported');
  }
  return { level, mentions: key(subject.mentions[0], 'mentions') };
}
