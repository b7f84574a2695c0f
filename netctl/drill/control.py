"""What the controllers say while a drill runs, as far as drills want to know. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netctl.drill.results import ControlResult
from netctl.drill.watch import NamesWatch
from netctl.model.clock import MS

Bodies = Mapping[str, dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Glance:
    """All controllers at one moment, the latest it can have been. Cluster → who leads it; service → the reason of its
    hold."""

    at_ns: int = field(compare=False)
    leaders: dict[str, str]
    holds: dict[str, str]


def leaders(bodies: Bodies) -> dict[str, str]:
    """Cluster → the controller that says it leads it; of several the first."""
    found: dict[str, str] = {}
    for name, body in bodies.items():
        for cluster in body["clusters"] if body else ():
            if cluster["state"] == "leading":
                found.setdefault(cluster["name"], name)
    return found


def glance(bodies: Bodies, at_ns: int) -> Glance:
    holds = {hold["service"]: hold["reason"] for body in bodies.values() if body for hold in body["holds"]}
    return Glance(at_ns, leaders(bodies), holds)


def summed_up(
    watch: NamesWatch, glances: Sequence[Glance], injected_ns: int, undone_ns: int | None
) -> tuple[ControlResult, list[str]]:
    """What came of it, and what was missed, in words. ``glances``: each that differed from the one before."""
    before = [g for g in glances if g.at_ns < injected_ns]
    since = [g for g in glances if g.at_ns >= injected_ns]
    during = [g for g in glances if undone_ns is None or g.at_ns < undone_ns]
    last = glances[-1] if glances else Glance(0, {}, {})
    led_again: dict[str, float | None] = {}
    for cluster in watch.led:
        others = (g.at_ns for g in since if g.leaders.get(cluster, watch.killed) != watch.killed)
        at_ns = next(others, None)
        led_again[cluster] = None if at_ns is None else round((at_ns - injected_ns) / MS, 1)
    result = ControlResult(
        led_before=before[-1].leaders if before else {},
        led_after=last.leaders,
        led_again_ms=led_again,
        holds={service: reason for g in during if g.at_ns >= injected_ns for service, reason in g.holds.items()},
        holds_left=last.holds,
    )
    return result, _missed(watch, result)


def _missed(watch: NamesWatch, result: ControlResult) -> list[str]:
    missed = []
    for cluster, led_ms in result.led_again_ms.items():
        if led_ms is None:
            missed.append(f"nobody but {watch.killed} led cluster {cluster} again")
        elif led_ms > watch.led_within_ms:
            missed.append(f"cluster {cluster} was led again after {led_ms:g} ms (at most {watch.led_within_ms:g} ms)")
    if unseen := [service for service in watch.held if service not in result.holds]:
        missed.append(f"no hold was shown for {', '.join(unseen)}")
    if left := [service for service in watch.held if service in result.holds_left]:
        missed.append(f"a hold is left for {', '.join(left)}")
    return missed
