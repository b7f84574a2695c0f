"""What a write changes, in words, for logs and plans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from netctl.sync.objects import address_of, instance_of, is_ready

_SHOWN = 4


def difference(before: Sequence[Any], after: Sequence[Any]) -> str:
    """``add 10.1.0.5; not ready 10.1.0.6; and 7 more``; empty when no endpoint changes."""
    old = {instance_of(raw) or address_of(raw): raw for raw in before}
    new = {instance_of(raw) or address_of(raw): raw for raw in after}
    changes = list(_changes(old, new))
    more = len(changes) - _SHOWN
    return "; ".join(changes[:_SHOWN] + ([f"and {more} more"] if more > 0 else []))


def _changes(old: dict[str, Any], new: dict[str, Any]) -> Iterable[str]:
    for name, raw in new.items():
        was = old.get(name)
        if was == raw:
            continue
        address = address_of(raw)
        if was is None:
            yield f"add {address}" + ("" if is_ready(raw) else " (not ready)")
        elif address_of(was) != address:
            yield f"move {name} from {address_of(was)} to {address}"
        elif is_ready(was) != is_ready(raw):
            yield f"{'ready' if is_ready(raw) else 'not ready'} {address}"
        else:
            yield f"put right {address}"
    for name, raw in old.items():
        if name not in new:
            yield f"remove {address_of(raw)}"
