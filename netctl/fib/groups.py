"""The groups of a FIB: one for each distinct set of members, each with an id that it shares with nobody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from netctl.model.gateway import GROUP_ID_BASE
from netctl.model.prefix import Prefix
from netctl.model.routing import KernelState

MemberSet = frozenset[tuple[int, int]]
"""(member id, weight 1-256) of every member that a prefix may use."""
Content = tuple[tuple[int, int], ...]
"""The same as the kernel has it: sorted, and only members that exist."""

_IDS = 0x100000


@dataclass(slots=True, eq=False)
class Group:
    """One set of members. ``routes`` counts the prefixes that want it, ``waiting`` are those that wait for its
    creation, ``refused`` is the content that the kernel refused last, and ``why``."""

    members: MemberSet
    id: int
    routes: int = 0
    waiting: dict[Prefix, None] = field(default_factory=dict)
    refused: Content | None = None
    why: str = ""


class Groups:
    """``kernel`` is what the kernel is known to have, by id; ``present`` the members that exist,
    ``avoided`` those that are left out where a group has others."""

    def __init__(self) -> None:
        self.kernel: dict[int, Content] = {}
        self.present: set[int] = set()
        self.avoided: frozenset[int] = frozenset()
        self._by_members: dict[MemberSet, Group] = {}
        self._by_id: dict[int, Group] = {}
        self._taken: set[int] = set()
        self._last = 0

    def __iter__(self) -> Iterator[Group]:
        return iter(self._by_id.values())

    def of(self, members: MemberSet) -> Group:
        """The group of these members, made if there is none."""
        return self._by_members.get(members) or self._add(Group(members, self._free_id()))

    def by_id(self, identity: int) -> Group | None:
        """The group with that id, if it is one of ours."""
        return self._by_id.get(identity)

    def renumber(self, group: Group) -> None:
        """Somebody else has a nexthop at its id: it takes another one."""
        self._taken.add(group.id)
        del self._by_id[group.id]
        group.id = self._free_id()
        self._by_id[group.id] = group

    def drop(self, group: Group) -> None:
        """Forget a group that nobody wants."""
        del self._by_members[group.members], self._by_id[group.id]

    def usable(self, group: Group) -> Content:
        """What the kernel should have of it now; empty: nothing."""
        present = [member for member in group.members if member[0] in self.present]
        return tuple(sorted([member for member in present if member[0] not in self.avoided] or present))

    def adopt(self, state: KernelState) -> None:
        """Take a dump as the truth, and give each group the id of the kernel's group that it is.

        Case 1: we had put it there; it may have lost members meanwhile. Case 2: the kernel has one with just these
        members. Case 3: it is not there; then its id must not be one that the kernel uses for something else, or
        that group's routes would move with it. Case 4: a group in the kernel that nobody asked for yet.
        """
        put_before = self.kernel
        self.kernel, self.present = dict(state.groups), set(state.members)
        unclaimed = {frozenset(content): identity for identity, content in state.groups.items()}
        groups, self._by_id = list(self._by_members.values()), {}
        rest: list[Group] = []
        for group in groups:
            content = frozenset(state.groups.get(group.id, ()))
            if group.id in put_before and content and content <= group.members:
                self._by_id[group.id] = group
                if unclaimed.get(content) == group.id:
                    del unclaimed[content]
            else:
                rest.append(group)
        for group in rest:
            identity = unclaimed.pop(group.members, None)
            if identity is not None:
                group.id = identity
            elif group.id in self.kernel or group.id in self._by_id or group.id in self._taken:
                group.id = self._free_id()
            self._by_id[group.id] = group
        for members, identity in unclaimed.items():
            if members not in self._by_members and identity not in self._by_id:
                self._add(Group(members, identity))

    def _add(self, group: Group) -> Group:
        self._by_members[group.members] = self._by_id[group.id] = group
        return group

    def _free_id(self) -> int:
        for _ in range(_IDS):
            self._last = self._last % (_IDS - 1) + 1
            identity = GROUP_ID_BASE + self._last
            if identity not in self._by_id and identity not in self.kernel and identity not in self._taken:
                return identity
        raise OverflowError("a million groups in use")
