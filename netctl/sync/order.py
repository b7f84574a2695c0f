"""Which changed slice is written first, so that a cut after any write leaves no gap.

Who is ready in a slice and shall be ready afterwards must be ready somewhere all the time: by its address, and as an
instance (its address may change on the way from one slice to another). So a slice may lose what it has only once
others have it. Created slices come before and deleted ones after all of these; what is left are slices that take from
each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from netctl.sync.objects import address_of, instance_of, is_ready
from netctl.sync.pack import Bin

_Tokens = set[str]


def in_safe_order(bins: Sequence[Bin]) -> tuple[list[Bin], bool]:
    """The changed ones among ``bins`` (those that are observed and keep something), the safe ones first.

    True: it ends before the last, since some take from each other in a circle. Then the last one given holds its new
    endpoints and those that it may not lose yet; plan again once it is written.
    """
    changed = [one for one in bins if one.touched and one.observed is not None and one.endpoints]
    if len(changed) < 2:
        return changed, False
    after = [_tokens(one.endpoints) for one in bins]
    final = set().union(*after)
    before = {id(one): _tokens(one.observed.endpoints if one.observed else one.endpoints) for one in bins}
    now = Counter(token for tokens in before.values() for token in tokens)
    ordered: list[Bin] = []
    while changed:
        safe = next((one for one in changed if not _missed(one, before[id(one)], final, now)), None)
        if safe is None:
            # One that gains: others can lose that afterwards. (If none gained, nothing would be missed.)
            gaining = next(one for one in changed if _tokens(one.endpoints) - before[id(one)])
            ordered.append(_between(gaining, _missed(gaining, before[id(gaining)], final, now)))
            return ordered, True
        changed.remove(safe)
        ordered.append(safe)
        now.subtract(before[id(safe)])
        now.update(_tokens(safe.endpoints))
    return ordered, False


def _missed(one: Bin, before: _Tokens, final: _Tokens, now: Counter[str]) -> _Tokens:
    """What would be missing for a while if this one were written now."""
    return {token for token in before - _tokens(one.endpoints) if token in final and now[token] < 2}


def _between(one: Bin, missed: _Tokens) -> Bin:
    assert one.observed is not None
    still = [raw for raw in one.observed.endpoints if _tokens([raw]) & missed]
    return Bin(one.observed, one.family, one.group, [*one.endpoints, *still], touched=True)


def _tokens(endpoints: Iterable[Any]) -> _Tokens:
    """The ready ones' addresses and instances; no address is a name with this prefix."""
    found: _Tokens = set()
    for raw in endpoints:
        if is_ready(raw):
            found.add(address_of(raw))
            found.add(f"name {instance_of(raw)}")
    return found
