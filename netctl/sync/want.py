"""``want``: what a service shall look like in one cluster: the closed loop, and the panic floor under it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from netctl.model.controller import ServiceSettings, ServiceType
from netctl.model.naming import Instance, Readiness

MAX_HEADLESS = 64
"""How many addresses a headless name answers with at most: 73 fit into an answer of 1232 bytes."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One instance in a cluster's slices."""

    instance: Instance
    ready: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """A service in one cluster. ``cloud``: the cluster's. ``endpoints``: by instance name; never empty.

    ``ports``: port name → the numbers that instances have, the most frequent first; by name, of all instances in all
    clouds (a spill does not change the Service). ``known``: all instances that there are, served here or not: one that
    is here and leaves the slices is no removal. ``serving``: the clouds whose instances are ready here. ``panic``:
    nothing can serve anywhere, so readiness is not believed. ``why``: the rule that applied, in words.
    """

    service: str
    cloud: str
    type: ServiceType
    endpoints: tuple[Endpoint, ...]
    ports: tuple[tuple[str, tuple[int, ...]], ...]
    known: frozenset[str]
    serving: tuple[str, ...]
    panic: bool
    why: str

    @property
    def answers(self) -> tuple[str, ...]:
        """The addresses that are ready, sorted."""
        return tuple(sorted({endpoint.instance.address for endpoint in self.endpoints if endpoint.ready}))


def want(
    service: str, instances: Collection[Instance], readiness: Readiness, cloud: str, settings: ServiceSettings
) -> Wanted | None:
    """``instances``: what the guards let be served (held ones included), of all clouds; none: None, no service here.

    Ready is who the registry calls healthy and no check calls failing.
    """
    if not instances:
        return None
    headless = settings.type == "headless"
    own: list[Endpoint] = []
    others: list[Endpoint] = []
    for instance in instances:
        ready = instance.healthy and readiness.get((service, instance.name)) is not False
        (own if instance.cloud == cloud else others).append(Endpoint(instance, ready))
    able = sum(endpoint.ready for endpoint in own)
    helpers = [] if able else [endpoint for endpoint in others if endpoint.ready]
    panic = not able and not helpers
    if panic:
        endpoints, cut = _some(service, _floor(own or others), headless)
    else:
        endpoints, cut = _some(service, own, headless)
        if helpers:
            helpers, cut = _some(service, helpers, headless)
            endpoints = [*endpoints, *helpers]
    endpoints.sort(key=lambda endpoint: endpoint.instance.name)
    serving = Counter(endpoint.instance.cloud for endpoint in endpoints if endpoint.ready)
    why = _why(cloud, len(own), able, serving, panic=panic)
    return Wanted(
        service,
        cloud,
        settings.type,
        tuple(endpoints),
        _ports(instances),
        frozenset(instance.name for instance in instances),
        tuple(sorted(serving)),
        panic,
        f"{why}; a headless name answers with {MAX_HEADLESS} at most, {cut} more could" if cut else why,
    )


def _floor(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Whatever the checks say, they are ready: those that the registry calls healthy, and if there are none, all."""
    any_healthy = any(endpoint.instance.healthy for endpoint in endpoints)
    return [Endpoint(e.instance, e.instance.healthy or not any_healthy) for e in endpoints]


def _some(service: str, endpoints: list[Endpoint], headless: bool) -> tuple[list[Endpoint], int]:
    """Of a headless name at most MAX_HEADLESS ready ones, and how many ready ones were left out.

    Rendezvous: each instance has a rank of its own (a hash), the first ranks answer; so one that comes, goes or fails
    changes one place. One that is not ready takes no place, but stays known to the slices while its rank is among
    the first MAX_HEADLESS.
    """
    if not headless or len(endpoints) <= MAX_HEADLESS:
        return endpoints, 0
    chosen: list[Endpoint] = []
    ready = 0
    for rank, endpoint in enumerate(sorted(endpoints, key=lambda endpoint: _rank(service, endpoint.instance.name))):
        if endpoint.ready and ready < MAX_HEADLESS:
            ready += 1
            chosen.append(endpoint)
        elif not endpoint.ready and rank < MAX_HEADLESS:
            chosen.append(endpoint)
    return chosen, sum(endpoint.ready for endpoint in endpoints) - ready


def _rank(service: str, name: str) -> bytes:
    return blake2b(f"{service}/{name}".encode(), digest_size=8).digest()


def _ports(instances: Iterable[Instance]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    sets = Counter(instance.ports for instance in instances)
    numbers: dict[str, Counter[int]] = {}
    for ports, count in sets.items():
        for name, number in ports:
            numbers.setdefault(name, Counter())[number] += count
    return tuple((name, tuple(sorted(found, key=lambda n: (-found[n], n)))) for name, found in sorted(numbers.items()))


def _why(cloud: str, own: int, able: int, serving: Counter[str], *, panic: bool) -> str:
    has = f"{able} of cloud {cloud}'s {own} {_instances(own)} ready" if own else f"cloud {cloud} has no instance"
    if panic:
        whose = f"cloud {cloud}'s own" if own else "those of cloud " + ", ".join(sorted(serving))
        return f"no instance is ready in any cloud, so readiness is not believed: {whose} answer"
    if able:
        return has
    return f"{has}, so others answer: " + ", ".join(
        f"{count} of cloud {name}" for name, count in sorted(serving.items())
    )


def _instances(number: int) -> str:
    return "instance is" if number == 1 else "instances are"
