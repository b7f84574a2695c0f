"""What ``netctl explain PREFIX`` shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netctl.cli.output import Column, View


def prefix_views(answer: dict[str, Any]) -> Iterator[View]:
    """What one gateway says of a prefix or address."""
    where = answer["label"] or answer["gateway"]
    own = [f"this gateway announces {a['prefix']} {_to(a)}" for a in answer["announced"]]
    if own:
        yield View([], [], title="\n".join(f"{where}: {line}" for line in own))
    if not answer["found"] and own:
        return
    if not answer["found"]:
        yield View([], [], title=f"{where}: {answer['asked']}: {answer['why']}")
        return
    kernel = answer["kernel"]
    in_kernel = f"group {kernel['group']}" if kernel["route"] else "NOT in the kernel"
    yield View(
        [{**path, "used": _used(path)} for path in answer["paths"]],
        ["peer", "kind", "used", "as_path", Column("next_hop", wide=True), Column("med", wide=True), "why"],
        title=f"{where}: {answer['asked']} is in {answer['prefix']}, {in_kernel}",
    )
    if kernel["members"]:
        yield View(
            kernel["members"],
            [
                Column("peer", "member"),
                "weight",
                "via",
                "interface",
                "points_at",
                Column("for_s", "for s", right=True),
                "bfd",
                Column("member", "id", wide=True),
            ],
        )
    yield View(answer["if_failed"], [Column("peer", "if this fails"), "bfd_down", "session_ends"])


def _used(path: dict[str, Any]) -> str | bool:
    return f"by {path['carried_by']} for now" if path["carried_by"] else bool(path["used"])


def _to(announcement: dict[str, Any]) -> str:
    """To whom, and what that hangs on: ``to pa (not to pb now; when peer:fabric=met)``."""
    told = announcement["announced_to"]
    remarks = [f"not to {', '.join(left)} now"] if (left := [p for p in announcement["to"] if p not in told]) else []
    remarks += [f"when {', '.join(f'{name}={met}' for name, met in announcement['when'].items())}"] * bool(
        announcement["when"]
    )
    return f"to {', '.join(told) or 'nobody'}" + (f" ({'; '.join(remarks)})" if remarks else "")
