"""What a checker knows and says; no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from netctl.health.schedule import Run, Schedule
from netctl.health.targets import place_of, problem_of
from netctl.ipc.messages import CheckTarget, CheckTargets, Verdict
from netctl.model.clock import SECOND
from netctl.model.errors import PeerError
from netctl.model.naming import InstanceId
from netctl.telemetry.metrics import Sample

KEPT_NS = 600 * SECOND
"""How long the targets of a controller that went away are still checked."""
MOST_RUNNING = 1000
"""Runs at the same time; hung targets hold each for its timeout."""


class ControllerSeen:
    """One controller: its connection, what it wants, and what it has still to be told."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.identity = ""
        self.connected = False
        self.reason = "not connected yet"
        self.since_wall = 0.0
        self.targets: dict[InstanceId, CheckTarget] = {}
        self.lost_ns: int | None = None
        self.unsaid: dict[InstanceId, Verdict] = {}


class Core:
    """All controllers' wishes, one schedule."""

    def __init__(self, cloud: str, controllers: Sequence[str], now: int) -> None:
        self.cloud = cloud
        self.controllers = {address: ControllerSeen(address) for address in controllers}
        self.schedule = Schedule(now)
        self.changes_total = 0
        self._wanted: dict[CheckTarget, int] = {}

    # --- controllers ---------------------------------------------------------------------------------------------

    def connected(self, address: str, identity: str, wall: float) -> None:
        """A connection to a controller is open; its full set of targets will come."""
        seen = self.controllers[address]
        seen.connected, seen.identity, seen.reason, seen.since_wall = True, identity, "", wall
        seen.lost_ns = None
        seen.unsaid.clear()

    def disconnected(self, address: str, reason: str, now: int, wall: float) -> None:
        """It ended, or did not come about. ``reason`` is for people."""
        seen = self.controllers[address]
        if seen.connected or not seen.since_wall:
            seen.since_wall = wall
        if seen.connected:
            seen.lost_ns = now
        seen.connected, seen.reason = False, reason
        seen.unsaid.clear()

    def told(self, address: str, message: CheckTargets, now: int) -> None:
        """What a controller wants checked; what is known of it waits in ``unsaid`` then.

        Raises PeerError when it means another cloud, or cannot be done; then nothing of it is taken.
        """
        if message.cloud != self.cloud:
            raise PeerError(
                "other_cloud", f"it wants cloud {message.cloud!r} checked, this is {self.cloud!r}'s checker"
            )
        for target in message.targets:
            if problem := problem_of(target):
                raise PeerError("bad_target", f"{target.service}/{target.instance}: {problem}")
        seen = self.controllers[address]
        fresh = {(target.service, target.instance): target for target in message.targets}
        gone = set(message.removed) - fresh.keys()
        if message.full:
            gone |= seen.targets.keys() - fresh.keys()
        for instance in gone:
            self._drop(seen, instance)
        for instance, target in fresh.items():
            if seen.targets.get(instance) != target:
                self._drop(seen, instance)
                seen.targets[instance] = target
                self._wanted[target] = self._wanted.get(target, 0) + 1
                self.schedule.add(target, now)
            self._say(seen, target)

    def _drop(self, seen: ControllerSeen, instance: InstanceId) -> None:
        target = seen.targets.pop(instance, None)
        seen.unsaid.pop(instance, None)
        if target is None:
            return
        self._wanted[target] -= 1
        if not self._wanted[target]:
            del self._wanted[target]
            self.schedule.remove(target)

    # --- time and runs -------------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """To be called every ``schedule.TICK_NS``."""
        self.schedule.tick(now)
        for seen in self.controllers.values():
            if seen.lost_ns is not None and now - seen.lost_ns > KEPT_NS:
                for instance in list(seen.targets):
                    self._drop(seen, instance)
                seen.lost_ns = None

    def begin(self, now: int) -> list[Run]:
        """The runs to start now."""
        return self.schedule.begin(now, MOST_RUNNING)

    @property
    def full(self) -> bool:
        """Whether no run can start before another ends."""
        return self.schedule.running >= MOST_RUNNING

    def ended(self, run: Run, *, passed: bool | None, detail: str, now: int) -> list[str]:
        """A run's outcome; returns the addresses of the controllers that have something to hear now."""
        if not self.schedule.ended(run, passed=passed, detail=detail, now=now):
            return []
        self.changes_total += 1
        instance = (run.target.service, run.target.instance)
        asked = [seen for seen in self.controllers.values() if seen.targets.get(instance) == run.target]
        return [seen.address for seen in asked if self._say(seen, run.target)]

    def _say(self, seen: ControllerSeen, target: CheckTarget) -> bool:
        verdict = self.schedule.verdict(target)
        if not seen.connected or verdict is None or verdict.passing is None:
            return False
        instance = (target.service, target.instance)
        seen.unsaid[instance] = Verdict(*instance, verdict.passing, place_of(target), verdict.detail)
        return True

    def unsaid(self, address: str, most: int) -> tuple[Verdict, ...]:
        """Take up to ``most`` verdicts that a controller has not been told, oldest first."""
        waiting = self.controllers[address].unsaid
        return tuple(waiting.pop(instance) for instance in list(waiting)[:most])

    # --- answers -------------------------------------------------------------------------------------------------

    def failing(self) -> Iterator[dict[str, Any]]:
        """What fails, by service and instance."""
        for target in sorted(self._wanted, key=lambda one: (one.service, one.instance)):
            verdict = self.schedule.verdict(target)
            if verdict is not None and verdict.passing is False:
                yield {
                    "service": target.service,
                    "instance": target.instance,
                    "target": target.http or target.tcp,
                    "detail": verdict.detail,
                }

    def status(self) -> dict[str, Any]:
        """The body of ``status``, but for what only the shell knows."""
        return {
            "cloud": self.cloud,
            "controllers": [
                {
                    "address": seen.address,
                    "identity": seen.identity,
                    "connected": seen.connected,
                    "reason": seen.reason,
                    "since_wall": seen.since_wall,
                    "targets": len(seen.targets),
                }
                for seen in self.controllers.values()
            ],
            "targets": len(self.schedule),
            "failing": list(self.failing()),
            "runs_total": self.schedule.runs_total,
            "late_total": self.schedule.late_total,
            "not_run_total": self.schedule.not_run_total,
        }

    def samples(self) -> Iterator[Sample]:
        """For Prometheus."""
        cloud = {"cloud": self.cloud}
        yield Sample("netctl_checker_targets", len(self.schedule), cloud, "instances that are checked")
        yield Sample("netctl_checker_failing", sum(1 for _ in self.failing()), cloud, "instances that fail")
        yield Sample("netctl_checker_running", self.schedule.running, cloud, "runs under way")
        yield Sample("netctl_checker_runs_total", self.schedule.runs_total, cloud, "runs with an outcome")
        yield Sample("netctl_checker_late_total", self.schedule.late_total, cloud, "runs void for our own lateness")
        yield Sample("netctl_checker_not_run_total", self.schedule.not_run_total, cloud, "runs impossible on this host")
        yield Sample("netctl_checker_changes_total", self.changes_total, cloud, "verdicts that changed")
        for seen in self.controllers.values():
            labels = cloud | {"address": seen.address}
            yield Sample("netctl_checker_connected", seen.connected, labels, "whether the controller is connected")
