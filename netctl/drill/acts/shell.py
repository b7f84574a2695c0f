"""Performs single effects. Each method returns when it is done and raises when the answer is no."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from netctl.drill.control import Glance, glance
from netctl.drill.decide import Event
from netctl.drill.experiments import Drill, Experiment, Options
from netctl.drill.facts import Facts
from netctl.drill.flows import Measured, candidates, choose
from netctl.drill.folder.io import Lock, open_journals, undo_from_journal
from netctl.drill.instrument.io import Instrument
from netctl.drill.judge import Moments
from netctl.drill.programs.io import Program, ask_routes, last_words
from netctl.drill.site import Site
from netctl.fault import journal
from netctl.fault.shell import Said
from netctl.model.clock import SECOND
from netctl.model.errors import InconclusiveError, RefusedError
from netctl.model.io import FileStore
from netctl.probe.names.spec import NamesReport
from netctl.probe.spec import ProbeReport, ProbeSpec

BASELINE_S = 1.0
CLEAN_MS = 1_000
"""So long no flow may have missed a packet, and no request failed, before the fault is allowed."""
TAIL_MS = 2_000
"""Sustained recovery: so long no flow may miss a packet before the measurement ends."""
STEADY_WITHIN_S = 10.0
CLEAN_WITHIN_S = 10.0
SETTLE_WITHIN_S = 90.0
TAIL_WITHIN_S = 30.0
_GUARDIAN_WITHIN_S = 15.0
_REPORT_WITHIN_S = 15.0
_GLANCE_S = 0.05
TELL_EVERY_S = 2.0
R = TypeVar("R", ProbeReport, NamesReport)


class Failed(Exception):  # noqa: N818 (an answer, not an error)
    """An effect's answer is no, with the reason."""


class Acts:
    """One drill's doings. ``tell`` is called with what happens by itself (PROBE_GONE, GUARDIAN_GONE, UNDONE)."""

    def __init__(
        self,
        site: Site,
        drill: Drill,
        options: Options,
        *,
        identifier: str,
        limit_s: float,
        say: Callable[[str], None],
        tell: Callable[[Event, str], None],
    ) -> None:
        self._site = site
        self._drill = drill
        self._options = options
        self._id = identifier
        self._limit_s = limit_s
        self._say = say
        self._tell = tell
        self._log = site.folder / f"{identifier}.log"
        self._facts: Facts | None = None
        self._flows: Instrument[ProbeReport] | None = None
        self._names: Instrument[NamesReport] | None = None
        self._guardian: Program | None = None
        self._watchers: list[asyncio.Task[None]] = []
        self._said: asyncio.Queue[Said] = asyncio.Queue()
        self._baseline_ns = 0
        self._injected: Said | None = None
        self._undone: Said | None = None
        self.lock: Lock | None = None
        self.experiment: Experiment | None = None
        self.measured: list[Measured] = []
        self.report: ProbeReport | None = None
        self.names_report: NamesReport | None = None
        self.glances: list[Glance] = []
        self.notes: list[str] = []
        self.injecting = False

    @property
    def moments(self) -> Moments | None:
        """When things happened; None: no fault was injected."""
        if self._injected is None:
            return None
        return Moments(self._baseline_ns, self._injected.from_ns, self._undone.from_ns if self._undone else None)

    # --- before the fault ------------------------------------------------------------------------------------------

    async def take_lock(self) -> None:
        """Also takes back what an earlier drill left."""
        self.lock = Lock(self._site.folder, f"{self._drill.name} {self._id}")
        for name in open_journals(self._site):
            done = await asyncio.to_thread(undo_from_journal, self._site, name)
            self.notes += [f"an earlier drill had left something: {what}" for what in done]

    async def check(self) -> None:
        self._say("is the lab steady?")
        if missing := await self._wait_steady(STEADY_WITHIN_S):
            raise RefusedError("the lab is not steady: " + "; ".join(missing[:3]), "netctl lab status")
        self._facts = await asyncio.to_thread(self._site.facts)
        self.experiment = self._drill.build(self._options, self._facts)

    async def choose(self) -> None:
        assert self._facts is not None
        assert self.experiment is not None
        if not self.experiment.objectives:
            return
        for direction, (gateway, flows) in candidates(self._facts, self._id).items():
            ways = await asyncio.to_thread(ask_routes, self._site, gateway.name, flows)
            self.measured += choose(direction, gateway, flows, ways)
        if not self.measured:
            raise InconclusiveError("the lab has no two clouds with a VM each")

    async def probe(self) -> None:
        assert self.experiment is not None
        measured = []
        if self.measured:
            self._flows = await self._start(
                "netctl.probe", ProbeSpec(tuple(m.flow for m in self.measured)), ProbeReport
            )
            measured.append(f"{len(self.measured)} flows")
        if watch := self.experiment.names:
            spec = watch.spec
            self._names = await self._start("netctl.probe.names", spec, NamesReport)
            self._watchers.append(asyncio.create_task(self._watch_controllers()))
            measured.append(
                f"{len(spec.lookups)} lookups each {spec.lookup_interval_us // 1000} ms, "
                f"{len(spec.visits)} requests by name each {spec.visit_interval_us // 1000} ms"
            )
        self._say(f"{'; '.join(measured)}; waiting for {CLEAN_MS / 1000:g} s without loss")
        if unclean := await self._wait_clean(CLEAN_MS, CLEAN_WITHIN_S):
            what, losers = unclean
            raise RefusedError(f"{what} without any fault: {losers}", "netctl lab status")

    async def _start(self, module: str, spec: msgspec.Struct, kind: type[R]) -> Instrument[R]:
        program = await Program.start(self._site, [sys.executable, "-m", module, "-"], self._log)
        program.tell(msgspec.json.encode(spec))
        return Instrument(
            program, kind, lambda: self._tell(Event.PROBE_GONE, f"the probe died: {last_words(self._log)}")
        )

    async def guard(self) -> None:
        """The undo is on disk, the guardian has captured what is there, and waits."""
        assert self.experiment is not None
        document = journal.Journal(
            id=self._id,
            drill=self._drill.name,
            lab=self._site.name,
            runner_pid=os.getpid(),
            deadline_ns=time.monotonic_ns() + int(self._limit_s * SECOND),
            created_wall=time.time(),
            faults=self.experiment.faults,
        )
        name = journal.document_name(self._id)
        await asyncio.to_thread(FileStore(self._site.folder).write, name, journal.encode(document))
        argv = [sys.executable, "-m", "netctl.fault", f"{self._site.inside}/{name}"]
        self._guardian = await Program.start(self._site, argv, self._log)
        self._watchers.append(asyncio.create_task(self._watch_guardian(self._guardian)))
        await self._hear("ready")

    async def baseline(self) -> None:
        self._baseline_ns = time.monotonic_ns()
        await asyncio.sleep(BASELINE_S)

    # --- the fault -------------------------------------------------------------------------------------------------

    async def inject(self) -> None:
        assert self._guardian is not None
        assert self.experiment is not None
        self._say("; ".join(map(str, self.experiment.faults)))
        self.injecting = True
        self._guardian.tell(b"inject")
        self._injected = await self._hear("injected")

    async def hold(self) -> None:
        assert self.experiment is not None
        await asyncio.sleep(self.experiment.duration_s)

    async def undo(self) -> None:
        assert self._guardian is not None
        self._guardian.tell(b"undo")
        await self._until_undone(self._hear("undone"))
        self._say("taken back; waiting until the lab is steady again")

    async def rescue(self) -> None:
        """Whatever the guardian does or did not do: afterwards the journal is closed, or this raises."""
        if self._guardian is not None:
            self._guardian.leave()
        if (name := journal.document_name(self._id)) in open_journals(self._site):
            self._say("taking the fault back")
            await self._until_undone(asyncio.to_thread(undo_from_journal, self._site, name))

    # --- after the fault -------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        if missing := await self._wait_steady(SETTLE_WITHIN_S):
            raise Failed(f"not steady {SETTLE_WITHIN_S:.0f} s after the fault: " + "; ".join(missing[:3]))

    async def tail(self) -> None:
        if unclean := await self._wait_clean(TAIL_MS, TAIL_WITHIN_S):
            raise Failed(f"no {TAIL_MS / 1000:g} s without loss within {TAIL_WITHIN_S:.0f} s: {': '.join(unclean)}")

    async def collect(self) -> None:
        if self._flows is not None:
            self.report = await self._flows.finish(_REPORT_WITHIN_S)
        if self._names is not None:
            self.names_report = await self._names.finish(_REPORT_WITHIN_S)
        if any(probe.report is None for probe in self._probes):
            raise Failed("the probe gave no report")

    async def close(self) -> None:
        """End what was started; the lock is the caller's."""
        for probe in self._probes:
            await probe.close()
        if self._guardian is not None:
            self._guardian.leave()
            await self._guardian.ended(5.0)
        for watcher in self._watchers:
            watcher.cancel()

    # --- watching and waiting --------------------------------------------------------------------------------------

    @property
    def _probes(self) -> list[Instrument[ProbeReport] | Instrument[NamesReport]]:
        return [probe for probe in (self._flows, self._names) if probe is not None]

    async def _watch_controllers(self) -> None:
        """What they say, as often as it changes."""
        while True:
            bodies = await asyncio.to_thread(self._site.controllers)
            seen = glance(bodies, time.monotonic_ns())
            if not self.glances or seen != self.glances[-1]:
                self.glances.append(seen)
            await asyncio.sleep(_GLANCE_S)

    async def _watch_guardian(self, guardian: Program) -> None:
        with contextlib.suppress(msgspec.DecodeError):
            while (line := await guardian.line()) is not None:
                said = msgspec.json.decode(line, type=Said)
                if said.event == "undone":
                    self._undone = said
                    if said.cause not in {"undo", "inject_failed"}:
                        self._tell(Event.UNDONE, f"the guardian took the fault back by itself ({said.cause})")
                self._said.put_nowait(said)
        if self._undone is None:
            self._tell(Event.GUARDIAN_GONE, f"the guardian died: {last_words(self._log)}")

    async def _hear(self, wanted: str) -> Said:
        """The guardian's next word, which has to be ``wanted``."""
        try:
            async with asyncio.timeout(_GUARDIAN_WITHIN_S):
                while (said := await self._said.get()).event != wanted:
                    if said.event == "inject_failed":
                        raise Failed("; ".join(said.problems))
        except TimeoutError:
            raise Failed(f"the guardian did not say {wanted} in time") from None
        return said

    async def _wait_steady(self, within_s: float) -> list[str]:
        """What is still missing when the time is over; empty: steady."""
        deadline = time.monotonic() + within_s
        tell_at = time.monotonic() + TELL_EVERY_S
        while missing := await asyncio.to_thread(self._site.unsteady):
            if time.monotonic() > deadline:
                return missing
            if time.monotonic() > tell_at:
                tell_at += TELL_EVERY_S
                self._say(f"waiting for {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else ""))
            await asyncio.sleep(0.2)
        return []

    async def _until_undone(self, undo: Coroutine[Any, Any, object]) -> None:
        """Says now and then that it takes its time."""
        task = asyncio.ensure_future(undo)
        try:
            while not (await asyncio.wait([task], timeout=TELL_EVERY_S))[0]:
                self._say("waiting for the fault to be taken back")
            task.result()
        finally:
            task.cancel()

    async def _wait_clean(self, clean_ms: int, within_s: float) -> tuple[str, str] | None:
        """Until nothing has gone wrong for ``clean_ms``, counted from now; else what goes wrong, and where."""
        clean = await asyncio.gather(*(probe.clean(clean_ms, within_s) for probe in self._probes))
        losers = [probe.losers for probe, well in zip(self._probes, clean, strict=True) if not well]
        what = "flows lose packets" if self._flows and not clean[0] else "requests by name fail"
        return (what, "; ".join(losers)) if losers else None
