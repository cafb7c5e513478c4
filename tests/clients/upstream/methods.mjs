// The JSON-RPC methods of the upstream, with the shapes, defaults and errors of Agave. What is not
// implemented is not pretended: an unknown name is -32601.

import {
  SYSTEM_PROGRAM_ADDRESS,
  SystemInstruction,
  identifySystemInstruction,
  parseTransferSolInstruction,
} from '@solana-program/system';
import {
  getBase58Decoder,
  getBase58Encoder,
  getBase64Decoder,
  getBase64Encoder,
  isAddress,
} from '@solana/kit';

import { decode } from './ledger.mjs';
import { RpcError, invalidParams } from './wire.mjs';

const U64_MAX = 18_446_744_073_709_551_615n;
const FEE_PER_SIGNATURE = 5_000n;
const SLOTS_PER_EPOCH = 432_000;
/** Depth at which a transaction counts as finalized and reports no more confirmations. */
const FINALIZED_DEPTH = 31;
const MAX_MULTIPLE_ACCOUNTS = 100;

const base58 = { encode: getBase58Decoder(), decode: getBase58Encoder() };
const base64 = { encode: getBase64Decoder(), decode: getBase64Encoder() };

export function methods(ledger) {
  const wrapped = (config, value) => ({
    context: { apiVersion: '4.2.2', slot: ledger.slot(commitment(config)) },
    value,
  });

  const status = (signature) => {
    const entry = ledger.transaction(signature);
    if (entry === null) return null;
    const depth = ledger.slot('processed') - entry.slot;
    const finalized = depth >= FINALIZED_DEPTH;
    const confirmed = depth >= 1 ? 'confirmed' : 'processed';
    const { err } = entry.outcome;
    return {
      confirmationStatus: finalized ? 'finalized' : confirmed,
      confirmations: finalized ? null : depth,
      err,
      slot: entry.slot,
      status: err === null ? { Ok: null } : { Err: err },
    };
  };

  const visible = (entry, config) => entry.slot <= ledger.slot(commitment(config));

  return {
    getHealth: () => 'ok',
    getVersion: () => ({ 'feature-set': 3_640_012_085, 'solana-core': '4.2.2' }),
    getIdentity: () => ({ identity: 'VaLid1111111111111111111111111111111111111' }),
    getGenesisHash: () => ledger.genesisHash,
    getFirstAvailableBlock: () => 0,
    minimumLedgerSlot: () => 0,
    getMaxRetransmitSlot: () => ledger.slot('processed'),
    getMaxShredInsertSlot: () => ledger.slot('processed'),
    getSlot: ([config]) => reached(ledger, config) && ledger.slot(commitment(config)),
    getBlockHeight: ([config]) => ledger.height(commitment(config)),
    getTransactionCount: () => ledger.transactionCount,
    getEpochInfo: ([config]) => ({
      absoluteSlot: ledger.slot(commitment(config)),
      blockHeight: ledger.height(commitment(config)),
      epoch: 0,
      slotIndex: ledger.slot(commitment(config)),
      slotsInEpoch: SLOTS_PER_EPOCH,
      transactionCount: ledger.transactionCount,
    }),

    getLatestBlockhash: ([config]) => wrapped(config, ledger.blockhash(commitment(config))),
    isBlockhashValid: ([hash, config]) => wrapped(config, ledger.isValid(hash)),
    getFeeForMessage: ([message, config]) =>
      wrapped(config, BigInt(base64.decode.encode(message)[0] || 1) * FEE_PER_SIGNATURE),
    getMinimumBalanceForRentExemption: ([size]) => ledger.rentExemption(size),

    getBalance: ([key, config]) => wrapped(config, ledger.balance(pubkey(key))),
    getAccountInfo: ([key, config]) => {
      reached(ledger, config);
      return wrapped(config, shownAccount(ledger.account(pubkey(key)), config));
    },
    getMultipleAccounts: ([keys, config]) => {
      if (keys.length > MAX_MULTIPLE_ACCOUNTS) {
        throw invalidParams(`Too many inputs provided; max ${MAX_MULTIPLE_ACCOUNTS}`);
      }
      return wrapped(config, keys.map((key) => shownAccount(ledger.account(pubkey(key)), config)));
    },

    requestAirdrop: async ([key, lamports]) => {
      const signature = await ledger.airdrop(pubkey(key), BigInt(lamports));
      if (signature === null) throw new RpcError(-32600, 'Invalid request');
      return signature;
    },
    sendTransaction: ([encoded, config]) => {
      const bytes = transactionBytes(encoded, config?.encoding);
      if (config?.skipPreflight !== true) {
        const preflight = ledger.simulate(bytes);
        if (preflight.err === 'SignatureFailure') {
          throw new RpcError(-32003, 'Transaction signature verification failure');
        }
        if (preflight.err !== null) {
          const message = `Transaction simulation failed: ${describe(preflight.err)}`;
          throw new RpcError(-32002, message, simulation(preflight));
        }
      }
      return ledger.execute(bytes);
    },
    simulateTransaction: ([encoded, config]) => {
      const bytes = transactionBytes(encoded, config?.encoding);
      const anyBlockhash = config?.replaceRecentBlockhash === true;
      return wrapped(config, simulation(ledger.simulate(bytes, { anyBlockhash })));
    },

    getSignatureStatuses: ([signatures]) =>
      wrapped({ commitment: 'processed' }, signatures.map(status)),
    getTransaction: ([signature, config]) => {
      const entry = ledger.transaction(signature);
      if (entry === null || !visible(entry, config)) return null;
      return transaction(entry, typeof config === 'string' ? { encoding: config } : config);
    },
    getSignaturesForAddress: ([address, config]) =>
      ledger
        .touching(pubkey(address))
        .filter((entry) => visible(entry, config))
        .slice(0, config?.limit ?? 1_000)
        .map(({ signature, slot, blockTime, outcome }) => ({
          blockTime,
          confirmationStatus: status(signature).confirmationStatus,
          err: outcome.err,
          memo: null,
          signature,
          slot,
        })),
  };
}

/** An unknown level in a config object means finalized, as in Agave. */
export function commitment(config) {
  const level = config?.commitment;
  return level === 'processed' || level === 'confirmed' ? level : 'finalized';
}

function reached(ledger, config) {
  const slot = ledger.slot(commitment(config));
  if (slot < (config?.minContextSlot ?? 0)) {
    const data = { contextSlot: slot };
    throw new RpcError(-32016, 'Minimum context slot has not been reached', data);
  }
  return true;
}

export function pubkey(text) {
  if (typeof text !== 'string') throw invalidParams('Invalid params: expected a string.');
  if (!isAddress(text)) throw invalidParams('Invalid param: Invalid');
  return text;
}

export function shownAccount(found, config) {
  if (found === null) return null;
  return {
    data: accountContent(found.data, config?.encoding),
    executable: found.executable,
    lamports: found.lamports,
    owner: found.programAddress,
    rentEpoch: U64_MAX,
    space: found.space,
  };
}

/** jsonParsed falls back to base64 for what has no parser, and no account here has one. */
function accountContent(bytes, encoding) {
  if (encoding === undefined) return base58.encode.decode(bytes);
  if (encoding === 'base58') return [base58.encode.decode(bytes), 'base58'];
  return [base64.encode.decode(bytes), 'base64'];
}

function transactionBytes(encoded, encoding = 'base58') {
  if (encoding !== 'base58' && encoding !== 'base64') {
    throw invalidParams(`unsupported encoding: ${encoding}. Supported encodings: base58, base64`);
  }
  try {
    const bytes = (encoding === 'base64' ? base64 : base58).decode.encode(encoded);
    decode(bytes);
    return bytes;
  } catch {
    throw invalidParams(`invalid ${encoding} encoding: the transaction cannot be decoded`);
  }
}

function simulation({ err, logs, units }) {
  return {
    accounts: null,
    err,
    fee: null,
    innerInstructions: null,
    loadedAccountsDataSize: null,
    loadedAddresses: null,
    logs,
    postBalances: null,
    postTokenBalances: null,
    preBalances: null,
    preTokenBalances: null,
    replacementBlockhash: null,
    returnData: null,
    unitsConsumed: units,
  };
}

/** The text Agave prints for a transaction error. */
function describe(err) {
  const texts = {
    AccountNotFound: 'Attempt to debit an account but found no record of a prior credit.',
    AlreadyProcessed: 'This transaction has already been processed',
    BlockhashNotFound: 'Blockhash not found',
    InsufficientFundsForFee: 'Insufficient funds for fee',
  };
  if (typeof err === 'string') return texts[err] ?? err;
  if (err.InstructionError === undefined) return JSON.stringify(err);
  const [index, why] = err.InstructionError;
  const text =
    why.Custom === undefined
      ? JSON.stringify(why)
      : `custom program error: 0x${why.Custom.toString(16)}`;
  return `Error processing Instruction ${index}: ${text}`;
}

function transaction({ bytes, message, outcome, before, after, slot, blockTime }, config) {
  const { err, logs, units } = outcome;
  const version = message.version;
  const meta = {
    computeUnitsConsumed: units,
    err,
    fee: BigInt(message.header.numSignerAccounts) * FEE_PER_SIGNATURE,
    innerInstructions: [],
    loadedAddresses: { readonly: [], writable: [] },
    logMessages: logs,
    postBalances: after,
    postTokenBalances: [],
    preBalances: before,
    preTokenBalances: [],
    rewards: [],
    status: err === null ? { Ok: null } : { Err: err },
  };
  const shown = { blockTime, meta, slot, transaction: shape(bytes, config?.encoding ?? 'json') };
  if (config?.maxSupportedTransactionVersion !== undefined) return { ...shown, version };
  if (version === 'legacy') return shown;
  throw new RpcError(
    -32015,
    `Transaction version (${version}) is not supported by the requesting client. ` +
      'Please try the request again with the following configuration parameter: ' +
      `"maxSupportedTransactionVersion": ${version}`,
  );
}

function shape(bytes, encoding) {
  if (encoding === 'base64') return [base64.encode.decode(bytes), 'base64'];
  if (encoding === 'base58') return [base58.encode.decode(bytes), 'base58'];
  const { transaction: signed, message } = decode(bytes);
  const { header, staticAccounts: keys } = message;
  const signatures = Object.values(signed.signatures).map((s) => base58.encode.decode(s));
  if (encoding === 'jsonParsed') {
    const accountKeys = keys.map((key, i) => ({
      pubkey: key,
      signer: i < header.numSignerAccounts,
      source: 'transaction',
      writable: isWritable(i, header, keys.length),
    }));
    const instructions = message.instructions.map((instruction) => parsed(instruction, keys));
    return {
      message: { accountKeys, instructions, recentBlockhash: message.lifetimeToken },
      signatures,
    };
  }
  const shown = {
    accountKeys: keys,
    header: {
      numReadonlySignedAccounts: header.numReadonlySignerAccounts,
      numReadonlyUnsignedAccounts: header.numReadonlyNonSignerAccounts,
      numRequiredSignatures: header.numSignerAccounts,
    },
    instructions: message.instructions.map((instruction) => ({
      accounts: instruction.accountIndices ?? [],
      data: base58.encode.decode(instruction.data ?? new Uint8Array()),
      programIdIndex: instruction.programAddressIndex,
      stackHeight: 1,
    })),
    recentBlockhash: message.lifetimeToken,
  };
  if (message.version !== 'legacy') shown.addressTableLookups = [];
  return { message: shown, signatures };
}

function isWritable(index, header, total) {
  return index < header.numSignerAccounts
    ? index < header.numSignerAccounts - header.numReadonlySignerAccounts
    : index < total - header.numReadonlyNonSignerAccounts;
}

/** An instruction as `jsonParsed` shows it; only the transfer of the system program is parsed. */
function parsed({ accountIndices = [], data = new Uint8Array(), programAddressIndex }, keys) {
  const programId = keys[programAddressIndex];
  const accounts = accountIndices.map((i) => keys[i]);
  const isTransfer =
    programId === SYSTEM_PROGRAM_ADDRESS &&
    identifySystemInstruction(data) === SystemInstruction.TransferSol;
  if (!isTransfer) {
    return { accounts, data: base58.encode.decode(data), programId, stackHeight: 1 };
  }
  const { data: fields } = parseTransferSolInstruction({
    accounts: accounts.map((address) => ({ address, role: 1 })),
    data,
    programAddress: programId,
  });
  const info = { destination: accounts[1], lamports: fields.amount, source: accounts[0] };
  return { parsed: { info, type: 'transfer' }, program: 'system', programId, stackHeight: 1 };
}
