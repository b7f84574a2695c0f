"""What is asked by name during a drill, from where, and what may come of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from netctl.drill.facts import Facts, Host, NamesFacts
from netctl.probe.names.spec import SECOND_US, Lookup, NamesSpec, Visit

CACHE_MS = 1_000.0
"""Another cloud's answers may be this old: the records' TTL is a second."""
BESIDE_A_CUT_MS = 1_200.0
"""For so long requests that cross a provider may fail when one is cut: whoever loses its first packet repeats it after
a second (RFC 6298)."""

INTERVAL_US = 20_000
VISITS_PER_S = 100


@dataclass(frozen=True, slots=True)
class WatchedLookup:
    """``cloud``: where it is asked. ``gone_ms``: by then no dead address may be in the answer; None: no matter.
    ``unchanged``: the answer has to stay what it was."""

    lookup: Lookup
    cloud: str
    gone_ms: float | None = None
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class WatchedVisit:
    """``cloud``: where the client is. ``stretch_ms``: how long, at a stretch, requests may fail; None: any that began
    while the dead address was still handed out may, and none after that."""

    visit: Visit
    cloud: str
    stretch_ms: float | None = None


@dataclass(frozen=True, slots=True)
class NamesWatch:
    """``dead``: addresses that serve nothing during the fault. ``held``: services for which the controllers have to
    show a hold. ``led``: clusters that another one has to lead within ``led_within_ms``, ``killed`` being their leader.
    ``objective_ms``: the objective in one figure."""

    lookups: tuple[WatchedLookup, ...]
    visits: tuple[WatchedVisit, ...]
    objective_ms: float
    dead: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    led: tuple[str, ...] = ()
    led_within_ms: float = 0.0
    killed: str = ""

    @property
    def spec(self) -> NamesSpec:
        """For the probe. Requests are dear, also for those that answer: all together no more than VISITS_PER_S."""
        return NamesSpec(
            tuple(w.lookup for w in self.lookups),
            tuple(w.visit for w in self.visits),
            lookup_interval_us=INTERVAL_US,
            visit_interval_us=max(INTERVAL_US, len(self.visits) * SECOND_US // VISITS_PER_S),
        )


def client(facts: Facts, names: NamesFacts, cloud: str, avoid: Collection[str] = ()) -> Host | None:
    """The VM of a cloud that asks: none of those to avoid if there is another, and the one that serves least."""

    def burden(host: Host) -> tuple[bool, int]:
        serves = sum(host.node in {one.node for one in served} for served in names.services.values())
        return host.node in avoid, serves

    return min((host for host in facts.hosts if host.cloud == cloud), key=burden, default=None)


def lookup(names: NamesFacts, at: Host, service: str, of_cloud: str = "") -> Lookup:
    """``service`` as asked by ``at`` from its own cloud's name server; ``of_cloud``: that cloud's answer is wanted."""
    host = ".".join(filter(None, (service, of_cloud, names.zone)))
    return Lookup(f"{host} in {at.cloud}", at.node, names.servers[at.cloud], host)


def visit(names: NamesFacts, at: Host, service: str) -> Visit:
    host = f"{service}.{names.zone}"
    return Visit(f"{host} from {at.node}", at.node, names.servers[at.cloud], host)


def clients(facts: Facts, names: NamesFacts, avoid: Collection[str] = ()) -> list[Host]:
    """One for each cloud that has a name server."""
    found = (client(facts, names, cloud, avoid) for cloud in sorted(names.servers))
    return [host for host in found if host is not None]


def everything(
    facts: Facts, names: NamesFacts, services: Sequence[str], stretch_ms: float, **wanted: bool
) -> tuple[tuple[WatchedLookup, ...], tuple[WatchedVisit, ...]]:
    """Each service, from a client in each cloud."""
    askers = clients(facts, names)
    lookups = [WatchedLookup(lookup(names, at, s), at.cloud, **wanted) for at in askers for s in services]
    visits = [WatchedVisit(visit(names, at, s), at.cloud, stretch_ms) for at in askers for s in services]
    return tuple(lookups), tuple(visits)


def beside_a_cut(facts: Facts) -> NamesWatch | None:
    """When a provider is cut: from the first cloud, a service that the cloud has itself, of which no request may fail,
    and one that it has not, whose requests cross a provider."""
    names = facts.names
    asker = next(iter(clients(facts, names)), None) if names is not None else None
    if names is None or asker is None:
        return None
    here = {s: any(one.cloud == asker.cloud for one in served) for s, served in names.services.items()}
    chosen = [next((s for s, own in here.items() if own is wanted), None) for wanted in (True, False)]
    watched = [(service, limit) for service, limit in zip(chosen, (0.0, BESIDE_A_CUT_MS), strict=True) if service]
    return NamesWatch(
        lookups=tuple(WatchedLookup(lookup(names, asker, s), asker.cloud) for s, _ in watched),
        visits=tuple(WatchedVisit(visit(names, asker, s), asker.cloud, limit) for s, limit in watched),
        objective_ms=BESIDE_A_CUT_MS,
    )
