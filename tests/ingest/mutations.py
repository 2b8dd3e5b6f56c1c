"""Payloads of every format, and a seeded engine that breaks them: in their bytes, and in their structure."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import cbor2

from insula_ingest.codecs.sparkplug.payload_pb2 import Metric, Payload

NOW = 1_763_860_000_000_000
MS = NOW // 1000

JSON_SEEDS: list[Any] = [
    {"temperature": 21.5},
    {"ts": MS, "values": {"temperature": 21.5, "door": True, "energy:total": 12345.678}},
    {"ts": "2025-11-23T01:06:40.123456+01:00", "values": {"co2": 612}},
    [{"ts": MS - 1000 * n, "values": {"temperature": 20 + n / 10}} for n in range(5)],
    [{"bn": "urn:dev:1:", "bt": 1_763_859_000, "bver": 10, "n": "voltage", "u": "V", "v": 230.1}],
    [
        {"bn": "room/", "bt": 1.76385e9, "bu": "Cel", "n": "t", "v": 20.5},
        {"n": "t", "t": -5, "v": 20.4},
        {"n": "door", "vb": True},
        {"n": "total", "bv": 1000, "v": 7, "t": -1},
    ],
]
CBOR_SEEDS: list[Any] = [
    [{-2: "urn:dev:1:", -3: 1_763_859_000, -1: 10, 0: "voltage", 1: "V", 2: 230.1}],
    [
        {-2: "room/", -3: 1.76385e9, -4: "Cel", 0: "t", 2: cbor2.CBORTag(4, [-1, 205])},
        {0: "t", 6: -5, 2: 20.4},
        {0: "door", 4: True},
        {0: "total", -5: 1000, 2: 2**70, 6: -1},
    ],
    cbor2.CBORTag(55799, [{0: "t", 2: -7, "x": [1, {2: 3}], 3: "text", 8: b"data"}]),
]
SPARKPLUG_SEEDS = [
    Payload(
        timestamp=MS,
        metrics=[
            Metric(name=b"temperature", alias=1, datatype=10, double_value=21.5),
            Metric(name=b"count", alias=2, datatype=3, int_value=2**32 - 5, timestamp=MS - 5),
            Metric(name=b"door", alias=3, datatype=11, boolean_value=True),
            Metric(name=b"serial", datatype=12, string_value=b"A-1"),
            Metric(name=b"bdSeq", datatype=4, long_value=3),
        ],
    ),
    Payload(timestamp=MS, metrics=[Metric(alias=1, double_value=22), Metric(alias=2, int_value=7)]),
    Payload(
        metrics=[
            Metric(name=b"total", datatype=8, long_value=2**63, timestamp=MS - 9000, is_historical=True),
            Metric(name=b"gone", datatype=9, is_null=True),
            Metric(alias=9, float_value=1.5, is_transient=True),
        ]
    ),
]
SEEDS: list[bytes] = [
    *(json.dumps(document).encode() for document in JSON_SEEDS),
    *(cbor2.dumps(document) for document in CBOR_SEEDS),
    *(message.SerializeToString() for message in SPARKPLUG_SEEDS),
]

_NUMBERS: list[Any] = [
    *(0, -1, 1, 255, 2**31, 2**32, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**40, 10**400),
    *(0.0, -0.0, 5e-324, 1.7976931348623157e308, 1e-7, MS, MS * 1000, MS // 1000, 253402300799000),
]
_SCALARS: list[Any] = [
    None,
    True,
    False,
    "",
    "temperature",
    "ts",
    "9" * 400,
    "\0",
    "ä",
    "a b",
    "\ud800",
    "x" * 5000,
]
_CBOR_SCALARS: list[Any] = [math.nan, math.inf, -math.inf, b"", b"\xff" * 200, cbor2.undefined]
_KEYS: list[Any] = [
    "ts",
    "values",
    "n",
    "bn",
    "bt",
    "bv",
    "v",
    "vb",
    "t",
    "bver",
    "x_",
    "",
    "a b",
    "\0",
    "temperature",
]
_LABELS: list[Any] = [*range(-8, 12), 2**64 - 1, None, b"n", 1.5, True, *_KEYS]
_TAGS = [0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000, 55799, 2**64 - 1]
_PIECES = [
    *(b"\xff" * 8, b"\0" * 8, b"\x9b\x7f" + b"\xff" * 7, b"\x5b\x0f" + b"\xff" * 7, b"\x9f\xbf\x7f\x5f"),
    *(
        b"\xd8\x1c",
        b"\xd8\x1d\x00",
        b"\xf9\x7e\x00",
        b"\xc4\x82\x1b",
        b"\x81" * 300,
        b"\x12\xff\xff\xff\xff\x0f",
    ),
    *(
        b"[" * 300,
        b'{"a":' * 300,
        b"1e999",
        b"-",
        b"NaN",
        b"\\ud800",
        b"\xef\xbb\xbf",
        b"\xc3",
        b'"',
        b",",
        b"}",
    ),
    *(
        b"9" * 5000,
        b'"ts":',
        b'"values":',
        b'{"n":"a","v":1}',
        b"\x08\x12\x18",
        b"\x33" * 200,
        b"\x0a\x80\x80\x04",
    ),
]


class Mutator:
    """Broken payloads without end; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def payloads(self, count: int) -> Iterator[bytes]:
        """`count` payloads, each from a seed by one to five changes."""
        kinds: list[Callable[[], bytes]] = [self._of_bytes, self._of_json, self._of_cbor, self._of_sparkplug]
        for _ in range(count):
            yield self.random.choices(kinds, (4, 2, 2, 2))[0]()

    # Of bytes

    def _of_bytes(self) -> bytes:
        data = bytearray(self.random.choice(SEEDS))
        for _ in range(self.random.randint(1, 5)):
            data = self._mangled(data)
        return bytes(data)

    def _mangled(self, data: bytearray) -> bytearray:
        pick = self.random
        at, to = sorted(pick.randint(0, len(data)) for _ in range(2))
        match pick.randint(0, 7):
            case 0 if data:
                data[pick.randrange(len(data))] ^= 1 << pick.randint(0, 7)
            case 1 if data:
                data[pick.randrange(len(data))] = pick.randint(0, 255)
            case 2:
                del data[at:]
            case 3:
                del data[at:to]
            case 4:
                data[at:at] = data[at:to] * pick.choice((1, 2, 50))
            case 5:
                data[at:to] = pick.choice(_PIECES)
            case 6:
                other = pick.choice(SEEDS)
                data = data[:at] + other[pick.randint(0, len(other)) :]
            case _:
                data[at:at] = pick.randbytes(pick.randint(1, 16))
        return data

    # Of structure

    def _of_json(self) -> bytes:
        tree = self.tree(self.random.choice(JSON_SEEDS))
        text = json.dumps(tree)
        if self.random.random() < 0.1:  # a key twice
            text = text.replace("{", '{"temperature": 1, ', 1).replace('"v":', '"n": "b", "v":', 1)
        return text.encode("utf-8", "surrogatepass")

    def _of_cbor(self) -> bytes:
        return cbor2.dumps(self.tree(self.random.choice(CBOR_SEEDS), cbor=True))

    def _of_sparkplug(self) -> bytes:
        message = Payload()
        message.CopyFrom(self.random.choice(SPARKPLUG_SEEDS))
        for metric in message.metrics:
            if self.random.random() < 0.6:
                self.change_metric(metric)
        if self.random.random() < 0.3:
            message.timestamp = self._unsigned(64)
        return message.SerializeToString()

    def tree(self, value: Any, *, cbor: bool = False) -> Any:
        """`value` with something in it changed."""
        return self._changed(value, cbor, self.random.randint(1, 3))

    def _changed(self, value: Any, cbor: bool, times: int) -> Any:
        for _ in range(times):
            value = self._change(value, cbor)
        return value

    def _change(self, value: Any, cbor: bool) -> Any:
        pick = self.random
        if isinstance(value, list) and value and pick.random() < 0.8:
            changed = list(value)
            at = pick.randrange(len(changed))
            match pick.randint(0, 4):
                case 0:
                    changed[at:at] = [self.any(cbor)]
                case 1:
                    del changed[at]
                case _:
                    changed[at] = self._change(changed[at], cbor)
            return changed
        if isinstance(value, dict) and value and pick.random() < 0.9:
            changed_map = dict(value)
            key = pick.choice(list(value))
            match pick.randint(0, 3):
                case 0:
                    changed_map[pick.choice(_LABELS if cbor else _KEYS)] = self.any(cbor)
                case 1:
                    del changed_map[key]
                case _:
                    changed_map[key] = self._change(changed_map[key], cbor)
            return changed_map
        return self.any(cbor)

    def any(self, cbor: bool) -> Any:
        """Anything that the format can say."""
        pick = self.random
        kinds: list[Callable[[], Any]] = [
            lambda: self._nested(pick.choice((1, 5, 20, 390)), cbor),
            lambda: [self.any(cbor) for _ in range(pick.randint(0, 3))],
            lambda: {pick.choice(_KEYS): self.any(cbor) for _ in range(pick.randint(0, 3))},
            *[lambda: pick.choice(_NUMBERS)] * 3,
            *[lambda: pick.choice(_SCALARS[:-2] if cbor else _SCALARS)] * 2,
        ]
        if cbor:
            kinds += [
                lambda: cbor2.CBORTag(pick.choice(_TAGS), self.any(cbor)),
                lambda: pick.choice(_CBOR_SCALARS),
                lambda: cbor2.CBORTag(4, [pick.choice(_NUMBERS), pick.choice(_NUMBERS)]),
            ]
        return pick.choice(kinds)()

    def _nested(self, depth: int, cbor: bool) -> Any:
        value: Any = 1
        for _ in range(depth):
            value = [value] if self.random.random() < 0.5 else {"a": value}
        return cbor2.CBORTag(28, value) if cbor and self.random.random() < 0.1 else value

    def change_metric(self, metric: Metric) -> None:
        """Change one to three fields of a metric to anything they can hold."""
        pick = self.random
        fields: dict[str, Callable[[], object]] = {
            "name": lambda: pick.choice((b"", b"a b", b"\xff\xfe", b"x" * 200, b"temperature", b"\0")),
            "alias": lambda: pick.choice((0, 1, 2, 3, self._unsigned(64))),
            "datatype": lambda: pick.choice((*range(36), self._unsigned(32))),
            "timestamp": lambda: self._unsigned(64),
            "is_null": lambda: pick.random() < 0.5,
            "is_transient": lambda: pick.random() < 0.5,
            "is_historical": lambda: pick.random() < 0.5,
            "int_value": lambda: self._unsigned(32),
            "long_value": lambda: self._unsigned(64),
            "float_value": lambda: pick.choice((math.nan, math.inf, 21.5)),
            "double_value": lambda: pick.choice((math.nan, math.inf, 5e-324, -1e308, 21.5)),
            "string_value": lambda: pick.randbytes(pick.randint(0, 20)),
        }
        for _ in range(pick.randint(1, 3)):
            field = pick.choice(list(fields))
            if pick.random() < 0.2:
                metric.ClearField(field)
            else:
                setattr(metric, field, fields[field]())

    def _unsigned(self, bits: int) -> int:
        pick = self.random
        near = [
            MS,
            MS // 1000,
            MS * 1000,
            0,
            1,
            127,
            128,
            255,
            256,
            2**15,
            2**16,
            2**31,
            2**32 - 1,
            2**bits - 1,
        ]
        return pick.choice((*near, pick.getrandbits(bits))) % 2**bits
