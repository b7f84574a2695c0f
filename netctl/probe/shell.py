"""The loop: send what is due, read what arrived, say how things are, and account for it all at the end."""

from __future__ import annotations

import os
import select
import sys
import time
from array import array

import msgspec

from netctl.model.clock import MS, SECOND
from netctl.probe.io import FlowSockets, realtime_offset_ns
from netctl.probe.outage import CleanWatch, account
from netctl.probe.spec import ProbeReport, ProbeSpec, Status

_STATUS_NS = 200 * MS
_READ_NS = 20 * MS
_SLOTS = 5
"""The flows take turns within an interval, so that they do not all send at the same instant."""
_PATIENCE_NS = 60 * MS
_CLOCK_STEP_NS = 2 * MS


class ProbeShell:
    """Runs one specification until standard input ends."""

    def __init__(self, spec: ProbeSpec) -> None:
        self._spec = spec
        self._sockets: list[FlowSockets] = []
        for number, flow in enumerate(spec.flows):
            self._sockets.append(FlowSockets(number, flow))
        self._sent = [array("q") for _ in spec.flows]
        self._arrived = [(array("q"), array("q")) for _ in spec.flows]  # sequences, times
        self._received = 0
        self._offset_ns = realtime_offset_ns()
        self._clock_stepped = False

    def run(self) -> ProbeReport:
        """Send, receive and print status lines; the report when standard input has ended."""
        started_ns = time.monotonic_ns()
        self._watch = CleanWatch(len(self._sockets), started_ns, _PATIENCE_NS)
        slot_ns = self._spec.interval_us * 1000 // _SLOTS
        turn = 0
        next_read_ns = next_status_ns = started_ns
        poll = select.poll()
        poll.register(sys.stdin.fileno(), select.POLLIN | select.POLLHUP)
        while True:
            now_ns = time.monotonic_ns()
            due = (now_ns - started_ns) // slot_ns
            if turn <= due:
                turn = max(turn, due - _SLOTS + 1)  # after a stall: one packet of each flow, no burst of old ones
                while turn <= due:
                    self._send_slot(turn % _SLOTS)
                    turn += 1
            if now_ns >= next_read_ns:
                self._read()
                next_read_ns = now_ns + _READ_NS
            if now_ns >= next_status_ns:
                self._say(now_ns)
                next_status_ns = now_ns + _STATUS_NS
            wait_ns = started_ns + turn * slot_ns - time.monotonic_ns()
            if poll.poll(0) and not os.read(sys.stdin.fileno(), 4096):
                break
            if wait_ns > 0:
                time.sleep(wait_ns / SECOND)
        return self._finish(started_ns)

    def _send_slot(self, slot: int) -> None:
        for number in range(slot, len(self._sockets), _SLOTS):
            sent = self._sent[number]
            at_ns = time.monotonic_ns()
            if self._sockets[number].send(len(sent)):
                sent.append(at_ns)

    def _read(self) -> None:
        offset_ns = realtime_offset_ns()
        if abs(offset_ns - self._offset_ns) > _CLOCK_STEP_NS:
            self._clock_stepped = True
        self._offset_ns = offset_ns
        for number, sockets in enumerate(self._sockets):
            sequences, times = self._arrived[number]
            for sequence, wall_ns in sockets.receive():
                at_ns = wall_ns - offset_ns
                sequences.append(sequence)
                times.append(at_ns)
                self._watch.arrived(number, sequence, at_ns)
                self._received += 1

    def _say(self, now_ns: int) -> None:
        self._read()
        missing = [n for n, sent in enumerate(self._sent) if self._watch.check(n, sent, now_ns)]
        status = Status(
            at_ns=now_ns,
            sent=sum(map(len, self._sent)),
            received=self._received,
            clean_ms=self._watch.clean_ns(now_ns) // MS,
            waiting=tuple(self._spec.flows[n].name for n in missing[:5]),
        )
        print_line(status)

    def _finish(self, started_ns: int) -> ProbeReport:
        ended_ns = time.monotonic_ns()
        drained_ns = ended_ns + self._spec.drain_ms * MS
        while (left_ns := drained_ns - time.monotonic_ns()) > 0:
            time.sleep(min(left_ns, _READ_NS) / SECOND)
            self._read()
        faults = []
        if self._clock_stepped:
            faults.append("the wall clock was stepped: arrival times cannot be trusted")
        if overflowed := sum(s.overflowed for s in self._sockets):
            faults.append(f"{overflowed} packets arrived but found the receive buffer full")
        usage = os.times()
        interval_ns = self._spec.interval_us * 1000
        merge_ns = self._spec.merge_ms * MS
        return ProbeReport(
            interval_ns=interval_ns,
            started_ns=started_ns,
            ended_ns=ended_ns,
            flows=tuple(
                account(
                    sockets.flow.name,
                    sent,
                    list(zip(*arrived, strict=True)),
                    interval_ns=interval_ns,
                    merge_ns=merge_ns,
                    until_ns=ended_ns,
                    send_errors=sockets.send_errors,
                )
                for sockets, sent, arrived in zip(self._sockets, self._sent, self._arrived, strict=True)
            ),
            instrument_faults=tuple(faults),
            cpu_share=round((usage.user + usage.system) / max(1e-9, (drained_ns - started_ns) / SECOND), 3),
        )


def print_line(document: msgspec.Struct) -> None:
    """One JSON document as one line on standard output."""
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    sys.stdout.flush()
