"""What the probe is told and what it answers, as msgspec structs (JSON on the wire; one document a line)."""

from __future__ import annotations

from msgspec import Struct


class Flow(Struct, frozen=True):
    """One one-way UDP flow. ``source_node``/``target_node`` name network namespaces (/run/netns/NODE)."""

    name: str
    source_node: str
    source: str
    source_port: int
    target_node: str
    target: str
    target_port: int


class ProbeSpec(Struct, frozen=True, tag="probe"):
    """Send every flow each ``interval_us`` until standard input ends.

    ``merge_ms``: a recovery shorter than this is none (the outage goes on); ``drain_ms``: how long packets may be on
    their way at the end before they count as lost.
    """

    flows: tuple[Flow, ...]
    interval_us: int = 5_000
    merge_ms: int = 20
    drain_ms: int = 300


class RoutesSpec(Struct, frozen=True, tag="routes"):
    """Ask at ``node`` (a router the flows cross) by which interface it would send each flow's packets."""

    node: str
    flows: tuple[Flow, ...]


class RoutesAnswer(Struct, frozen=True):
    """Flow name → interface; a flow that the node cannot route is absent."""

    interfaces: dict[str, str]


class Status(Struct, frozen=True):
    """Printed five times a second. ``clean_ms``: for how long no flow has missed a packet (0: one does now)."""

    at_ns: int
    """CLOCK_MONOTONIC, which every process of the machine shares."""
    sent: int
    received: int
    clean_ms: int
    waiting: tuple[str, ...] = ()
    """Up to five flows that miss packets now."""


class Outage(Struct, frozen=True):
    """One interruption of one flow.

    ``start_ns``: last packet received before it; ``end_ns``: first one after it (None: none until the end);
    ``gap_ns`` = end - start, without what the sender was late by at its edges; ``at_most_ns`` includes that.
    ``loss_ns`` = packets lost x interval (the loss-derived figure of RFC 6412).
    """

    start_ns: int
    end_ns: int | None
    gap_ns: int
    at_most_ns: int
    lost: int
    loss_ns: int


class FlowReport(Struct, frozen=True):
    """The account of one flow. Times are CLOCK_MONOTONIC nanoseconds."""

    name: str
    sent: int
    received: int
    lost: int
    duplicated: int
    reordered: int
    outages: tuple[Outage, ...]
    worst_stall_ns: int
    """Longest time between two sends beyond the interval: outages within it stay unseen."""
    send_errors: int = 0


class ProbeReport(Struct, frozen=True, tag="report"):
    """Printed once, last. ``faults`` are the instrument's own (clock stepped, receive buffer overflowed)."""

    interval_ns: int
    started_ns: int
    ended_ns: int
    flows: tuple[FlowReport, ...]
    instrument_faults: tuple[str, ...] = ()
    cpu_share: float = 0.0
