// JSON as Solana speaks it: u64 numbers stay exact on the way out (bigint in, digits out), and the
// errors a node answers. Knows no ledger and no HTTP.

const NUMBER_MARK = '\u0001';

/** Encodes a value as JSON; a bigint becomes a bare number of any size. */
export function encode(value) {
  const text = JSON.stringify(value, (_, v) =>
    typeof v === 'bigint' ? `${NUMBER_MARK}${v}${NUMBER_MARK}` : v,
  );
  // JSON.stringify escapes the mark, and no string of ours contains it otherwise.
  return text.replaceAll(/"\\u0001(-?\d+)\\u0001"/g, '$1');
}

/** An error answer: thrown by a method, written by the server. */
export class RpcError extends Error {
  constructor(code, message, data) {
    super(message);
    this.code = code;
    this.data = data;
  }

  toJSON() {
    const { code, message, data } = this;
    return data === undefined ? { code, message } : { code, message, data };
  }
}

export const parseError = () => new RpcError(-32700, 'Parse error');
export const invalidRequest = () => new RpcError(-32600, 'Invalid request');
export const methodNotFound = () => new RpcError(-32601, 'Method not found');
export const invalidParams = (why) => new RpcError(-32602, why);

/**
 * The JSON form of a Rust error printed with `{:?}`: `AlreadyProcessed` is a string,
 * `InstructionError(0, Custom(1))` becomes `{"InstructionError":[0,{"Custom":1}]}`.
 */
export function fromDebug(text) {
  let at = 0;
  const blank = () => {
    while (text[at] === ' ') at += 1;
  };
  const one = () => {
    blank();
    const token = /^[A-Za-z0-9_]+/.exec(text.slice(at))?.[0];
    if (token === undefined) throw new Error(`cannot read the error ${text}`);
    at += token.length;
    if (text[at] !== '(') return /^\d+$/.test(token) ? Number(token) : token;
    const inner = [];
    do {
      at += 1;
      inner.push(one());
      blank();
    } while (text[at] === ',');
    at += 1;
    return { [token]: inner.length === 1 ? inner[0] : inner };
  };
  return one();
}
