"""Who may write a cluster, worked out from the Lease's own history there and by nobody's clock but the world's."""

from __future__ import annotations

from dataclasses import dataclass

from netctl.model.clock import SECOND
from netctl.model.kube import Obj
from netctl.sim.names.site import LEASE_S

DURATION_NS = int(LEASE_S * SECOND)


@dataclass(slots=True)
class _Right:
    """What one holder's last renewal gives it."""

    stored_ns: int
    used: bool = False
    released: bool = False
    inherited: bool = False
    """Its holder found its own name in a Lease that a backup (or a hand) brought back, when it had just started: it
    cannot know that this is not what it left itself. Then another may count on the Lease for a while still."""


class Tenures:
    """One cluster's. Times are the world's, in nanoseconds."""

    def __init__(self) -> None:
        self._rights: dict[str, _Right] = {}
        self._disturbed_ns = -1
        """When the Lease last became another by no controller's doing."""

    def stored(self, lease: Obj | None, by: str, before: Obj | None, now_ns: int, since_ns: int) -> None:
        """The Lease is another now; ``by`` "": by a hand. ``since_ns``: when that controller was started."""
        if not by or lease is None:
            self._disturbed_ns = now_ns
            return
        holder = lease["spec"].get("holderIdentity") or ""
        if holder == by:
            right = self._rights.get(by)
            fresh = right is None or right.released or now_ns >= right.stored_ns + DURATION_NS
            inherited = since_ns > self._disturbed_ns > now_ns - DURATION_NS
            inherited = inherited or (right is not None and right.inherited and not fresh)
            self._rights[by] = _Right(now_ns, not fresh and right is not None and right.used, inherited=inherited)
        elif not holder and before is not None and before["spec"].get("holderIdentity") == by and by in self._rights:
            self._rights[by].released = True

    def restored(self, now_ns: int) -> None:
        """The cluster went back to a backup, its Lease with it."""
        self._disturbed_ns = now_ns

    def objection(self, who: str, holder: str, now_ns: int) -> str:
        """Why ``who`` must not send a write now, "" when it may (and it is noted that it did). ``holder``: whom the
        Lease names."""
        right = self._rights.get(who)
        if right is None or right.released:
            return f"{who} has no Lease (its holder is {holder or 'nobody'})"
        if now_ns >= right.stored_ns + DURATION_NS:
            return f"the Lease of {who} has expired {(now_ns - right.stored_ns - DURATION_NS) / SECOND:.3f} s ago"
        for other, theirs in self._rights.items():
            valid = theirs.used and not theirs.released and now_ns < theirs.stored_ns + DURATION_NS
            if other != who and valid and not (theirs.inherited or right.inherited):
                return f"{other} writes under a Lease of its own that is valid still"
        if holder != who and self._disturbed_ns <= right.stored_ns:
            return f"the Lease is {holder or 'nobody'}'s, not {who}'s"
        right.used = True
        return ""
