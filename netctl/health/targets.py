"""The controller's side: what the checkers of one cloud are to check, and what they say together.

``TargetBook`` turns instances into CheckTargets: all of them for a checker that connects, changes afterwards.
``VerdictTable`` joins the opinions of the cloud's checkers into one verdict for each instance.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from netctl.ipc.messages import CheckTarget, CheckTargets, Verdicts
from netctl.model.controller import ServiceCheck
from netctl.model.naming import Instance, InstanceId

SHORTEST_INTERVAL_MS = 10
Judgement = Literal["passing", "failing", "unknown"]


def target_of(instance: Instance, check: ServiceCheck) -> CheckTarget | None:
    """What to check of an instance; None: nothing (kind none, or it has not got that port), so it stays unknown."""
    ports = dict(instance.ports)
    port = ports.get(check.port) if check.port is not None else next(iter(ports.values()), None)
    if check.kind == "none" or port is None:
        return None
    host = f"[{instance.address}]" if ":" in instance.address else instance.address
    at = f"{host}:{port}"
    return CheckTarget(
        instance.service,
        instance.name,
        tcp=at if check.kind == "tcp" else None,
        http=f"http://{at}{check.path}" if check.kind == "http" else None,
        interval_ms=check.interval_ms,
        timeout_ms=check.timeout_ms,
        rise=check.rise,
        fall=check.fall,
    )


def place_of(target: CheckTarget) -> str:
    """The address and port that a target's verdict is about (``10.1.0.5:80``), as in ``Verdict.for_target``."""
    return target.tcp if target.tcp is not None else urlsplit(target.http or "").netloc


def problem_of(target: CheckTarget) -> str:
    """In words, why a target that came over a socket cannot be checked; empty: it can."""
    if (target.tcp is None) == (target.http is None):
        return "neither tcp nor http, or both"
    try:
        parts = urlsplit(target.http if target.http is not None else f"tcp://{target.tcp}")
        if not parts.hostname or parts.scheme not in {"tcp", "http", "https"} or (target.tcp and not parts.port):
            return f"{target.http or target.tcp!r} is no place to connect to"
    except ValueError as error:
        return f"{target.http or target.tcp!r}: {error}"
    if target.interval_ms < SHORTEST_INTERVAL_MS or target.timeout_ms < 1 or target.rise < 1 or target.fall < 1:
        return f"interval_ms under {SHORTEST_INTERVAL_MS}, or timeout_ms, rise or fall under 1"
    return ""


class TargetBook:
    """What is to be checked in one cloud."""

    def __init__(self, cloud: str) -> None:
        self.cloud = cloud
        self._services: dict[str, dict[str, CheckTarget]] = {}
        self._on_moved: list[Callable[[InstanceId], None]] = []

    def __len__(self) -> int:
        return sum(len(targets) for targets in self._services.values())

    def on_moved(self, callback: Callable[[InstanceId], None]) -> None:
        """Call back for each instance that is no longer checked where it was."""
        self._on_moved.append(callback)

    def replace(self, service: str, instances: Iterable[Instance], check: ServiceCheck) -> CheckTargets | None:
        """Take the instances of one service (those of other clouds are passed over; none: it is gone).

        Returns what every connected checker has to be told; None: nothing has changed.
        """
        before = self._services.get(service, {})
        now: dict[str, CheckTarget] = {}
        for instance in instances:
            if instance.cloud == self.cloud and (target := target_of(instance, check)) is not None:
                now[instance.name] = target
        if now:
            self._services[service] = now
        else:
            self._services.pop(service, None)
        changed = tuple(target for name, target in now.items() if before.get(name) != target)
        removed = tuple((service, name) for name in before if name not in now)
        for name, target in before.items():
            left = now.get(name)
            if left is None or (left != target and place_of(left) != place_of(target)):
                for moved in self._on_moved:
                    moved((service, name))
        return CheckTargets(self.cloud, changed, removed) if changed or removed else None

    def full(self) -> CheckTargets:
        """Everything, for a checker that has just connected."""
        everything = tuple(target for targets in self._services.values() for target in targets.values())
        return CheckTargets(self.cloud, everything, full=True)

    def place(self, instance: InstanceId) -> str:
        """Where an instance is checked (``10.1.0.5:80``); empty: nowhere."""
        service, name = instance
        target = self._services.get(service, {}).get(name)
        return place_of(target) if target is not None else ""


@dataclass(slots=True)
class _Opinion:
    passing: bool
    detail: str
    live: bool = True
    """Its checker is connected."""


class VerdictTable:
    """What the checkers of one cloud say of its instances.

    A checker is known by any key; give each connection a key of its own. An instance fails when every connected checker
    that has an opinion of it says so. The opinions of a checker that was lost stand until another (or the same one,
    connected again) speaks of that instance. An opinion holds for the address and port it was found at: an instance
    that has moved is unknown, and unknown is never down.
    """

    def __init__(self, book: TargetBook) -> None:
        self._book = book
        self._opinions: dict[InstanceId, dict[Hashable, _Opinion]] = {}
        book.on_moved(self._forget)

    def take(self, checker: Hashable, verdicts: Verdicts) -> set[InstanceId]:
        """What a checker said; returns the instances whose judgement it changed. No verdicts: a sign of life."""
        changed: set[InstanceId] = set()
        for said in verdicts.verdicts:
            instance = (said.service, said.instance)
            if not said.for_target or said.for_target != self._book.place(instance):
                continue  # of where it was, or will be
            before = self.judgement(instance)
            live = {key: opinion for key, opinion in self._opinions.get(instance, {}).items() if opinion.live}
            self._opinions[instance] = live | {checker: _Opinion(said.passing, said.detail)}
            if self.judgement(instance) != before:
                changed.add(instance)
        return changed

    def lost(self, checker: Hashable) -> set[InstanceId]:
        """A checker's connection has ended; returns the instances whose judgement that changed."""
        changed: set[InstanceId] = set()
        for instance, opinions in self._opinions.items():
            if checker in opinions:
                before = self.judgement(instance)
                opinions[checker].live = False
                if self.judgement(instance) != before:
                    changed.add(instance)
        return changed

    def judgement(self, instance: InstanceId) -> Judgement:
        """``passing``, ``failing`` or ``unknown``."""
        counted = self._counted(instance)
        if not counted:
            return "unknown"
        return "passing" if any(opinion.passing for opinion in counted) else "failing"

    def sees_any(self) -> bool:
        """Whether any instance passes."""
        return any(self.judgement(instance) == "passing" for instance in self._opinions)

    def detail(self, instance: InstanceId) -> str:
        """In words, why; empty when unknown."""
        counted = self._counted(instance)
        passing = [opinion for opinion in counted if opinion.passing]
        return (passing or counted)[0].detail if counted else ""

    def readiness(self) -> dict[InstanceId, bool]:
        """Of every instance that is known to pass or to fail."""
        return {instance: self.judgement(instance) == "passing" for instance in self._opinions}

    def failing(self) -> list[InstanceId]:
        """Sorted."""
        return sorted(instance for instance, passing in self.readiness().items() if not passing)

    def _counted(self, instance: InstanceId) -> list[_Opinion]:
        """The opinions that count: of connected checkers, if there are any, else of lost ones."""
        opinions = self._opinions.get(instance, {}).values()
        return [opinion for opinion in opinions if opinion.live] or list(opinions)

    def _forget(self, instance: InstanceId) -> None:
        self._opinions.pop(instance, None)
