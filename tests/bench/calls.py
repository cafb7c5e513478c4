"""The calls of the benchmarks, and answers to them of an exact size."""

import hashlib
import json
import random

ACCOUNT = "11111111111111111111111111111111"
DIGITS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# Final in a sandbox cluster, whose slots begin at 300 million.
FINAL_SLOT = 299_000_000


def call(method, *params):
    return compact({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


def account_call(commitment):
    return call("getAccountInfo", ACCOUNT, {"encoding": "base64", "commitment": commitment})


def account_answer(size):
    """An account, read at one slot, of exactly this many bytes."""
    value = {
        "data": ["", "base64"],
        "executable": False,
        "lamports": 1,
        "owner": ACCOUNT,
        "rentEpoch": 2**64 - 1,
        "space": 0,
    }
    text = answer({"context": {"apiVersion": "4.2.2", "slot": 300_000_000}, "value": value})
    return text.replace('["",', f'["{"A" * (size - len(text))}",')


def transaction_call(number):
    """Asks for one of many transactions."""
    options = {"encoding": "base64", "maxSupportedTransactionVersion": 0}
    return call("getTransaction", base58("signature", number, 64), options)


def transaction_answer(size):
    """A final transaction of exactly this many bytes: a third of it signed bytes, the rest what its
    programs logged, so that it compresses about as well as a real one."""
    rng = random.Random(size)
    logged = []
    result = {
        "blockTime": 1_795_226_555,
        "meta": {"err": None, "fee": 5000, "logMessages": logged, "status": {"Ok": None}},
        "slot": FINAL_SLOT,
        "transaction": ["", "base64"],
        "version": "legacy",
    }
    while len(answer(result)) < size * 2 / 3:
        logged.extend(invocation(rng) for _ in range(max(1, size // 1000)))
    text = answer(result)
    missing = size - len(text)
    signed = "".join(rng.choices(DIGITS, k=missing))
    return text.replace('["","base64"]', f'["{signed}","base64"]')


def invocation(rng):
    program = base58("program", rng.randrange(8), 32)
    return f"Program {program} consumed {rng.randrange(200_000)} of 1400000 compute units"


def base58(kind, number, length):
    """This many bytes that follow from kind and number, as clients write keys and signatures."""
    digest = hashlib.sha512(f"{kind} {number}".encode()).digest()[:length]
    rest, text = int.from_bytes(digest, "big"), ""
    while rest:
        rest, digit = divmod(rest, len(DIGITS))
        text = DIGITS[digit] + text
    return text


def answer(result):
    return compact({"jsonrpc": "2.0", "result": result, "id": 1}) + "\n"


def compact(value):
    return json.dumps(value, separators=(",", ":"))
