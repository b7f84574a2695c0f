"""``plan``: the writes that turn one service in one cluster from what was observed into what is wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from netctl.model.kube import ENDPOINT_SLICES, OWNER_LABEL, SERVICES, Foreign, Obj, Plan, Write
from netctl.sync.objects import (
    Group,
    Slice,
    address_of,
    endpoint_data,
    epoch_of,
    group_of,
    instance_of,
    is_ready,
    labels_of,
    name_of,
    owned_by,
    owner_reference,
    read_slice,
    slice_labels,
    slice_metadata_is_right,
    slice_object,
    uid_of,
)
from netctl.sync.order import in_safe_order
from netctl.sync.pack import Bin, pack
from netctl.sync.services import is_ours, read_service, service_object
from netctl.sync.want import Wanted
from netctl.sync.words import difference

_NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where and how to write: the service's name, its namespace, the epoch, and what must carry that very epoch."""

    service: str
    namespace: str
    epoch: int
    force_epoch: Collection[str]

    def is_late(self, obj: Obj) -> bool:
        return bool(self.force_epoch) and name_of(obj) in self.force_epoch and epoch_of(obj) != self.epoch


def plan(
    service: str,
    wanted: Wanted | None,
    service_obj: Obj | None,
    slices: Sequence[Obj],
    *,
    namespace: str,
    epoch: int,
    force_epoch: Collection[str] = _NOBODY,
    corroborated: Collection[str] = _NOBODY,
) -> Plan:
    """``wanted`` None: the service shall go. ``service_obj``: the object of that name, whoever's. ``slices``: all that
    ``objects.service_of`` says are this service's, whoever's.

    ``force_epoch``: names of objects (the Service's, slices') that changed since we lead: they must carry our epoch,
    also when their content is right. ``corroborated``: instances that checks have long called failing;
    that they leave is no removal in the budget's sense. Do the writes in order; with ``more`` plan again as soon as
    they are done.
    """
    place = _Place(service, namespace, epoch, force_epoch)
    read = [read_slice(obj) for obj in slices]
    own = [one for one in read if one.ours]
    foreign = [_foreign_slice(one) for one in read if not one.ours]
    ours = service_obj is not None and is_ours(service_obj)
    if service_obj is not None and not ours:
        label = labels_of(service_obj).get(OWNER_LABEL)
        says = f"its label {OWNER_LABEL} says {label!r}" if label else f"it has no label {OWNER_LABEL}"
        foreign.insert(0, Foreign("Service", service, f"not netctl's ({says}): left alone"))
        own = [one for one in own if owned_by(one.obj, uid_of(service_obj))]
        if not own:
            return Plan(foreign=tuple(foreign))
    if wanted is None:
        writes = [_delete_slice(one, "nothing is left to serve") for one in own]
        if ours and service_obj is not None:
            writes.append(Write("delete", SERVICES, service, service_obj, "nothing is left to serve"))
        more = False
    else:
        writes, more = _converge(place, wanted, service_obj, read)
    return _counted(Plan(tuple(writes), tuple(foreign), more), wanted, own, corroborated)


def _foreign_slice(one: Slice) -> Foreign:
    managed = f"managed by {one.manager}" if one.manager else "managed by nobody (it has no label that says so)"
    return Foreign("EndpointSlice", one.name, f"{managed}, not by netctl: left alone")


def _converge(
    place: _Place, wanted: Wanted, service_obj: Obj | None, slices: Sequence[Slice]
) -> tuple[list[Write], bool]:
    ours = service_obj is None or is_ours(service_obj)
    service_write = _service_write(place, wanted, service_obj) if ours else None
    if service_obj is None or (service_write is not None and service_write.verb == "delete"):
        return [service_write] if service_write is not None else [], True
    writes = [service_write] if service_write is not None else []
    slice_writes, more = _slice_writes(place, wanted, uid_of(service_obj), slices)
    return writes + slice_writes, more


def _service_write(place: _Place, wanted: Wanted, observed: Obj | None) -> Write | None:
    metadata = (place.service, place.namespace)
    if observed is None:
        obj = service_object(None, metadata, wanted.type, _service_ports(wanted, {}), place.epoch)
        return Write("create", SERVICES, place.service, obj, f"create the Service ({wanted.type})")
    read = read_service(observed)
    if read.headless != (wanted.type == "headless"):
        why = f"make it {wanted.type}, which needs a new Service (clusterIP cannot be changed)"
        return Write("delete", SERVICES, place.service, observed, why)
    ports = _service_ports(wanted, read.ports or {})
    if read.plain and read.ports == ports:
        if not place.is_late(observed):
            return None
        why = f"epoch {epoch_of(observed)}, not {place.epoch}"
    else:
        why = "put right " + ("its ports" if read.plain else "its type or selector")
    obj = service_object(observed, metadata, wanted.type, ports, place.epoch)
    return Write("replace", SERVICES, place.service, obj, why)


def _service_ports(wanted: Wanted, observed: dict[str, int]) -> dict[str, int]:
    """The number the Service has stays while an instance has it; no number twice (the API server refuses it)."""
    ports: dict[str, int] = {}
    lacking: list[tuple[str, int]] = []
    for name, numbers in wanted.ports:
        candidates = [observed[name], *numbers] if observed.get(name) in numbers else list(numbers)
        taken = set(ports.values())
        if (free := next((number for number in candidates if number not in taken), None)) is not None:
            ports[name] = free
        else:
            lacking.append((name, candidates[0]))
    for name, number in lacking:  # only now, so that no made-up number is taken from a port that really has it
        taken = set(ports.values())
        ports[name] = next(n for n in (n % 65535 + 1 for n in count(number)) if n not in taken)
    return ports


def _slice_writes(place: _Place, wanted: Wanted, uid: str, slices: Sequence[Slice]) -> tuple[list[Write], bool]:
    labels = slice_labels(place.service, wanted.type)
    owner = owner_reference(place.service, uid)
    groups: dict[Group, dict[str, Obj]] = {}
    for endpoint in wanted.endpoints:
        group = groups.setdefault(group_of(endpoint.instance), {})
        group[endpoint.instance.name] = endpoint_data(endpoint)
    bins = pack(groups, [one for one in slices if one.ours])
    for one in bins:
        if one.observed is not None and one.endpoints and not one.touched:
            obj = one.observed.obj
            one.touched = place.is_late(obj) or not slice_metadata_is_right(obj, labels, uid)
    numbers = _free_numbers(slices)
    writes: list[Write] = []
    for one in bins:
        if one.observed is None:
            name = f"{place.service}-netctl-{next(numbers)}"
            obj = slice_object(None, (name, place.namespace, labels, owner), _group(one), one.endpoints, place.epoch)
            writes.append(Write("create", ENDPOINT_SLICES, name, obj, difference([], one.endpoints)))
    changed, more = in_safe_order(bins)
    for one in changed:
        old = _observed(one)
        metadata = (old.name, place.namespace, labels, owner)
        obj = slice_object(old.obj, metadata, _group(one), one.endpoints, place.epoch)
        why = difference(old.endpoints, one.endpoints) or _metadata_why(place, old)
        writes.append(Write("replace", ENDPOINT_SLICES, old.name, obj, why))
    if not more:
        writes += [_delete_slice(_observed(one), "empty") for one in bins if not one.endpoints]
    return writes, more


def _metadata_why(place: _Place, old: Slice) -> str:
    if place.is_late(old.obj):
        return f"epoch {epoch_of(old.obj)}, not {place.epoch}"
    return "put right its labels, owner or ports"


def _observed(one: Bin) -> Slice:
    assert one.observed is not None
    return one.observed


def _group(one: Bin) -> Group:
    assert one.group is not None
    return one.group


def _free_numbers(slices: Iterable[Slice]) -> Iterator[int]:
    taken = {one.number for one in slices}
    return (number for number in count(1) if number not in taken)


def _delete_slice(one: Slice, why: str) -> Write:
    return Write("delete", ENDPOINT_SLICES, one.name, one.obj, difference(one.endpoints, []) or why)


def _counted(found: Plan, wanted: Wanted | None, own: Sequence[Slice], corroborated: Collection[str]) -> Plan:
    """Fill in what the writes remove: ready instances that are gone altogether, without checks calling them failing.

    Each counts once, at the last write that takes it out of a slice. One whose address answers on under another name
    is none.
    """
    if not found.writes:
        return found
    stay = wanted.known if wanted is not None else _NOBODY
    places = frozenset(wanted.answers) if wanted is not None else _NOBODY

    def leaving(endpoints: Iterable[Any]) -> set[str]:
        names = {instance_of(raw) for raw in endpoints if is_ready(raw) and address_of(raw) not in places}
        return {name for name in names if name and name not in stay and name not in corroborated}

    observed = {one.name: leaving(one.endpoints) for one in own}
    if not any(observed.values()):
        return found
    seen: set[str] = set()
    writes = list(found.writes)
    for index in range(len(writes) - 1, -1, -1):
        write = writes[index]
        if write.resource is not ENDPOINT_SLICES or write.verb == "create":
            continue
        removed = observed.get(write.name, set()) - seen
        if write.verb == "replace":
            removed -= leaving(write.object["endpoints"])
        seen |= removed
        writes[index] = replace(write, removes=len(removed)) if removed else write
    return replace(found, writes=tuple(writes), removed=tuple(sorted(seen)))
