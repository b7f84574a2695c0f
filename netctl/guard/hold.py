"""A hold: a removal that a guard stopped, and what an operator is told about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

HoldKind = Literal["shrink", "last", "budget"]


@dataclass(frozen=True, slots=True)
class Hold:
    """``instances``: the names that stay, sorted. ``cluster``: of budget holds alone. ``reason``: in words, with
    numbers. ``since_wall``: seconds since the epoch."""

    id: str
    service: str
    kind: HoldKind
    instances: tuple[str, ...]
    reason: str
    since_wall: float = 0.0
    cluster: str = ""


def hold_id(service: str, instances: Iterable[str], cluster: str = "") -> str:
    """``orders-1a2b``: the same on every controller and after a restart for the same instances; no two services share
    one, since the end has a fixed length. Budget holds carry their cluster too: ``orders@a-1a2b``."""
    text = "\n".join((service, cluster, *sorted(instances)))
    digest = blake2b(text.encode(), digest_size=2).hexdigest()
    return f"{service}@{cluster}-{digest}" if cluster else f"{service}-{digest}"


def budget_hold(cluster: str, service: str, instances: Iterable[str], reason: str, since_wall: float = 0.0) -> Hold:
    """The hold of a removal for which a cluster's budget has no room; it may go on when there is room again."""
    names = tuple(sorted(instances))
    return Hold(hold_id(service, names, cluster), service, "budget", names, reason, since_wall, cluster)
