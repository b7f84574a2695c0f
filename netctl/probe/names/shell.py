"""The loop: begin what is due, keep what became of it, say how things are, and hand it all over at the end."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from netctl.model.clock import MS, SECOND
from netctl.probe.names import wire
from netctl.probe.names.io import Resolver, pay
from netctl.probe.names.log import Log, WellWatch
from netctl.probe.names.spec import (
    Answer,
    Ending,
    Lookup,
    LookupReport,
    NamesReport,
    NamesSpec,
    Visit,
    VisitReport,
)
from netctl.probe.shell import print_line
from netctl.probe.spec import Status

_STATUS_S = 0.2
_PATIENCE_NS = 300 * MS


class NamesProbeShell:
    """Runs one specification until standard input ends."""

    def __init__(self, spec: NamesSpec) -> None:
        self._spec = spec
        self._started_ns = time.monotonic_ns()
        self._timeout_s = spec.timeout_us / 1e6
        self._askers: list[Lookup | Visit] = [*spec.lookups, *spec.visits]
        self._questions = {asker.host: wire.question(asker.host) for asker in self._askers}
        self._resolvers: dict[tuple[str, str, int], Resolver] = {}
        self._lookups: list[Log[Answer]] = [Log(self._started_ns) for _ in spec.lookups]
        self._visits: list[Log[Ending]] = [Log(self._started_ns) for _ in spec.visits]
        self._watch = WellWatch(len(self._askers), self._started_ns, _PATIENCE_NS)
        self._under_way: set[asyncio.Task[None]] = set()
        self._well = 0

    async def run(self) -> NamesReport:
        """Ask, visit and print status lines; the report when standard input has ended."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 4096) else ended.set())
        try:
            for asker in self._askers:
                self._resolver(asker)
            begin_ns = time.monotonic_ns()
            begun = [
                *(loop.create_task(self._repeat_lookup(n, begin_ns)) for n in range(len(self._lookups))),
                *(loop.create_task(self._repeat_visit(n, begin_ns)) for n in range(len(self._visits))),
                loop.create_task(self._report_status()),
            ]
            await ended.wait()
            loop.remove_reader(sys.stdin.fileno())
            ended_ns = time.monotonic_ns()
            for task in begun:
                task.cancel()
            await asyncio.sleep(self._timeout_s)  # what is under way ends by then
            await asyncio.gather(*self._under_way)
        finally:
            for resolver in self._resolvers.values():
                resolver.close()
        return self._finish(ended_ns)

    def _resolver(self, asker: Lookup | Visit) -> Resolver:
        port = asker.port if isinstance(asker, Lookup) else asker.server_port
        key = asker.node, asker.server, port
        if key not in self._resolvers:
            self._resolvers[key] = Resolver(*key)
        return self._resolvers[key]

    async def _due(self, which: int, turn: int, begin_ns: int, interval_us: int) -> int:
        """Wait for a turn (they are spread over an interval) and return the next one: after a stall none is made up."""
        interval_ns = interval_us * 1000
        first_ns = begin_ns + interval_ns * which // len(self._askers)
        due_ns = first_ns + turn * interval_ns
        if (wait_ns := due_ns - time.monotonic_ns()) > 0:
            await asyncio.sleep(wait_ns / SECOND)
        late_ns = max(0, time.monotonic_ns() - due_ns)
        return turn + 1 + late_ns // interval_ns

    async def _repeat_lookup(self, number: int, begin_ns: int) -> None:
        lookup, log, turn = self._spec.lookups[number], self._lookups[number], 0
        resolver, asked = self._resolver(lookup), self._questions[lookup.host]
        while True:
            turn = await self._due(number, turn, begin_ns, self._spec.lookup_interval_us)
            begun_ns = time.monotonic_ns()
            row = log.begin(begun_ns)
            self._watch.began(number, row, begun_ns)

            def told(answer: Answer, row: int = row) -> None:
                ended_ns = time.monotonic_ns()
                log.end(row, ended_ns, answer)
                self._ended(number, row, ended_ns, answer.usable)

            resolver.ask(asked, self._timeout_s, told)

    async def _repeat_visit(self, number: int, begin_ns: int) -> None:
        turn, which = 0, len(self._lookups) + number
        while True:
            turn = await self._due(which, turn, begin_ns, self._spec.visit_interval_us)
            task = asyncio.get_running_loop().create_task(self._visit(number, which))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _visit(self, number: int, which: int) -> None:
        wanted, log = self._spec.visits[number], self._visits[number]
        begun_ns = time.monotonic_ns()
        row = log.begin(begun_ns)
        self._watch.began(which, row, begun_ns)
        asked = self._questions[wanted.host]
        ending = await pay(wanted, self._resolver(wanted), asked, self._timeout_s)
        ended_ns = time.monotonic_ns()
        log.end(row, ended_ns, ending)
        self._ended(which, row, ended_ns, ending.ok)

    def _ended(self, which: int, row: int, at_ns: int, well: bool) -> None:
        self._watch.ended(which, row, at_ns, well)
        self._well += well

    async def _report_status(self) -> None:
        while True:
            await asyncio.sleep(_STATUS_S)
            now_ns = time.monotonic_ns()
            unwell = self._watch.unwell(now_ns)
            print_line(
                Status(
                    at_ns=now_ns,
                    sent=sum(map(len, self._lookups)) + sum(map(len, self._visits)),
                    received=self._well,
                    clean_ms=self._watch.well_ns(now_ns) // MS,
                    waiting=tuple(self._askers[which].name for which in unwell[:5]),
                )
            )

    def _finish(self, ended_ns: int) -> NamesReport:
        usage = os.times()
        lasted_s = max(1e-9, (time.monotonic_ns() - self._started_ns) / SECOND)
        return NamesReport(
            started_ns=self._started_ns,
            ended_ns=ended_ns,
            lookup_interval_us=self._spec.lookup_interval_us,
            visit_interval_us=self._spec.visit_interval_us,
            lookups=tuple(
                LookupReport(asker.name, log.table, log.series())
                for asker, log in zip(self._spec.lookups, self._lookups, strict=True)
            ),
            visits=tuple(
                VisitReport(asker.name, log.table, log.series())
                for asker, log in zip(self._spec.visits, self._visits, strict=True)
            ),
            cpu_share=round((usage.user + usage.system) / lasted_s, 3),
        )
