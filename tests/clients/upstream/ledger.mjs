// A ledger that really executes transactions (LiteSVM), with what LiteSVM does not have: slots that
// advance, commitment levels, a window of valid blockhashes, a transaction history. Balances are
// those of the newest slot at every commitment. Knows no JSON-RPC.

import {
  SYSTEM_PROGRAM_ADDRESS,
  getTransferSolInstruction,
} from '@solana-program/system';
import {
  appendTransactionMessageInstruction,
  createTransactionMessage,
  generateKeyPairSigner,
  getBase58Decoder,
  getCompiledTransactionMessageDecoder,
  getTransactionDecoder,
  getTransactionEncoder,
  lamports,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from '@solana/kit';
import { FailedTransactionMetadata, LiteSVM } from 'litesvm';

import { WHALE } from './known.mjs';
import { fromDebug } from './wire.mjs';

const FIRST_SLOT = 1_000;
/** Slots in which no block was produced, so that the block height stays below the slot. */
const SKIPPED_SLOTS = 30;
/** How long a blockhash stays valid, in blocks. */
const BLOCKHASH_AGE = 150;
/** How far each commitment trails the newest slot. */
const DEPTH = { processed: 0, confirmed: 1, finalized: 31 };

const base58 = getBase58Decoder();

export class Ledger {
  #svm = new LiteSVM().withBlockhashCheck(false);
  #slot = FIRST_SLOT;
  /** One hash per slot, newest last. */
  #hashes = [];
  /** Signature → entry, in the order of execution. */
  #history = new Map();
  #count = 1n;
  #faucet;
  /** Called when a slot has begun, and when a transaction has landed. */
  onSlot = () => {};
  onExecuted = () => {};

  constructor() {
    this.genesisHash = this.#svm.latestBlockhash();
    this.#fund(WHALE.address, WHALE.lamports);
    this.#faucet = generateKeyPairSigner().then((signer) => {
      this.#fund(signer.address, 1_000_000_000_000_000n);
      return signer;
    });
    for (let i = 0; i <= DEPTH.finalized; i += 1) this.advance();
  }

  /** Makes the next slot. */
  advance() {
    this.#slot += 1;
    this.#svm.warpToSlot(BigInt(this.#slot));
    this.#svm.expireBlockhash();
    this.#hashes.push(this.#svm.latestBlockhash());
    if (this.#hashes.length > BLOCKHASH_AGE) this.#hashes.shift();
    this.onSlot();
  }

  slot(commitment) {
    return this.#slot - DEPTH[commitment];
  }

  height(commitment) {
    return this.slot(commitment) - SKIPPED_SLOTS;
  }

  get transactionCount() {
    return this.#count;
  }

  /** The hash of the newest block at a commitment, and until which height it may be used. */
  blockhash(commitment) {
    const blockhash = this.#hashes[this.#hashes.length - 1 - DEPTH[commitment]];
    return { blockhash, lastValidBlockHeight: this.height(commitment) + BLOCKHASH_AGE };
  }

  isValid(blockhash) {
    return this.#hashes.includes(blockhash);
  }

  balance(address) {
    return this.#svm.getBalance(address) ?? 0n;
  }

  /** The account, or null. LiteSVM keeps no rent epoch; an exempt account has u64::MAX. */
  account(address) {
    const account = this.#svm.getAccount(address);
    return account.exists ? account : null;
  }

  rentExemption(size) {
    return this.#svm.minimumBalanceForRentExemption(BigInt(size));
  }

  /** Sends lamports from the faucet, as a transaction like any other; its signature, or null. */
  async airdrop(address, amount) {
    const faucet = await this.#faucet;
    const transfer = getTransferSolInstruction({ source: faucet, destination: address, amount });
    const message = pipe(
      createTransactionMessage({ version: 'legacy' }),
      (m) => setTransactionMessageFeePayerSigner(faucet, m),
      (m) => setTransactionMessageLifetimeUsingBlockhash(this.blockhash('processed'), m),
      (m) => appendTransactionMessageInstruction(transfer, m),
    );
    const transaction = await signTransactionMessageWithSigners(message);
    const signature = this.execute(getTransactionEncoder().encode(transaction));
    return this.transaction(signature) === null ? null : signature;
  }

  /** What executing the transaction would give; changes nothing. */
  simulate(bytes, { anyBlockhash = false } = {}) {
    const { transaction, message } = decode(bytes);
    if (!anyBlockhash && !this.isValid(message.lifetimeToken)) return refused('BlockhashNotFound');
    const result = this.#svm.simulateTransaction(transaction);
    return outcome(result instanceof FailedTransactionMetadata ? result : result.meta());
  }

  /** Executes the transaction. The first signature names it, landed or not. */
  execute(bytes) {
    const { transaction, message, signature } = decode(bytes);
    if (!this.isValid(message.lifetimeToken)) return signature;
    const balances = () => message.staticAccounts.map((address) => this.balance(address));
    const before = balances();
    const result = outcome(this.#svm.sendTransaction(transaction));
    const landed = result.err === null || result.err.InstructionError !== undefined;
    if (landed) {
      this.#record({ signature, bytes, message, before, after: balances(), outcome: result });
    }
    return signature;
  }

  transaction(signature) {
    return this.#history.get(signature) ?? null;
  }

  /** What was executed in a slot, in order. */
  executedIn(slot) {
    return [...this.#history.values()].filter((entry) => entry.slot === slot);
  }

  /** Entries that touch an address, newest first. */
  touching(address) {
    return [...this.#history.values()]
      .filter((entry) => entry.message.staticAccounts.includes(address))
      .reverse();
  }

  #fund(address, amount) {
    this.#svm.setAccount({
      address,
      data: new Uint8Array(),
      executable: false,
      lamports: lamports(amount),
      programAddress: SYSTEM_PROGRAM_ADDRESS,
      space: 0n,
    });
  }

  #record(entry) {
    this.#count += 1n;
    const blockTime = Math.floor(Date.now() / 1000);
    const recorded = { ...entry, slot: this.#slot, blockTime };
    this.#history.set(entry.signature, recorded);
    this.onExecuted(recorded);
  }
}

/** A transaction from its wire form, or an error if it is none. */
export function decode(bytes) {
  const transaction = getTransactionDecoder().decode(bytes);
  const message = getCompiledTransactionMessageDecoder().decode(transaction.messageBytes);
  const [first] = Object.values(transaction.signatures);
  const signature = base58.decode(first ?? new Uint8Array(64));
  return { transaction, message, signature };
}

function refused(err) {
  return { err, logs: [], units: 0n };
}

function outcome(result) {
  if (!(result instanceof FailedTransactionMetadata)) {
    return { err: null, logs: result.logs(), units: result.computeUnitsConsumed() };
  }
  // The enum of LiteSVM is only numbers at run time; its printed form has the names.
  const printed = /err: (.+?), meta: /.exec(String(result));
  const meta = result.meta();
  return {
    err: fromDebug(printed[1]),
    logs: meta.logs(),
    units: meta.computeUnitsConsumed(),
  };
}
