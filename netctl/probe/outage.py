"""From a flow's send and receive log to its outages. Pure.

The receiver's gap is what applications feel: last packet before to first packet after. Loss x interval is kept beside
it (the loss-derived figure of RFC 6412). A gap in which nothing was lost is no outage: the sender was late. Of a gap
in which packets were lost, what the sender was late by at its two edges is not the network's and is taken off
(``gap_ns``); because the outage could have begun or ended in just that time, ``at_most_ns`` keeps it in.
"""

from __future__ import annotations

from collections.abc import Sequence

from netctl.probe.spec import FlowReport, Outage


def account(
    name: str,
    sent_ns: Sequence[int],
    arrivals: Sequence[tuple[int, int]],
    *,
    interval_ns: int,
    merge_ns: int,
    until_ns: int,
    send_errors: int = 0,
) -> FlowReport:
    """The account of one flow.

    ``sent_ns[sequence]`` is when it was sent; ``arrivals`` are (sequence, arrival time) in order of arrival; packets
    sent after ``until_ns`` are left out (they may still be on their way). A recovery shorter than ``merge_ns`` is none.
    Sequences never sent are ignored.
    """
    count = _sent_until(sent_ns, until_ns)
    first_seen: dict[int, int] = {}
    duplicated = reordered = 0
    highest = -1
    for sequence, at_ns in arrivals:
        if not 0 <= sequence < count:
            continue
        if sequence in first_seen:
            duplicated += 1
            continue
        first_seen[sequence] = at_ns
        if sequence < highest:
            reordered += 1
        highest = max(highest, sequence)
    runs = _merged([s for s in range(count) if s not in first_seen], sent_ns, merge_ns, count)
    late = [max(0, sent_ns[i] - sent_ns[i - 1] - interval_ns) for i in range(1, count)]
    return FlowReport(
        name=name,
        sent=count,
        received=len(first_seen),
        lost=count - len(first_seen),
        duplicated=duplicated,
        reordered=reordered,
        outages=tuple(_outage(run, sent_ns[:count], first_seen, interval_ns, until_ns) for run in runs),
        worst_stall_ns=max(late, default=0),
        send_errors=send_errors,
    )


def _sent_until(sent_ns: Sequence[int], until_ns: int) -> int:
    count = len(sent_ns)
    while count and sent_ns[count - 1] > until_ns:
        count -= 1
    return count


def _merged(lost: list[int], sent_ns: Sequence[int], merge_ns: int, count: int) -> list[tuple[int, int, int]]:
    """Runs of lost packets as (first, last, how many), joined where the recovery between them was too short."""
    runs: list[tuple[int, int, int]] = []
    for sequence in lost:
        if runs:
            first, last, missing = runs[-1]
            recovered = sequence > last + 1 and sent_ns[sequence - 1] - sent_ns[last + 1] >= merge_ns
            if not recovered:
                runs[-1] = (first, sequence, missing + 1)
                continue
        runs.append((sequence, sequence, 1))
    if runs and (last := runs[-1][1]) < count - 1 and sent_ns[count - 1] - sent_ns[last + 1] < merge_ns:
        runs[-1] = (runs[-1][0], count - 1, runs[-1][2])  # not recovered for long enough: open at the end
    return runs


def _outage(
    run: tuple[int, int, int],
    sent_ns: Sequence[int],
    first_seen: dict[int, int],
    interval_ns: int,
    until_ns: int,
) -> Outage:
    first, last, lost = run
    start_ns = first_seen[first - 1] if first > 0 else sent_ns[first]
    late = max(0, sent_ns[first] - sent_ns[first - 1] - interval_ns) if first > 0 else 0
    end_ns: int | None = None
    if last + 1 < len(sent_ns):
        end_ns = first_seen[last + 1]
        late += max(0, sent_ns[last + 1] - sent_ns[last] - interval_ns)
    at_most_ns = max(0, (end_ns if end_ns is not None else max(until_ns, sent_ns[last])) - start_ns)
    return Outage(
        start_ns=start_ns,
        end_ns=end_ns,
        gap_ns=max(0, at_most_ns - late),
        at_most_ns=at_most_ns,
        lost=lost,
        loss_ns=lost * interval_ns,
    )


class CleanWatch:
    """Says, while the flows run, for how long every one of them has been without a missing packet.

    ``patience_ns`` is how long a packet may be under way before it counts as missing.
    """

    def __init__(self, flows: int, now_ns: int, patience_ns: int) -> None:
        self._patience_ns = patience_ns
        self._next = [0] * flows
        self._dirty_ns = [now_ns] * flows

    def arrived(self, flow: int, sequence: int, at_ns: int) -> None:
        """Packet ``sequence`` of ``flow`` arrived."""
        expected = self._next[flow]
        if sequence >= expected:
            if sequence > expected:
                self._dirty_ns[flow] = max(self._dirty_ns[flow], at_ns)
            self._next[flow] = sequence + 1

    def check(self, flow: int, sent_ns: Sequence[int], now_ns: int) -> bool:
        """Whether ``flow`` misses a packet right now."""
        expected = self._next[flow]
        missing = expected < len(sent_ns) and now_ns - sent_ns[expected] > self._patience_ns
        if missing:
            self._dirty_ns[flow] = now_ns
        return missing

    def clean_ns(self, now_ns: int) -> int:
        """Time since any flow last missed a packet."""
        return max(0, now_ns - max(self._dirty_ns, default=now_ns))
