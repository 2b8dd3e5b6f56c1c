"""The metrics of one Sparkplug B payload, of a birth or of data alike: the topic does not say which it is.

A metric that has both a name and a datatype or an alias tells them, as those of a birth do. Data that leaves
out its name or its datatype is left pending.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError

from insula_ingest.codecs.decoded import (
    Decoded,
    Metrics,
    Microseconds,
    Pending,
    Reason,
    Told,
    Value,
    plausible,
    shown,
)
from insula_ingest.codecs.sparkplug.payload_pb2 import Metric, Payload
from insula_ingest.codecs.sparkplug.values import (
    NUMERIC_FIELDS,
    Unstorable,
    is_integer,
    read_value,
    says_all,
)
from insula_tenants.names import is_point_name

_SESSION = ("Node Control/", "Device Control/")
"""Metrics of the Sparkplug session itself begin so; they measure nothing."""
_BIRTH_NUMBER = "bdSeq"


def decode_sparkplug(payload: bytes, received_at: Microseconds) -> Decoded:
    """Decode one payload; `received_at` bounds what is plausible as a time.

    Bytes that are not well-formed protobuf are rejected whole: nothing tells where the next metric begins.
    """
    decoded = Decoded()
    try:
        message = Payload.FromString(payload)
    except DecodeError:
        decoded.reject(Reason.MALFORMED, "not JSON, nor Sparkplug B: the protobuf message is broken")
        return decoded
    if not message.metrics:
        decoded.reject(Reason.BAD_SHAPE, "the Sparkplug B payload has no metrics")
        return decoded
    reading = _Reading(message, received_at, decoded)
    for position, metric in enumerate(message.metrics):
        reading.read(metric, f"metrics[{position}]")
    return decoded


class _Reading:
    """One payload on its way into `decoded`."""

    def __init__(self, message: Payload, received_at: Microseconds, decoded: Decoded) -> None:
        self._received_at = received_at
        self._decoded = decoded
        self._given = message.timestamp if message.HasField("timestamp") else None
        self._payload_time: Microseconds | None = None
        self._refused = False
        told_at = received_at if self._given is None else min(self._given * 1000, received_at)
        self._metrics = decoded.metrics = Metrics(told_at)

    def read(self, metric: Metric, where: str) -> None:
        """Take what the metric tells, and its value."""
        name = _name(metric)
        if name is not None and (name == _BIRTH_NUMBER or name.startswith(_SESSION)):
            return
        if name is not None and not is_point_name(name):
            self._decoded.reject(
                Reason.BAD_NAME,
                f"{where}.name: {shown(name)}: a name has 1 to 128 letters, digits and _ . : / -",
            )
            return
        alias = metric.alias if metric.HasField("alias") else None
        if name is None and alias is None:
            self._decoded.reject(Reason.BAD_NAME, f"{where}: it has neither name nor alias")
            return
        if name is not None:
            where = f"{where} {name}"
            if alias is not None or is_integer(metric.datatype):
                self._metrics.told.append(Told(name, alias, metric.datatype))
        if metric.is_null or metric.is_transient:
            return  # no value, or one that its sender asks not to store
        self._read_value(metric, name, alias, where)

    def _read_value(self, metric: Metric, name: str | None, alias: int | None, where: str) -> None:
        field = metric.WhichOneof("value")
        if field is None:
            self._decoded.reject(Reason.BAD_VALUE, f"{where}: it has no value; set one, or is_null")
            return
        if field not in NUMERIC_FIELDS:
            self._decoded.reject(
                Reason.BAD_VALUE,
                f"{where}: a {field} cannot be stored; a point takes integers, Float, Double and Boolean",
            )
            return
        timely, time = self._time(metric, where)
        if not timely:
            return
        raw = getattr(metric, field)
        if name is None or not says_all(field, metric.datatype):
            self._metrics.pending.append(
                Pending(where, name, alias or 0, time, field, metric.datatype, raw, metric.is_historical)
            )
            return
        try:
            self._decoded.values.append(Value(name, time, read_value(field, raw, metric.datatype)))
        except Unstorable as error:
            self._decoded.reject(Reason.BAD_VALUE, f"{where}: {error}")

    def _time(self, metric: Metric, where: str) -> tuple[bool, Microseconds | None]:
        """Whether the metric has a good time or none, and the time; a bad one is rejected.

        Each metric says itself when it was measured, or the payload does for all.
        """
        if metric.HasField("timestamp"):
            time = self._plausible(metric.timestamp, f"{where}.timestamp")
            return time is not None, time
        if self._given is None:
            return True, None
        if self._refused:
            self._decoded.not_kept += 1  # the same for each metric: said once
        elif self._payload_time is None:
            self._payload_time = self._plausible(self._given, "timestamp")
            self._refused = self._payload_time is None
        return not self._refused, self._payload_time

    def _plausible(self, milliseconds: int, where: str) -> Microseconds | None:
        return plausible(milliseconds * 1000, self._received_at, self._decoded, where, milliseconds)


def _name(metric: Metric) -> str | None:
    """The name; what is no UTF-8 in it becomes a character that no name has. Empty is as good as absent."""
    return metric.name.decode("utf-8", "replace") if metric.name else None
