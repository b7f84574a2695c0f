"""The naming world: everything there is, and what happens to it."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Protocol

from netctl.controller.shell import ControllerShell
from netctl.guard.state import decode
from netctl.kube.fake import Change, FakeKube
from netctl.kube.fake.io import FakeKubeApi
from netctl.model.clock import MS, Timer
from netctl.model.kube import CONFIG_MAPS, LEASES, Obj
from netctl.model.ports import ProcessSpec, RegistryEvent
from netctl.names.catalog import Merger
from netctl.names.fake.io import FakeRegistry
from netctl.names.fake.store import FakeEtcd
from netctl.sim.loop import SimClock, SimLoop, world_context
from netctl.sim.names import site
from netctl.sim.names.checker import SimChecker
from netctl.sim.names.ledger import Ledger
from netctl.sim.names.ports import HearingStreams, KubePort, RegistryPort, Sent, Way
from netctl.sim.names.schedule import NamesSchedule
from netctl.sim.names.view import ClusterView, Seen
from netctl.sim.processes import FakeProcesses, Program, SimProcess, delayed, is_users_mistake
from netctl.sim.streams import FakeStreams
from netctl.sim.trace import Trace

START_MS = (60.0, 250.0)
RESTART_MS = 1_000
"""How long the service manager waits before it starts a program again that ended by itself."""
GUARD_NAME = "netctl-guard"


class Runs(Protocol):
    """A shell."""

    def run(self) -> Coroutine[Any, Any, None]:
        """The program."""


@dataclass(frozen=True, slots=True)
class NamesPrograms:
    """Which controller runs; tests put broken ones here to see them caught."""

    controller: Callable[..., Any] = ControllerShell


@dataclass(slots=True)
class Life:
    """One life of a controller, from its start to its end."""

    name: str
    ledger: Ledger
    since_ns: int
    shell: Any = None


class NamesWorld:
    """``on_...`` are the judges' ears."""

    def __init__(self, schedule: NamesSchedule, programs: NamesPrograms | None = None) -> None:
        self.schedule = schedule
        self.loop = SimLoop()
        self.clock = SimClock(self.loop)
        self.trace = Trace(self.loop)
        self.watchers: list[Callable[[str, str], None]] = []
        self.on_send: Callable[[Life, str, Sent], None] = lambda life, cluster, sent: None
        self.on_change: Callable[[str, Change, Obj | None, Obj | None], None] = lambda *_: None
        self.on_restore: Callable[[str], None] = lambda cluster: None
        self.on_crash: Callable[[str], None] = lambda crash: None
        self.kubes = {name: FakeKube(name, wall=self.clock.wall) for name in site.CLUSTERS}
        for kube in self.kubes.values():
            kube.add_namespace(site.NAMESPACE)
        self.views = {name: ClusterView(kube, partial(self._changed, name)) for name, kube in self.kubes.items()}
        self.ways = {(who, cluster): Way() for who in site.CONTROLLERS for cluster in site.CLUSTERS}
        self.etcds = {name: FakeEtcd(self.clock) for name in site.SOURCES}
        self.cuts: Counter[tuple[str, str]] = Counter()
        """(controller, source) → how many faults keep them apart."""
        self.registries: dict[tuple[str, str], FakeRegistry] = {}
        self.dead: Counter[str] = Counter()
        """Place → how many faults keep it dead."""
        self.down: Counter[str] = Counter()
        """Program → how many faults keep it from being started."""
        self.streams = FakeStreams(self.loop)
        self.lives: dict[str, Life] = {}
        self._let_go: dict[str, set[str]] = {}
        """Service → what any life of a controller has let go, and has not been registered again."""
        self.processes = FakeProcesses(self.loop, self._find, self._ended)
        self._programs = programs or NamesPrograms()
        self._starts: Counter[str] = Counter()

    def start(self) -> None:
        """Everything boots; the instances are registered already."""
        for source, entries in site.REGISTERED.items():
            for key, value in entries.items():
                self.etcds[source].put(key, value)
        for name in (*site.CHECKERS, *site.CONTROLLERS):
            self.start_program(name)

    # --- programs ----------------------------------------------------------------------------------------------------

    def start_program(self, name: str) -> None:
        """Unless it runs, or is meant to be down."""
        if self.processes.named(name) is None and not self.down[name]:
            self.processes.start(ProcessSpec(name, (name,), ""))

    def runs(self, name: str) -> bool:
        """Whether it lives and is not stopped."""
        process = self.processes.named(name)
        return process is not None and not process.stopped

    def life(self, name: str) -> Life | None:
        """The controller's present life, if it has one."""
        return self.lives.get(name) if self.processes.named(name) is not None else None

    def leader(self, cluster: str) -> Life | None:
        """The controller that the cluster's Lease names, if it lives."""
        return self.life(self.views[cluster].holder)

    def _find(self, spec: ProcessSpec) -> Program | None:
        number = self._starts[spec.name] = self._starts[spec.name] + 1
        self.lives.pop(spec.name, None)
        # Each start of a program has a random stream of its own, so that one more start shifts nobody else's.
        random = Random(f"{self.schedule.seed}/{spec.name}/{number}")
        make = self._controller if spec.name in site.CONTROLLERS else self._checker
        return delayed(lambda: make(spec.name, random).run(), int(random.uniform(*START_MS) * MS))

    def _checker(self, name: str, random: Random) -> Runs:
        controllers = tuple(map(site.checkers_address, site.CONTROLLERS))
        return SimChecker(name, name.removeprefix("checker-"), self.streams, controllers, lambda at: not self.dead[at])

    def _controller(self, name: str, random: Random) -> Runs:
        settings = site.settings(name, self.schedule.max_shrink_percent, self.schedule.budget)
        ledger = Ledger(
            Merger(settings.sources, site.CLUSTERS),
            settings.guards.max_shrink,
            services=lambda: {service for view in self.views.values() for service in view.services()},
            in_slices=self.in_slices,
            let_go=self._let_go,
            held=self._stored_holds(),
        )
        life = self.lives[name] = Life(name, ledger, self.loop.now_ns)
        kubes = {}
        for cluster in site.CLUSTERS:
            api = FakeKubeApi(self.kubes[cluster], name)
            self.ways[name, cluster].lead_to(api)
            kubes[cluster] = KubePort(api, partial(self._sent, life, cluster))
        registries = {source: self._registry(life, source) for source in site.SOURCES}

        def log(level: str, event: str, **fields: object) -> None:
            self.trace.add(name, f"{event} {fields}")

        life.shell = self._programs.controller(
            settings,
            clock=self.clock,
            registries=registries,
            kubes=kubes,
            streams=self.streams,
            checker_streams=HearingStreams(self.streams, partial(self._heard, life)),
            log=log,
            jitter=random.random,
        )
        shell: Runs = life.shell
        return shell

    def _registry(self, life: Life, source: str) -> RegistryPort:
        registry = self.registries[life.name, source] = FakeRegistry(self.etcds[source])
        if self.cuts[life.name, source]:
            registry.cut()
        return RegistryPort(registry, partial(self._said, life, source))

    def _stored_holds(self) -> dict[str, set[str]]:
        held: dict[str, set[str]] = {}
        for view in self.views.values():
            stored = view.get(CONFIG_MAPS, GUARD_NAME)
            for hold in decode(stored["data"].get("state")).holds if stored is not None else ():
                held.setdefault(hold.service, set()).update(hold.instances)
        return held

    def _ended(self, process: SimProcess) -> None:
        error = process.error
        if error is not None and not is_users_mistake(error):
            self.on_crash(f"{process.name}: {error!r} {''.join(traceback.format_exception(error)[-2:])}")
        self.happened(process.name, "ended" + (f": {error}" if error else ""))
        if not self.down[process.name]:
            self.after_ms(RESTART_MS, partial(self.start_program, process.name))

    # --- what happens ------------------------------------------------------------------------------------------------

    def happened(self, who: str, what: str, *, shown: bool = True) -> None:
        """Something changed: into the trace, and every watcher looks."""
        self.trace.add(who, what, shown=shown)
        for watcher in self.watchers:
            watcher(who, what)

    def at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        return self.loop.call_at_ns(when_ns, callback, context=world_context())

    def after_ms(self, delay_ms: float, callback: Callable[[], None]) -> Timer:
        return self.at(self.loop.now_ns + int(delay_ms * MS), callback)

    def in_slices(self, service: str) -> dict[str, Seen]:
        """Instance name → what our slices of a service in all clusters say."""
        found: dict[str, Seen] = {}
        for view in self.views.values():
            found.update(view.served(service))
        return found

    def _said(self, life: Life, source: str, event: RegistryEvent) -> None:
        life.ledger.said(source, event, self.loop.now_ns)
        self._remember(life)
        self.happened(life.name, f"hears from {source}: {_short(event)}")

    def _remember(self, life: Life) -> None:
        registered = {key for etcd in self.etcds.values() for key in etcd.values}
        for service, names in life.ledger.gone().items():
            gone = self._let_go.get(service, set()) | names
            self._let_go[service] = {name for name in gone if f"{service}/{name}" not in registered}

    def _heard(self, life: Life, cloud: str, verdicts: Any) -> None:
        if not verdicts.verdicts:
            return
        life.ledger.heard(verdicts, self.loop.now_ns)
        self._remember(life)
        for said in verdicts.verdicts:
            what = "passes" if said.passing else "fails"
            self.trace.add(life.name, f"hears that {said.service}/{said.instance} {what}", shown=not said.passing)

    def _sent(self, life: Life, cluster: str, sent: Sent) -> None:
        what = f"sends to {cluster}: {sent.verb} {sent.name} {sent.version}"
        self.on_send(life, cluster, sent)
        self.happened(life.name, what, shown=sent.resource is not LEASES)

    def _changed(self, cluster: str, change: Change, before: Obj | None, after: Obj | None) -> None:
        plural, _, name = change.key
        self.on_change(cluster, change, before, after)
        addresses = [
            f"{'' if raw.get('conditions', {}).get('ready', True) else '!'}{raw['addresses'][0]}"
            for raw in (after or {}).get("endpoints") or ()
        ]
        what = f"{change.verb} {plural} {name} v{change.version} by {change.user or 'a hand'} {' '.join(addresses)}"
        self.happened(f"cluster {cluster}", what.rstrip(), shown=plural != LEASES.plural)

    def restored(self, cluster: str) -> None:
        """The cluster went back to a backup."""
        self.views[cluster].rebuild()
        self.on_restore(cluster)
        self.happened(f"cluster {cluster}", f"is back at version {self.kubes[cluster].version}")


def _short(event: RegistryEvent) -> str:
    text = " ".join(
        f"{name}={sorted(value) if isinstance(value, dict | frozenset) else value}"
        for name in event.__slots__
        if (value := getattr(event, name))
    )
    return f"{type(event).__name__} {text[:200]}"
