# long because: one table of everything that can befall the names half
"""What can go wrong in the naming world, fault by fault: each begins, and returns how it ends."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from netctl.kube.fake.io import Faults
from netctl.kube.fake.store import Snapshot as KubeSnapshot
from netctl.kube.lease import NAME as LEASE_NAME
from netctl.model.clock import MS, SECOND
from netctl.model.kube import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    LEASES,
    MANAGED_BY_LABEL,
    SERVICE_NAME_LABEL,
    SERVICES,
    KubeError,
    Obj,
    Resource,
)
from netctl.names.fake.store import Snapshot as EtcdSnapshot
from netctl.sim.names import site
from netctl.sim.names.ports import late
from netctl.sim.names.schedule import HANDS, NamesFault
from netctl.sim.names.world import GUARD_NAME, NamesWorld

Undo = Callable[[], None]


def _nothing() -> None:
    """What ends by itself needs no end."""


class Disturbances:
    """Lets the faults of a world's schedule happen. ``active``: those that are under way."""

    def __init__(self, world: NamesWorld) -> None:
        self.active: list[NamesFault] = []
        self._world = world
        self._overrides: dict[str, list[bytes | None]] = {}
        """``source|key`` → what faults make of the entry, the last one counts."""
        self._etcd_backups: dict[str, EtcdSnapshot] = {}
        self._kube_backups: dict[str, KubeSnapshot] = {}

    def plan(self, start_ns: int) -> int:
        """Set every fault for its time after ``start_ns``; returns when the last one is over."""
        world, faults = self._world, self._world.schedule.faults
        self._etcd_backups = {name: etcd.snapshot() for name, etcd in world.etcds.items()}
        self._kube_backups = {name: kube.snapshot() for name, kube in world.kubes.items()}
        for fault in faults:
            world.at(start_ns + fault.at_ms * MS, partial(self._begin, fault))
        return start_ns + max((fault.at_ms + fault.for_ms for fault in faults), default=0) * MS

    def _begin(self, fault: NamesFault) -> None:
        world = self._world
        world.trace.add("fault", f"begins: {fault}")
        self.active.append(fault)
        undo: Undo = getattr(self, f"_{fault.kind}")(fault)
        world.happened("fault", f"{fault.kind} {fault.where}")

        def end() -> None:
            world.trace.add("fault", f"ends: {fault}")
            self.active.remove(fault)
            undo()
            world.happened("fault", f"end of {fault.kind} {fault.where}")

        world.after_ms(fault.for_ms, end)

    # --- registries --------------------------------------------------------------------------------------------------

    def _registry_outage(self, fault: NamesFault) -> Undo:
        self._world.etcds[fault.where].go_away()
        return lambda: None if self._still(fault) else self._world.etcds[fault.where].come_back()

    def _registry_cut(self, fault: NamesFault) -> Undo:
        who, _, source = fault.where.partition("/")
        self._world.cuts[who, source] += 1
        if (who, source) in self._world.registries:
            self._world.registries[who, source].cut()

        def undo() -> None:
            self._world.cuts[who, source] -= 1
            if not self._world.cuts[who, source] and (who, source) in self._world.registries:
                self._world.registries[who, source].mend()

        return undo

    def _registry_wipe(self, fault: NamesFault) -> Undo:
        self._world.etcds[fault.where].wipe()
        return lambda: self._register_all(fault.where)

    def _registry_shrink(self, fault: NamesFault) -> Undo:
        etcd = self._world.etcds[fault.where]
        keys = sorted(etcd.values)
        for key in keys[: -(-len(keys) * fault.value // 100)]:
            etcd.delete(key)
        return lambda: self._register_all(fault.where)

    def _registry_restore(self, fault: NamesFault) -> Undo:
        self._world.etcds[fault.where].restore(self._etcd_backups[fault.where])
        return lambda: self._register_all(fault.where)

    def _registry_compact(self, fault: NamesFault) -> Undo:
        self._world.etcds[fault.where].compact()
        return _nothing

    def _deregister(self, fault: NamesFault) -> Undo:
        return self._override({fault.where: None})

    def _move(self, fault: NamesFault) -> Undo:
        service, _, name = fault.where.partition("/")
        number = int(name[1:]) + 100
        return self._override({fault.where: site.value(site.address(name[0], service, number), name[0])})

    def _rename(self, fault: NamesFault) -> Undo:
        """Its address goes on under another name."""
        home = site.REGISTERED[site.source_of(fault.where)][fault.where]
        return self._override({fault.where: None, f"{fault.where}-new": home})

    def _bad_entry(self, fault: NamesFault) -> Undo:
        return self._override({fault.where: b'{"address": "127.0.0.1", "ports": {"http": 80}'})

    def _bad_key(self, fault: NamesFault) -> Undo:
        etcd, key = self._world.etcds[fault.where], "Or_ders/x/y"
        etcd.put(key, b"\xff" * 100)

        def undo() -> None:
            etcd.delete(key)

        return undo

    def _override(self, entries: Mapping[str, bytes | None]) -> Undo:
        source = site.source_of(next(iter(entries)))
        for key, value in entries.items():
            self._overrides.setdefault(f"{source}|{key}", []).append(value)
            self._register(source, key)

        def undo() -> None:
            for key, value in entries.items():
                self._overrides[f"{source}|{key}"].remove(value)
                self._register(source, key)

        return undo

    def _register(self, source: str, key: str) -> None:
        """The registrar of one instance sees to it that its entry is as it means it."""
        etcd, overrides = self._world.etcds[source], self._overrides.get(f"{source}|{key}")
        wanted = overrides[-1] if overrides else site.REGISTERED[source].get(key)
        if wanted is None:
            etcd.delete(key)
        elif etcd.values.get(key) != wanted:
            etcd.put(key, wanted)

    def _register_all(self, source: str) -> None:
        keys = {key.partition("|")[2] for key in self._overrides if key.startswith(f"{source}|")}
        for key in sorted({*site.REGISTERED[source], *keys}):
            self._register(source, key)

    # --- instances and programs --------------------------------------------------------------------------------------

    def _death(self, fault: NamesFault) -> Undo:
        """Nobody answers where it is registered now."""
        service, _, name = fault.where.partition("/")
        entry = self._world.etcds[site.source_of(fault.where)].values.get(fault.where, b"")
        where = site.address(name[0], service, int(name[1:]))
        if (moved := site.address(name[0], service, int(name[1:]) + 100)).encode() in entry:
            where = moved
        place = f"{where}:{site.PORT}"
        self._world.dead[place] += 1

        def undo() -> None:
            self._world.dead[place] -= 1

        return undo

    def _signal(self, fault: NamesFault, number: int) -> Undo:
        self._world.down[fault.where] += 1
        process = self._world.processes.named(fault.where)
        if process is not None:
            process.signal(number)

        def undo() -> None:
            self._world.down[fault.where] -= 1
            self._world.start_program(fault.where)

        return undo

    def _kill(self, fault: NamesFault) -> Undo:
        return self._signal(fault, signal.SIGKILL)

    def _term(self, fault: NamesFault) -> Undo:
        return self._signal(fault, signal.SIGTERM)

    def _stop(self, fault: NamesFault) -> Undo:
        process = self._world.processes.named(fault.where)
        if process is None:
            return _nothing
        process.signal(signal.SIGSTOP)

        def undo() -> None:
            if not self._still(fault):
                process.signal(signal.SIGCONT)

        return undo

    def _still(self, fault: NamesFault) -> bool:
        """Whether another fault of that kind goes on there."""
        return any((other.kind, other.where) == (fault.kind, fault.where) for other in self.active)

    # --- clusters ----------------------------------------------------------------------------------------------------

    def _on_way(self, fault: NamesFault, faults: Faults) -> Undo:
        who, _, cluster = fault.where.partition("/")
        way = self._world.ways[who, cluster]
        way.begin(faults)
        return lambda: way.end(faults, self._world.loop.now_ns)

    def _cluster_cut(self, fault: NamesFault) -> Undo:
        return self._on_way(fault, Faults(unreachable=True))

    def _cluster_silent(self, fault: NamesFault) -> Undo:
        return self._on_way(fault, Faults(silent=True))

    def _cluster_status(self, fault: NamesFault) -> Undo:
        return self._on_way(fault, Faults(status=fault.value, retry_after_s=1.0 if fault.value == 429 else 0.0))

    def _cluster_slow(self, fault: NamesFault) -> Undo:
        return self._on_way(fault, Faults(delay_s=fault.value * MS / SECOND))

    def _cluster_late(self, fault: NamesFault) -> Undo:
        return self._on_way(fault, late(fault.value))

    def _api_restart(self, fault: NamesFault) -> Undo:
        self._world.kubes[fault.where].end_watches()
        mends = [
            self._on_way(msgspec.structs.replace(fault, where=f"{who}/{fault.where}"), Faults(unreachable=True))
            for who in site.CONTROLLERS
        ]

        def undo() -> None:
            for mend in mends:
                mend()

        return undo

    def _kube_restore(self, fault: NamesFault) -> Undo:
        self._world.kubes[fault.where].restore(self._kube_backups[fault.where])
        for who in site.CONTROLLERS:
            self._world.ways[who, fault.where].disturbed(self._world.loop.now_ns)
        self._world.restored(fault.where)
        return _nothing

    def _kube_compact(self, fault: NamesFault) -> Undo:
        self._world.kubes[fault.where].compact()
        return _nothing

    # --- hands -------------------------------------------------------------------------------------------------------

    def _hand(self, fault: NamesFault) -> Undo:
        cluster, _, service = fault.where.partition("/")
        view, kube = self._world.views[cluster], self._world.kubes[cluster]
        what = HANDS[fault.value]
        if what in ("delete_lease", "delete_guard", "delete_service"):
            resource, name = {
                "delete_lease": (LEASES, LEASE_NAME),
                "delete_guard": (CONFIG_MAPS, GUARD_NAME),
                "delete_service": (SERVICES, service),
            }[what]
            self._delete(cluster, resource, name)
            return _nothing
        slices = view.slices(service)
        if what == "ports" and (found := view.service(service)) is not None:
            spec = {**found["spec"], "ports": [{"name": "wrong", "port": 1, "protocol": "TCP"}]}
            kube.replace(SERVICES, site.NAMESPACE, {**found, "spec": spec})
        elif what == "delete_slice" and slices:
            self._delete(cluster, ENDPOINT_SLICES, slices[0].name)
        elif what in ("empty_slice", "unready", "relabel") and slices:
            kube.replace(ENDPOINT_SLICES, site.NAMESPACE, _spoilt(slices[0].obj, what))
            if what == "relabel":
                return partial(self._delete, cluster, ENDPOINT_SLICES, slices[0].name)
        return _nothing

    def _foreign(self, fault: NamesFault) -> Undo:
        """Somebody's Service instead of ours, and somebody's slice beside ours."""
        cluster, _, service = fault.where.partition("/")
        self._delete(cluster, SERVICES, service)
        port = {"name": "http", "port": 80}
        theirs = {"metadata": {"name": service}, "spec": {"clusterIP": "None", "ports": [port]}}
        labels = {SERVICE_NAME_LABEL: service, MANAGED_BY_LABEL: "somebody"}
        endpoint = {"addresses": ["10.99.0.1"]}
        beside = {
            "metadata": {"name": f"{service}-somebody", "labels": labels},
            "addressType": "IPv4",
            "endpoints": [endpoint],
            "ports": [port],
        }
        for resource, obj in ((SERVICES, theirs), (ENDPOINT_SLICES, beside)):
            try:
                self._world.kubes[cluster].create(resource, site.NAMESPACE, obj)
            except KubeError:
                continue  # it is there already

        def undo() -> None:
            if not self._still(fault):
                if self._world.views[cluster].foreign_service(service):
                    self._delete(cluster, SERVICES, service)
                self._delete(cluster, ENDPOINT_SLICES, f"{service}-somebody")

        return undo

    def _delete(self, cluster: str, resource: Resource, name: str) -> None:
        if self._world.views[cluster].get(resource, name) is not None:
            self._world.kubes[cluster].delete(resource, site.NAMESPACE, name, uid="", resource_version="")


def _spoilt(obj: Obj, what: str) -> Obj:
    """A copy of a slice after a hand has been at it."""
    copy: Obj = msgspec.json.decode(msgspec.json.encode(obj))
    if what == "empty_slice":
        copy["endpoints"] = []
    elif what == "unready":
        for endpoint in copy["endpoints"] or ():
            endpoint["conditions"] = {"ready": not endpoint["conditions"].get("ready", True)}
    else:
        copy["metadata"]["labels"][MANAGED_BY_LABEL] = "somebody"
    return copy
