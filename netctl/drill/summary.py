"""Many flows in few lines: by direction and provider. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from msgspec import Struct

from netctl.drill.results import FlowResult


class Group(Struct, frozen=True):
    """The flows of one direction by one provider. Milliseconds.

    ``worst_ms`` is the longest interruption that the fault began, ``return_ms`` the longest at its return;
    ``median_ms`` is of those that the fault interrupted, 0: it interrupted none.
    """

    direction: str
    via: str
    flows: int
    hit: int
    worst_ms: float
    median_ms: float
    return_ms: float
    lost: int
    verdict: str


_WORST_FIRST = ("missed", "inconclusive", "passed")


def touched(flow: FlowResult) -> bool:
    """It was interrupted, or there is a doubt about it."""
    return flow.lost > 0 or flow.outage_ms > 0 or flow.verdict != "passed"


def by_provider(flows: Sequence[FlowResult]) -> list[Group]:
    """In the order of direction, then provider."""
    found: dict[tuple[str, str], list[FlowResult]] = {}
    for flow in flows:
        found.setdefault((flow.direction, flow.via), []).append(flow)
    return [_group(direction, via, members) for (direction, via), members in sorted(found.items())]


def _group(direction: str, via: str, flows: Sequence[FlowResult]) -> Group:
    hit = [flow for flow in flows if touched(flow)]
    interrupted = [flow.fault_ms for flow in flows if flow.fault_ms > 0]
    verdicts = {flow.verdict for flow in flows}
    return Group(
        direction=direction,
        via=via,
        flows=len(flows),
        hit=len(hit),
        worst_ms=max(flow.fault_ms for flow in flows),
        median_ms=round(median(interrupted), 1) if interrupted else 0.0,
        return_ms=max(flow.return_ms for flow in flows),
        lost=sum(flow.lost for flow in flows),
        verdict=next(verdict for verdict in _WORST_FIRST if verdict in verdicts),
    )
