// A client that is told what to do by lines on its standard input, and prints what it hears: one JSON
// value a line. The test that runs it holds that against the chain.
//
//   {"follow": KEY}   subscribes to an account, prints {"done": KEY} once it was notified, unsubscribes
//   {"send": NUMBER}  sends a transaction in every way the client has, prints {"done": NUMBER, "ways": …}
//                     when all are confirmed

import { createInterface } from 'node:readline';

/** The gateway, and the account that is followed, which is a program as well. */
export const [, , RPC_URL, KEY] = process.argv;
export const WS_URL = RPC_URL.replace(/^http/, 'ws');
export const LEVELS = ['processed', 'confirmed', 'finalized'];

export function print(line) {
  console.log(JSON.stringify(line));
}

/** Prints a notification in the form in which a node sends it. */
export function told(what, result) {
  print({ told: what, result });
}

/** Runs each order as it comes, and ends with the input. */
export function obey(orders) {
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      const [[order, subject]] = Object.entries(JSON.parse(line));
      orders[order](subject)
        .then((ways) => print({ done: subject, ways }))
        .catch((error) => print({ done: subject, failed: String(error?.stack ?? error) }));
    })
    .on('close', () => process.exit(0));
}

/** Confirms transactions in several ways at once; why those that failed did. */
export async function inEveryWay(ways) {
  const outcomes = await Promise.allSettled(Object.values(ways).map((way) => way()));
  const failed = outcomes.find(({ status }) => status === 'rejected');
  if (failed) throw failed.reason;
  return Object.keys(ways);
}
