"""From what the names probe saw to a verdict, *missed*, *passed* or *inconclusive* as for flows. Pure.

A dead address counts as handed out at the moment its answer arrived, the latest it can have been. A request that fails
counts at the moment it began: that is when its user was sent the wrong way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

from netctl.drill.judge import FlowVerdict, Moments
from netctl.drill.results import NameResult, ProbeResult, RequestsResult
from netctl.drill.watch import NamesWatch, WatchedLookup, WatchedVisit
from netctl.model.clock import MS
from netctl.probe.names.spec import Answer, Ending, NamesReport, Series

MAX_STALL_MS = 300.0
"""A longer time in which the probe asked nothing could hide what matters."""
E = TypeVar("E", Answer, Ending)


@dataclass(frozen=True, slots=True)
class NamesJudgement:
    """``reason`` is empty when passed."""

    verdict: FlowVerdict
    reason: str
    names: tuple[NameResult, ...]
    requests: tuple[RequestsResult, ...]
    probe: ProbeResult


@dataclass(frozen=True, slots=True)
class _Row(Generic[E]):
    """One lookup or visit; nanoseconds of CLOCK_MONOTONIC."""

    begun_ns: int
    ended_ns: int
    ending: E


def judge_names(watch: NamesWatch, moments: Moments, report: NamesReport) -> NamesJudgement:
    """The verdict on everything that was asked by name; what the controllers said is judged in ``control``."""
    lookups = {r.name: _rows(r.series, r.answers, report.started_ns) for r in report.lookups}
    visits = {r.name: _rows(r.series, r.endings, report.started_ns) for r in report.visits}
    parts = _Parts(watch, moments, report.ended_ns)
    names = tuple(parts.name(w, lookups[w.lookup.name]) for w in watch.lookups)
    gone_ns = {}
    for watched in watch.visits:
        asked = [lookups[w.lookup.name] for w in watch.lookups if _same(w, watched)]
        gone_ns[watched.visit.name] = parts.gone_ns(asked, visits[watched.visit.name])
    requests = tuple(parts.requests(w, visits[w.visit.name], gone_ns[w.visit.name]) for w in watch.visits)
    stalls = [parts.stall_ms(rows, report.lookup_interval_us) for rows in lookups.values()]
    stalls += [parts.stall_ms(rows, report.visit_interval_us) for rows in visits.values()]
    interval_ms = max(report.lookup_interval_us, report.visit_interval_us) / 1000
    probe = ProbeResult(interval_ms, max(stalls, default=0.0), report.cpu_share)
    before = [n for n, rows in lookups.items() if any(parts.before(row) and not row.ending.usable for row in rows)]
    before += [n for n, rows in visits.items() if any(parts.before(row) and not row.ending.ok for row in rows)]
    verdict, reason = _overall(watch, names, requests, probe, before)
    return NamesJudgement(verdict, reason, names, requests, probe)


def _rows(series: Series, endings: Sequence[E], started_ns: int) -> list[_Row[E]]:
    columns = zip(series.begun_us, series.took_us, series.ended, strict=True)
    return [
        _Row(started_ns + begun * 1000, started_ns + (begun + took) * 1000, endings[ended])
        for begun, took, ended in columns
    ]


def _same(lookup: WatchedLookup, visit: WatchedVisit) -> bool:
    """Whether the lookup is what the visit begins with."""
    one, other = lookup.lookup, visit.visit
    return (one.node, one.server, one.host) == (other.node, other.server, other.host)


class _Parts:
    """Single results."""

    def __init__(self, watch: NamesWatch, moments: Moments, ended_ns: int) -> None:
        self._dead = set(watch.dead)
        self._baseline_ns = moments.baseline_ns
        self._injected_ns = moments.injected_ns
        self._undone_ns = moments.undone_ns if moments.undone_ns is not None else ended_ns
        self._ended_ns = ended_ns

    def before(self, row: _Row[E]) -> bool:
        return self._baseline_ns <= row.begun_ns and row.ended_ns < self._injected_ns

    def _since(self, rows: Sequence[_Row[E]]) -> list[_Row[E]]:
        """Whatever had not ended when the fault began."""
        return [row for row in rows if row.ended_ns >= self._injected_ns]

    def _in_fault(self, row: _Row[E]) -> bool:
        return row.ended_ns >= self._injected_ns and row.begun_ns < self._undone_ns

    def _after_ms(self, at_ns: int | None, since_ns: int | None = None) -> float | None:
        since_ns = self._injected_ns if since_ns is None else since_ns
        return None if at_ns is None else round((at_ns - since_ns) / MS, 1)

    def stall_ms(self, rows: Sequence[_Row[E]], interval_us: int) -> float:
        """The longest time in which nothing was asked that was due."""
        begun = [row.begun_ns for row in rows if row.begun_ns >= self._baseline_ns]
        return round(max((b - a - interval_us * 1000 for a, b in pairwise(begun)), default=0) / MS, 1)

    def _stretch_ms(self, rows: Sequence[_Row[E]], well: Callable[[_Row[E]], bool]) -> float:
        """From the beginning of the first of some that fail in a row to the beginning of the next that does not."""
        longest = 0
        first_ns: int | None = None
        for row in rows:
            if well(row):
                longest = max(longest, row.begun_ns - first_ns) if first_ns is not None else longest
                first_ns = None
            elif first_ns is None:
                first_ns = row.begun_ns
        if first_ns is not None:
            longest = max(longest, self._ended_ns - first_ns)
        return round(longest / MS, 1)

    def _handed_out(self, rows: Sequence[_Row[Answer]]) -> Iterator[int]:
        """When the dead were, while they were dead."""
        return (row.ended_ns for row in rows if self._in_fault(row) and self._dead & set(row.ending.addresses))

    def gone_ns(self, asked: Sequence[Sequence[_Row[Answer]]], visits: Sequence[_Row[Ending]]) -> int:
        """When a client was sent to a dead address for the last time."""
        found = [at_ns for rows in asked for at_ns in self._handed_out(rows)]
        found += [row.begun_ns for row in visits if self._in_fault(row) and row.ending.address in self._dead]
        return max(found, default=self._injected_ns)

    def name(self, watched: WatchedLookup, rows: Sequence[_Row[Answer]]) -> NameResult:
        since = self._since(rows)
        before = _last(rows, lambda row: row.ended_ns < self._injected_ns)
        during = _last(since, lambda row: row.ended_ns < self._undone_ns)
        gone_ms = self._after_ms(max(self._handed_out(rows), default=None))
        outage_ms = self._stretch_ms(since, lambda row: row.ending.usable)
        changed = sum(row.ending.usable and row.ending.addresses != before for row in since)
        back = (row.ended_ns for row in since if row.begun_ns >= self._undone_ns)
        if self._dead:
            back = (r.ended_ns for r in since if r.begun_ns >= self._undone_ns and self._dead & set(r.ending.addresses))
        verdict: FlowVerdict = "missed" if outage_ms or (watched.unchanged and changed) else "passed"
        if verdict == "passed" and watched.gone_ms is not None and gone_ms is not None:
            verdict = self._in_time(gone_ms, watched.gone_ms, still=bool(self._dead & set(during)))
        return NameResult(
            name=watched.lookup.host,
            cloud=watched.cloud,
            client=watched.lookup.node,
            server=watched.lookup.server,
            asked=len(since),
            failed=sum(not row.ending.usable for row in since),
            outage_ms=outage_ms,
            gone_ms=gone_ms,
            gone_limit_ms=watched.gone_ms,
            back_ms=self._after_ms(next(back, None), self._undone_ns) if gone_ms is not None else None,
            changed=changed,
            before=before,
            during=during,
            after=_last(rows, lambda _: True),
            failures=dict(Counter(_words(row.ending) for row in since if not row.ending.usable)),
            verdict=verdict,
        )

    def _in_time(self, gone_ms: float, limit_ms: float, *, still: bool) -> FlowVerdict:
        """``still``: it was handed out to the end of the fault, however short that was."""
        if gone_ms > limit_ms:
            return "missed"
        return "inconclusive" if still else "passed"

    def requests(self, watched: WatchedVisit, rows: Sequence[_Row[Ending]], gone_ns: int) -> RequestsResult:
        since = self._since(rows)
        failed = [row for row in since if not row.ending.ok]
        after = sum(row.begun_ns > gone_ns for row in failed)
        stretch_ms = self._stretch_ms(since, lambda row: row.ending.ok)
        took = (row.ended_ns - row.begun_ns for row in since if row.ending.ok)
        missed = after > 0 if watched.stretch_ms is None else stretch_ms > watched.stretch_ms
        return RequestsResult(
            name=watched.visit.host,
            client=watched.visit.node,
            cloud=watched.cloud,
            sent=len(since),
            failed=len(failed),
            failed_after=after if self._dead else None,
            stretch_ms=stretch_ms,
            last_failure_ms=self._after_ms(failed[-1].begun_ns if failed else None),
            slowest_ms=round(max(took, default=0) / MS, 1),
            failures=dict(Counter(row.ending.what for row in failed)),
            before=_clouds([row for row in rows if row.ended_ns < self._injected_ns]),
            during=_clouds([row for row in since if row.begun_ns < self._undone_ns]),
            after=_clouds([row for row in since if row.begun_ns >= self._undone_ns]),
            verdict="missed" if missed else "passed",
        )


def _last(rows: Sequence[_Row[Answer]], wanted: Callable[[_Row[Answer]], bool]) -> tuple[str, ...]:
    """The addresses of the last usable answer of those."""
    return next((r.ending.addresses for r in reversed(rows) if wanted(r) and r.ending.usable), ())


def _words(answer: Answer) -> str:
    return "no address" if answer.rcode == "NOERROR" else answer.rcode


def _clouds(rows: Sequence[_Row[Ending]]) -> dict[str, int]:
    return dict(sorted(Counter(row.ending.cloud for row in rows if row.ending.ok).items()))


def _overall(
    watch: NamesWatch,
    names: Sequence[NameResult],
    requests: Sequence[RequestsResult],
    probe: ProbeResult,
    before: Sequence[str],
) -> tuple[FlowVerdict, str]:
    if before:
        return "inconclusive", f"not all was well before the fault: {before[0]}"
    missed = [_name_missed(name) for name in names if name.verdict == "missed"]
    missed += [_requests_missed(one) for one in requests if one.verdict == "missed"]
    if missed:
        more = f"; and {len(missed) - 1} more" if len(missed) > 1 else ""
        return "missed", missed[0] + more
    for name in names:
        if name.verdict == "inconclusive":
            return (
                "inconclusive",
                f"{name.name} in {name.cloud} had a dead address to the end of a fault too short to tell",
            )
    if watch.dead and not any(set(watch.dead) & set(name.before) for name in names):
        return "inconclusive", f"{', '.join(watch.dead)} was in no answer before: nothing was tested"
    if probe.worst_stall_ms > MAX_STALL_MS:
        return (
            "inconclusive",
            f"the names probe itself stalled for {probe.worst_stall_ms:g} ms: the machine is too busy",
        )
    return "passed", ""


def _name_missed(name: NameResult) -> str:
    where = f"{name.name} in {name.cloud}"
    if name.outage_ms:
        return f"{where} had no usable answer for {name.outage_ms:g} ms ({_counted(name.failures)})"
    if name.gone_limit_ms is not None and name.gone_ms is not None and name.gone_ms > name.gone_limit_ms:
        return f"{where} had a dead address for {name.gone_ms:g} ms (at most {name.gone_limit_ms:g} ms)"
    return f"{where} had another answer {name.changed} times of {name.asked}"


def _requests_missed(one: RequestsResult) -> str:
    what = f"{one.failed} of {one.sent} failed ({_counted(one.failures)}), at most {one.stretch_ms:g} ms in a row"
    after = f", {one.failed_after} after no dead address was handed out any more" if one.failed_after else ""
    return f"requests to {one.name} from {one.client}: {what}{after}"


def _counted(failures: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in failures.items())
