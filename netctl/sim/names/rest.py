"""What a cluster shall hold of a service, computed afresh: the closed loop, its spill, its floor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netctl.guard.hold import Hold
from netctl.model.naming import InstanceId
from netctl.sim.names import site
from netctl.sim.names.view import Seen
from netctl.sim.names.world import Life, NamesWorld
from netctl.sync.objects import epoch_of

Readiness = Mapping[InstanceId, bool]


def truth(world: NamesWorld, instances: Mapping[InstanceId, Seen]) -> dict[InstanceId, bool]:
    """Which instances answer."""
    return {instance: not world.dead[seen.place] for instance, seen in instances.items()}


def instances_of(life: Life, service: str, cluster: str) -> dict[str, Seen]:
    """Who is to be served in a cluster, as its leader knows: who is listed, and who is held."""
    found = {
        one.name: Seen(one.address, one.ports, one.cloud, one.healthy) for one in life.ledger.listed(service).values()
    }
    holds: list[Hold] = life.shell.controller.holds()
    names = {n for hold in holds if hold.service == service and hold.cluster in ("", cluster) for n in hold.instances}
    unreadable = {
        name
        for (known_service, name) in life.ledger.known
        if known_service == service and life.ledger.unreadable(service, name)
    }
    served = life.shell.controller.services.instances(service)
    for name in sorted((names | (unreadable & served.keys())) - found.keys()):
        if (service, name) in life.ledger.known:
            found[name] = life.ledger.known[service, name]
    return found


def expected(instances: Mapping[str, Seen], ready: Mapping[str, bool], cloud: str) -> dict[str, tuple[str, bool]]:
    """Instance name → (address, ready) in the slices of the cloud's cluster."""
    own = {name: seen for name, seen in instances.items() if seen.cloud == cloud}
    others = {name: seen for name, seen in instances.items() if seen.cloud != cloud}
    if any(ready[name] for name in own):
        return {name: (seen.address, ready[name]) for name, seen in own.items()}
    if any(ready[name] for name in others):
        helpers = {name: (seen.address, True) for name, seen in others.items() if ready[name]}
        return {**helpers, **{name: (seen.address, False) for name, seen in own.items()}}
    return {name: (seen.address, True) for name, seen in (own or others).items()}


def wrong(world: NamesWorld, life: Life, cluster: str, service: str, readiness: Readiness | None = None) -> str:
    """What is not as it shall be of one service in one cluster; "" when it is. ``readiness`` None: what checkers told
    its leader (and of what they have not spoken since its start: what it believes)."""
    view = world.views[cluster]
    if view.foreign_service(service):
        return ""
    instances = instances_of(life, service, cluster)
    known: Readiness = readiness or {**life.shell.controller.health.ready, **life.ledger.verdicts()}
    ready = {name: known.get((service, name), True) is not False for name in instances}
    wanted = expected(instances, ready, cluster)
    found = {name: (seen.address, seen.ready) for name, seen in view.served(service).items()}
    if found != wanted:
        lacking = sorted(wanted.items() - found.items())
        extra = sorted(found.items() - wanted.items())
        return f"{service} in cluster {cluster}: lacking {lacking}, too much {extra}"
    obj = view.service(service)
    if (obj is not None) != bool(wanted):
        return f"the Service {service} in cluster {cluster} " + ("is too much" if obj is not None else "is lacking")
    ports = {port["name"] for port in obj["spec"].get("ports") or ()} if obj is not None else set()
    if wanted and ports != {"http"}:
        return f"the Service {service} in cluster {cluster} has the ports {sorted(ports)}"
    return ""


def unrest(world: NamesWorld) -> str:
    """What is not as it is meant to be, one reason; "" when the world is at rest in its desired state."""
    return next(_unrest(world), "")


def _unrest(world: NamesWorld) -> Iterator[str]:
    for name in (*site.CONTROLLERS, *site.CHECKERS):
        if not world.runs(name):
            yield f"{name} does not run"
    for cluster, view in world.views.items():
        life = world.leader(cluster)
        if life is None or life.shell is None:
            yield f"nobody leads cluster {cluster}"
            continue
        for source, etcd in world.etcds.items():
            state = life.ledger.merger.state(source)
            if life.ledger.lost.get(source, True) or (state.revision, state.entries) != (
                etcd.revision,
                len(etcd.values),
            ):
                yield f"{life.name} is not up to date with source {source}"
        served = life.shell.controller.services.names()
        for service in sorted({*view.services(), *life.ledger.merger.services(), *served}):
            readiness = truth(world, life.ledger.known)
            if reason := wrong(world, life, cluster, service, readiness):
                yield reason
        highest = max((epoch_of(obj) or 0 for obj in view.objects["endpointslices"].values()), default=0)
        if view.epoch < highest:
            yield f"the Lease of cluster {cluster} says epoch {view.epoch}, and a slice {highest}"
