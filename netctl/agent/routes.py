"""Which members each prefix uses, and the work of telling the FIB: in portions, so that nothing waits for a big table.

What the kernel held when the agent started is kept as a mask of peers for each prefix (``_adopted``). While one of
those peers has not settled, the prefix keeps its members, less those whose peers are known to have no path: so a
restart with nothing changed writes nothing, whichever peer tells its table first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from netctl.agent.peers import PeerState
from netctl.fib.plan import Fib, MemberSet
from netctl.model.gateway import CloudSettings
from netctl.model.prefix import Prefix, contains
from netctl.model.routing import KernelState

_UNREACHABLE = 1 << 30


class Chooser:
    """Fabric routes beat provider routes, then the shortest AS path wins; equals share the load by ``Peer.weight``."""

    def __init__(self, peers: Sequence[PeerState], fib: Fib) -> None:
        self._peers = tuple(peers)
        self._fib = fib
        self._adopted: dict[Prefix, int] = {}
        self._jobs: deque[Iterator[Prefix]] = deque()
        self._members: dict[int, MemberSet | None] = {0: None}
        self.settling = True
        """Some peer has not told its table since the start: what nobody wants is not swept yet."""
        self._swept = False

    def adopt(self, state: KernelState) -> None:
        """Take over what the kernel holds at the start."""
        bit_of = {peer.settings.member_id: peer.bit for peer in self._peers}
        masks = {
            group: sum({bit_of.get(member, 0) for member, _ in members}) for group, members in state.groups.items()
        }
        self._adopted = {prefix: masks.get(group, 0) for prefix, group in state.routes.items()}
        held = 0
        for mask in set(self._adopted.values()):
            held |= mask
        for peer in self._peers:
            peer.adopted = bool(held & peer.bit) and not peer.settled

    def adopted_over(self, peer: PeerState) -> Iterable[Prefix]:
        """The adopted prefixes that still use this peer."""
        return (prefix for prefix, mask in self._adopted.items() if mask & peer.bit)

    def peer_settled(self, peer: PeerState) -> None:
        """The peer told its table, or was given up: what was adopted for its sake is judged again."""
        peer.adopted = False
        self.settling = not all(p.settled for p in self._peers)
        if self._adopted:
            self.later(iter(list(self._adopted)))

    def peer_denied(self, peer: PeerState, prefix: Prefix) -> None:
        """A fact: this peer has no path to the prefix any more, whatever the kernel held."""
        mask = self._adopted.get(prefix, 0)
        if mask & peer.bit:
            if mask == peer.bit:
                del self._adopted[prefix]
                self._set_adopted(prefix, self.members(self.best(prefix)))
                return
            self._adopted[prefix] = mask & ~peer.bit
        self.decide(prefix)

    def later(self, prefixes: Iterator[Prefix]) -> None:
        """Decide these in portions (``work``)."""
        self._jobs.append(prefixes)

    @property
    def busy(self) -> bool:
        return bool(self._jobs)

    def work(self, limit: int) -> int:
        """Decide up to ``limit`` waiting prefixes; returns how many."""
        done = 0
        while self._jobs and done < limit:
            job = self._jobs[0]
            for prefix in job:
                self.decide(prefix)
                done += 1
                if done >= limit:
                    break
            else:
                self._jobs.popleft()
        if not (self._jobs or self._adopted or self.settling or self._swept):
            self._swept = True
            self._fib.sweep()
        return done

    def decide(self, prefix: Prefix) -> None:
        """Choose the prefix's members now and tell the FIB."""
        if self._adopted and prefix in self._adopted:
            self._decide_adopted(prefix)
        else:
            self._fib.set_route(prefix, self.members(self.best(prefix)))

    def best(self, prefix: Prefix) -> int:
        """The mask of the peers whose paths are the best; 0 when nobody has one."""
        best_rank, mask = _UNREACHABLE, 0
        for peer in self._peers:
            path = peer.table.get(prefix)
            if path is None:
                path = peer.stale.get(prefix)
                if path is None:
                    continue
            rank = path.rank
            if rank < best_rank:
                best_rank, mask = rank, peer.bit
            elif rank == best_rank:
                mask |= peer.bit
        return mask

    def members(self, mask: int) -> MemberSet | None:
        """The members and weights of a mask; None of an empty one."""
        if mask not in self._members:
            chosen = ((p.settings.member_id, p.settings.weight) for p in self._peers if mask & p.bit)
            self._members[mask] = MemberSet(chosen)
        return self._members[mask]

    def adopted_mask(self, prefix: Prefix) -> int:
        """The peers for whose sake an adopted prefix still waits; 0 when it does not."""
        return self._adopted.get(prefix, 0)

    def _decide_adopted(self, prefix: Prefix) -> None:
        mask = self._adopted[prefix]
        holders = unsettled = 0
        for peer in self._peers:
            if peer.path(prefix) is not None:
                holders |= peer.bit
            if not peer.settled:
                unsettled |= peer.bit
        if mask & unsettled & ~holders or (not mask and unsettled):
            keep = mask & (holders | unsettled)
            if keep != mask:
                self._adopted[prefix] = keep
                self._fib.set_route(prefix, self.members(keep))
            return
        del self._adopted[prefix]
        self._set_adopted(prefix, self.members(self.best(prefix)))

    def _set_adopted(self, prefix: Prefix, members: MemberSet | None) -> None:
        """The FIB keeps what it has not been asked for until the sweep; a fact need not wait for that."""
        has = self._fib.programmed(prefix)
        if members is None and has is not None:
            self._fib.set_route(prefix, MemberSet(has[1]))
        self._fib.set_route(prefix, members)


class CloudMap:
    """Which configured cloud a learned prefix lies in (longest match), cheap for the many that lie in none."""

    def __init__(self, clouds: Sequence[CloudSettings]) -> None:
        pairs = [(prefix, cloud.name) for cloud in clouds for prefix in cloud.prefixes]
        self._pairs = sorted(pairs, key=lambda pair: -pair[0][0])
        self._first_bytes = frozenset(first for prefix, _ in pairs for first in _first_bytes(prefix))

    def cloud_of(self, prefix: Prefix) -> str | None:
        if prefix[1] not in self._first_bytes:
            return None
        return next((name for outer, name in self._pairs if contains(outer, prefix)), None)


def _first_bytes(prefix: Prefix) -> range:
    """The values that the first address byte of anything inside ``prefix`` can have."""
    free = max(0, 8 - prefix[0])
    return range(prefix[1], prefix[1] + (1 << free))


class PathIndex:
    """Which clouds each peer has a route in, kept while learning, verified when asked."""

    def __init__(self, clouds: CloudMap) -> None:
        self._clouds = clouds
        self._seen: dict[tuple[str, str], set[Prefix]] = {}
        self._adopted: dict[tuple[str, str], bool] = {}

    def learned(self, peer: PeerState, prefixes: Iterable[Prefix]) -> None:
        for prefix in prefixes:
            cloud = self._clouds.cloud_of(prefix)
            if cloud is not None:
                self._seen.setdefault((peer.name, cloud), set()).add(prefix)

    def adopted(self, peer: PeerState, prefixes: Iterable[Prefix]) -> None:
        for prefix in prefixes:
            cloud = self._clouds.cloud_of(prefix)
            if cloud is not None:
                self._adopted[peer.name, cloud] = True

    def has_route(self, peer: PeerState, cloud: str, still: Callable[[Prefix], bool]) -> bool:
        """Whether the peer has a path in the cloud's prefixes; forgets on the way those it has lost."""
        if peer.adopted and (peer.name, cloud) in self._adopted:
            return True
        seen = self._seen.get((peer.name, cloud))
        while seen:
            prefix = next(iter(seen))
            if still(prefix):
                return True
            seen.discard(prefix)
        return False
