# long because: it is one mind, and half of it are the answers to what its clusters ask
"""``Controller``: everything that the controller decides. ``handle(event, now_ns, wall)`` says what to do.

Incremental by service: an event touches services; each is judged by the shrink guard, has its instances checked, and is
planned in every cluster that this controller leads. ``handle`` does so at once for a handful of services; where there
are many (a first list), ``work`` is to be called again while ``busy``, so that nothing else waits for long.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice

from netctl.controller import events as e
from netctl.controller.cluster import Cluster
from netctl.controller.health import Health
from netctl.controller.removals import Removals
from netctl.controller.services import Services
from netctl.guard.hold import Hold
from netctl.guard.shrink import ShrinkGuard
from netctl.kube.informer import Relisted
from netctl.kube.lease import LeaseMachine
from netctl.model.clock import SECOND
from netctl.model.controller import Controller as Settings
from netctl.model.errors import RefusedError, UsageError
from netctl.model.kube import ENDPOINT_SLICES, Plan
from netctl.model.naming import Instance, Skipped
from netctl.model.ports import Changed
from netctl.names.catalog import Merger
from netctl.sync.objects import served
from netctl.sync.plan import plan
from netctl.sync.want import Wanted, want

REGRET_NS = 30 * SECOND
"""How long it may take from a namespace's first object that goes to its Lease, and until that is noticed."""
PORTION = 64
"""Services judged and planned in one go: some 10 ms."""
REFUSALS_TOLD = 20
"""So many entries that are refused by one event are logged."""


class Controller:
    """One controller's mind. ``leases`` are shared with whoever keeps them (``netctl.kube.leading``)."""

    def __init__(self, settings: Settings, now_ns: int, wall: float) -> None:
        self.settings = settings
        self.since_wall = wall
        clouds = clouds_of(settings)
        self.merger = Merger(settings.sources, clouds, wall)
        self.guard = ShrinkGuard(settings.guards.max_shrink)
        self.health = Health(clouds)
        self.services = Services(self.merger, self.guard, self.health)
        self._start = now_ns, wall
        duration_ns = int(settings.lease_s * SECOND)
        self.clusters = {
            one.name: Cluster(
                one,
                LeaseMachine(settings.identity, duration_ns),
                Removals(one.name, settings.guards.removals, self.guard, self.wall_of),
                self,
                wall,
            )
            for one in settings.clusters
        }
        self._touched: dict[str, None] = {}
        self._told: dict[str, tuple[str, str]] = {}
        """Source → its state and reason as last logged; only those that have spoken are in it."""
        self._all_spoke = False
        self._removable = False
        """Sources have said everything and clusters have been read: from now on one that is not listed is missing."""

    def wall_of(self, now_ns: int) -> float:
        """Wall time as it was at the start plus what has passed: steps of the wall clock cannot pass for time."""
        return self._start[1] + (now_ns - self._start[0]) / SECOND

    # --- events ------------------------------------------------------------------------------------------------------

    def handle(self, event: e.Event, now_ns: int) -> list[e.Effect]:
        """Take one event, and do what follows from it for the first ``PORTION`` services."""
        match event:
            case e.SourceSaid():
                effects = self._source_said(event, now_ns)
            case e.ClusterSaid():
                effects = self._cluster_said(event, now_ns)
            case e.CheckerCame() | e.CheckerSaid() | e.CheckerLeft():
                effects = self._checker_said(event, now_ns)
            case e.TimerDue():
                self.touch(service for service, _ in self.health.expire(now_ns))
                effects = []
            case _:
                effects = self._answered(event, now_ns)
        self._look_for_missing()
        return effects + self.work(now_ns)

    def _look_for_missing(self) -> None:
        """What is served and listed nowhere is missing once all have spoken; judged cluster by cluster, before the
        others are read, more would go than the guard's rule lets go at once."""
        if not self._removable and self.merger.listed and self._heard_all():
            self._removable = True
            self.touch([*self.services.names(), *(hold.service for hold in self.guard.holds())])

    def _answered(
        self, event: e.LeaseTurned | e.Wrote | e.WriteFailed | e.ObjectRead | e.ReadFailed, now_ns: int
    ) -> list[e.Effect]:
        cluster = self.clusters[event.cluster]
        match event:
            case e.LeaseTurned():
                return self._lease_turned(cluster, now_ns)
            case e.Wrote(_, service, write, stored):
                return cluster.wrote(service, write, stored, now_ns)
            case e.WriteFailed(_, service, write, error):
                return cluster.write_failed(service, write, error, now_ns)
            case e.ObjectRead(_, service, resource, name, stored):
                return cluster.read(resource, service, name, stored, now_ns)
            case e.ReadFailed(_, service, resource, name, failure):
                return cluster.read_failed(resource, service, name, failure, now_ns)

    def _checker_said(self, event: e.CheckerCame | e.CheckerSaid | e.CheckerLeft, now_ns: int) -> list[e.Effect]:
        match event:
            case e.CheckerCame(key, cloud, checker):
                return self.health.came(key, cloud, checker, self.wall_of(now_ns))
            case e.CheckerSaid(key, verdicts):
                self.touch(service for service, _ in self.health.said(key, verdicts, now_ns))
                return []
            case e.CheckerLeft(key):
                changed, notes = self.health.left(key, self.wall_of(now_ns))
                self.touch(service for service, _ in changed)
                return notes

    def _source_said(self, event: e.SourceSaid, now_ns: int) -> list[e.Effect]:
        before = self._told.get(event.source)
        concerned = self.merger.take(event.source, event.event, self.wall_of(now_ns))
        # An entry that cannot be read, of a service that there is not: thousands of them must not delay the others.
        self.touch(one for one in concerned if self.merger.instances(one) or self.services.instances(one))
        notes: list[e.Effect] = [*_refusal_notes(self.merger.refused)]
        if isinstance(event.event, Changed) and before == ("synced", ""):
            return notes
        state = self.merger.state(event.source)
        if before == (state.state, state.reason):
            return notes
        self._told[event.source] = (state.state, state.reason)
        fields = {"source": state.name, "state": state.state, "entries": state.entries, "why": state.reason}
        return [*notes, e.Note("info" if state.state == "synced" and not state.reason else "warning", "source", fields)]

    def _cluster_said(self, event: e.ClusterSaid, now_ns: int) -> list[e.Effect]:
        cluster = self.clusters[event.cluster]
        first = isinstance(event.notice, Relisted) and event.resource.plural not in cluster.observed.listed
        services, effects = cluster.said(event.resource, event.notice)
        if event.resource is ENDPOINT_SLICES and (first or not cluster.leading):
            restored = isinstance(event.notice, Relisted) and event.notice.restored
            for service in sorted(services):
                self._learn(cluster, service, inherit=first and self.settings.checkers is not None)
                if cluster.is_led_by_another and not restored:
                    self._let_go(cluster, service, now_ns)
        return effects

    def _let_go(self, cluster: Cluster, service: str, now_ns: int) -> None:
        """What the leader of a cluster has let go is let go here too."""
        found = served(service, cluster.observed.slices(service))
        if gone := self.services.release(service, cluster.settings.cloud, found.keys()):
            while cluster.let_go and cluster.let_go[0][0] < now_ns - REGRET_NS:
                cluster.let_go.popleft()
            cluster.let_go.append((now_ns, service, gone))
            self.touch([service])

    def _lease_turned(self, cluster: Cluster, now_ns: int) -> list[e.Effect]:
        """When the Lease vanishes, it was no leader who let go what vanished just before: it went with the Lease."""
        while cluster.let_go and not cluster.lease.exists:
            when_ns, service, instances = cluster.let_go.popleft()
            if when_ns >= now_ns - REGRET_NS and self.services.adopt(service, instances):
                self.touch([service])
        return cluster.lease_turned(self.wall_of(now_ns))

    def _learn(self, cluster: Cluster, service: str, *, inherit: bool) -> None:
        """What the slices of a cluster that we do not lead (yet) tell about a service."""
        found = served(service, cluster.observed.slices(service))
        if self.services.adopt(service, {name: one.instance for name, one in found.items()}):
            self.touch([service])
        for one in found.values() if inherit else ():
            if not one.ready:
                self.health.inherit(one.instance.id, one.instance.cloud)

    def touch(self, services: Iterable[str]) -> None:
        """Judge and plan these anew."""
        self._touched.update(dict.fromkeys(sorted(services)))  # no set's order: it hangs on the hash seed

    # --- work --------------------------------------------------------------------------------------------------------

    def work(self, now_ns: int, portion: int = PORTION) -> list[e.Effect]:
        """Judge and plan up to ``portion`` services."""
        effects: list[e.Effect] = []
        for service in list(islice(self._touched, portion)):
            del self._touched[service]
            effects += self._judge(service, now_ns)
        for cluster in self.clusters.values():
            cluster.removals.budget.catalog = self.services.total
            effects += cluster.work(now_ns, portion)
        return effects

    def busy(self, now_ns: int) -> bool:
        """Whether ``work`` has more to do now."""
        return bool(self._touched) or any(cluster.more(now_ns) for cluster in self.clusters.values())

    def next_timer(self, now_ns: int) -> int | None:
        """When TimerDue is to come, monotonic nanoseconds."""
        times = [self.health.next_timer(), *(cluster.next_timer(now_ns) for cluster in self.clusters.values())]
        return min((time for time in times if time is not None), default=None)

    def _judge(self, service: str, now_ns: int) -> list[e.Effect]:
        hold = self.services.hold(service)
        self.health.judge(service, self.checked(service), now_ns)
        self.services.judge(service, now_ns, self.wall_of(now_ns), removable=self._removable)
        check = self.settings.service(service).check or self.settings.check
        effects = self.health.check(service, self.checked(service), check)
        for cluster in self.clusters.values():
            cluster.mark(service, unsettled=False)
        now_held = self.services.hold(service)
        if now_held != hold:
            for cluster in self.clusters.values():
                cluster.removals.outdated()
            effects.append(_hold_note(service, now_held))
        return effects

    def checked(self, service: str) -> dict[str, Instance]:
        """All instances that are served anywhere, by intent or because a budget keeps them."""
        wanted = self.services.instances(service)
        kept: dict[str, Instance] = {}
        for cluster in self.clusters.values():
            kept.update(cluster.removals.kept(service, wanted))
        return {**kept, **wanted}

    # --- what clusters ask (cluster.World) ---------------------------------------------------------------------------

    def service_names(self) -> Collection[str]:
        return self.services.names()

    def ready_to_write(self) -> bool:
        # A list that hangs takes its time to fail. The Lease's requests are short: one that is silent costs no other.
        return self._heard_all() or self._heard_sources_and(lambda c: c.trouble or c.lease.problem)

    def _heard_all(self) -> bool:
        if not self._all_spoke:
            self._all_spoke = self._heard_sources_and(lambda c: c.trouble)
        return self._all_spoke

    def _heard_sources_and(self, failing: Callable[[Cluster], object]) -> bool:
        """Whether all sources have spoken, and all clusters that are not ``failing``."""
        if len(self._told) < len(self.settings.sources):
            return False
        return all(cluster.observed.complete or failing(cluster) for cluster in self.clusters.values())

    def wanted(self, service: str, cluster: Cluster) -> Wanted | None:
        """What the service shall look like in the cluster, None: it shall not be there."""
        here = self.services.instances(service)
        if kept := cluster.removals.kept(service, here):
            failing = self.health.dead(service, kept)
            here = {**{n: one for n, one in kept.items() if n not in failing}, **here}
        return want(service, here.values(), self.health.ready, cluster.settings.cloud, self.settings.service(service))

    def plan(self, service: str, cluster: Cluster, wanted: Wanted | None) -> Plan:
        dead = self.services.corroborated(service)
        if kept := cluster.removals.kept(service, self.services.instances(service)):
            dead = {*dead, *self.health.dead(service, kept)}
        return plan(
            service,
            wanted,
            cluster.observed.services.get(service),
            cluster.observed.slices(service),
            namespace=cluster.settings.namespace,
            epoch=cluster.lease.epoch,
            force_epoch=cluster.rewrite.get(service, ()),
            corroborated=dead,
        )

    def settled(self, service: str) -> None:
        clusters = self.clusters.values()
        if self.services.corroborated(service) and all(c.observed.complete and not c.trouble for c in clusters):
            there = {name for c in clusters for name in served(service, c.observed.slices(service))}
            self.services.settled(service, there)

    def leaving(self, service: str, cluster: Cluster, names: Collection[str]) -> dict[str, Instance]:
        found = served(service, cluster.observed.slices(service))
        return {name: one.instance for name, one in found.items() if name in names}

    def restored(self, services: Collection[str]) -> None:
        """What is held and still in the slices is served, also where it was judged before the hold was known of."""
        held = {hold.service: hold.instances for hold in self.guard.holds()}
        for service in services:
            for cluster in self.clusters.values():
                found = served(service, cluster.observed.slices(service))
                names = found.keys() & set(held.get(service, ()))
                self.services.adopt(service, {name: found[name].instance for name in sorted(names)})
        self.touch(services)

    # --- holds -------------------------------------------------------------------------------------------------------

    def holds(self) -> list[Hold]:
        return [*self.guard.holds(), *(hold for c in self.clusters.values() for hold in c.removals.holds())]

    def approve(self, hold_id: str, now_ns: int) -> tuple[Hold, list[e.Effect]]:
        """Let what a hold keeps go. Raises UsageError for an unknown hold, RefusedError where another one leads."""
        if not any(cluster.leading for cluster in self.clusters.values()):
            leaders = sorted({cluster.lease.holder for cluster in self.clusters.values() if cluster.lease.holder})
            raise RefusedError(
                f"{self.settings.identity} leads no cluster, so it cannot let anything go",
                f"approve it at the leader: {', '.join(leaders) or 'nobody leads at the moment'}",
            )
        hold = next((h for c in self.clusters.values() if (h := c.removals.approve(hold_id)) is not None), None)
        if hold is None:
            try:
                hold = self.guard.approve(hold_id)
            except UsageError as error:
                known = ", ".join(hold.id for hold in self.holds())
                raise UsageError(error.message, f"holds: {known}" if known else "there are none now") from None
        self.touch([hold.service])
        note = e.Note("info", "hold approved", {"hold": hold.id, "service": hold.service, "reason": hold.reason})
        return hold, [note, *self.work(now_ns)]


def clouds_of(settings: Settings) -> tuple[str, ...]:
    """The clouds that an instance can be in: those of the clusters, of DNS servers, and of sources' defaults."""
    clouds = [
        *(c.cloud for c in settings.clusters),
        *settings.dns.servers,
        *(s.cloud for s in settings.sources if s.cloud),
    ]
    return tuple(dict.fromkeys(clouds))


def _refusal_notes(refused: Sequence[Skipped]) -> Iterator[e.Note]:
    """A line for each entry that is skipped from now on; thousands at once must not fill the log."""
    for one in refused[:REFUSALS_TOLD]:
        yield e.Note("warning", "entry refused", {"source": one.source, "key": one.key, "why": one.reason})
    if (more := len(refused) - REFUSALS_TOLD) > 0:
        yield e.Note("warning", "entries refused", {"source": refused[-1].source, "why": f"and {more} more"})


def _hold_note(service: str, hold: Hold | None) -> e.Note:
    if hold is None:
        return e.Note("info", "hold ended", {"service": service})
    return e.Note("warning", "held", {"service": service, "hold": hold.id, "why": hold.reason})
