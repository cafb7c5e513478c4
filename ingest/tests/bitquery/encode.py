"""Encodes messages with Bitquery's own package, and tells what is in them.

Prints one JSON object: `fields`, every field of the package's Solana messages with its number and
type, and `cases`, each with a payload in base64 and the same message as Bitquery writes it in JSON
(the published names, base58 for bytes). What is in a message comes from its descriptor alone: this
knows nothing of which fields ingest reads.
"""

import base64
import json
import random
import struct

from google.protobuf.descriptor import FieldDescriptor
from solana import (
    block_message_pb2,
    dex_block_message_pb2,
    parsed_idl_block_message_pb2,
    token_block_message_pb2,
)

KINDS = {
    "trades": dex_block_message_pb2.DexParsedBlockMessage,
    "transfers": token_block_message_pb2.TokenBlockMessage,
    "transactions": parsed_idl_block_message_pb2.ParsedIdlBlockMessage,
    "slots": block_message_pb2.BlockMessage,
}
MODULES = [
    block_message_pb2,
    dex_block_message_pb2,
    parsed_idl_block_message_pb2,
    token_block_message_pb2,
]
RANDOM_CASES = 100

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
F = FieldDescriptor


def base58(data):
    zeros = len(data) - len(data.lstrip(b"\0"))
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "1" * zeros + text


def single(number):
    """The nearest float of 32 bits."""
    return struct.unpack("<f", struct.pack("<f", number))[0]


def full(field):
    """A value that is not the default."""
    return {
        F.TYPE_BYTES: bytes(range(1, 33)),
        F.TYPE_STRING: f"{field.name} ✓",
        F.TYPE_BOOL: True,
        F.TYPE_FLOAT: single(0.1),
        F.TYPE_DOUBLE: 0.1,
    }.get(field.type, field.number)


def greatest(field):
    return {
        F.TYPE_BYTES: b"\xff" * 64,
        F.TYPE_STRING: "\U0001f680\0\"\\" * 500,
        F.TYPE_BOOL: True,
        F.TYPE_FLOAT: single(3.4028234663852886e38),
        F.TYPE_DOUBLE: 1.7976931348623157e308,
        F.TYPE_UINT32: 2**32 - 1,
        F.TYPE_UINT64: 2**64 - 1,
        F.TYPE_INT32: 2**31 - 1,
        F.TYPE_INT64: 2**63 - 1,
    }.get(field.type, 1)


def least(field):
    return {
        F.TYPE_BYTES: b"\0" * 32,
        F.TYPE_STRING: "",
        F.TYPE_BOOL: False,
        F.TYPE_FLOAT: single(-1e-45),
        F.TYPE_DOUBLE: -5e-324,
        F.TYPE_INT32: -(2**31),
        F.TYPE_INT64: -(2**63),
    }.get(field.type, 0)


def any_value(chance):
    def value(field):
        number = chance.choice([0, 1, 127, 128, chance.getrandbits(64)])
        return {
            F.TYPE_BYTES: chance.randbytes(chance.choice([0, 1, 32, 32, 32, 64])),
            F.TYPE_STRING: "x" * chance.choice([0, 1, 200]),
            F.TYPE_BOOL: chance.random() < 0.5,
            F.TYPE_FLOAT: single(chance.uniform(-1e9, 1e9)),
            F.TYPE_DOUBLE: chance.uniform(-1e9, 1e9),
            F.TYPE_UINT32: number % 2**32,
            F.TYPE_UINT64: number,
            F.TYPE_INT32: number % 2**32 - 2**31,
            F.TYPE_INT64: number - 2**63,
        }.get(field.type, 0)

    return value


def fill(message, value, wanted):
    """Sets the wanted fields, those of messages within too."""
    for field in message.DESCRIPTOR.fields:
        count = wanted(field)
        if field.is_repeated:
            for _ in range(count):
                if field.type == F.TYPE_MESSAGE:
                    fill(getattr(message, field.name).add(), value, wanted)
                else:
                    getattr(message, field.name).append(value(field))
        elif count and field.type == F.TYPE_MESSAGE:
            inner = getattr(message, field.name)
            inner.SetInParent()
            fill(inner, value, wanted)
        elif count:
            setattr(message, field.name, value(field))


def one(field, value):
    if field.type == F.TYPE_MESSAGE:
        return dump(value)
    if field.type == F.TYPE_BYTES:
        return base58(value)
    return value


def dump(message):
    out = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            out[field.name] = [one(field, item) for item in value]
        elif not field.has_presence or message.HasField(field.name):
            out[field.name] = one(field, value)
    return out


def cases():
    for kind, message_type in KINDS.items():
        fillings = [
            ("full", full, lambda field: 2),
            ("greatest", greatest, lambda field: 1),
            ("least", least, lambda field: 1),
            ("empty parts", full, lambda field: int(field.type == F.TYPE_MESSAGE)),
            ("nothing but the slot", full, lambda field: 0),
        ]
        for seed in range(RANDOM_CASES):
            chance = random.Random(f"{kind} {seed}")
            wanted = lambda field, chance=chance: chance.choice([0, 1, 1, 2])
            fillings.append((f"seed {seed}", any_value(chance), wanted))
        for name, value, wanted in fillings:
            message = message_type()
            fill(message, value, wanted)
            # Without its slot a message is refused, so each has one.
            message.Header.Slot = message.Header.Slot or 373108745
            yield {
                "kind": kind,
                "name": name,
                "payload": base64.b64encode(message.SerializeToString()).decode(),
                "json": dump(message),
            }


def fields():
    for module in MODULES:
        for message in module.DESCRIPTOR.message_types_by_name.values():
            for field in message.fields:
                inner = field.message_type.name if field.type == F.TYPE_MESSAGE else None
                yield f"{message.name}.{field.name}", {
                    "number": field.number,
                    "type": field.type,
                    "message": inner,
                    "repeated": field.is_repeated,
                }


print(json.dumps({"fields": dict(fields()), "cases": list(cases())}))
