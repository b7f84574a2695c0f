# long because: one state, whose every change keeps the queues and counts of the others right
"""``Fib``: what the kernel shall have, what it was last known to have, and the operations between the two.

Each distinct set of members is one group, each wanted prefix points at the group of its set. A group in the kernel
holds those of its members that exist; a member that comes or goes costs one operation per group, whatever the table.

Operations are given out in three phases, the next one only when the outcome of the one before is known (so that neither
a cut nor a refusal between them can take a path away): groups and then routes that point at them; deletions of routes;
deletions of groups that no route needs.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netctl.fib.groups import Content, Group, Groups, MemberSet
from netctl.model.gateway import GROUP_ID_BASE
from netctl.model.ports import Kernel
from netctl.model.prefix import Prefix
from netctl.model.routing import (
    DeleteNexthop,
    DeleteRoutes,
    KernelEvent,
    KernelOp,
    KernelState,
    OpFailed,
    PutGroup,
    PutRoutes,
)

__all__ = ["Fib", "FibCounts", "MemberSet", "step"]

ROUTES_PER_OP = 4096
ROUTES_PER_STEP = 16384


@dataclass(frozen=True, slots=True)
class FibCounts:
    """For status and metrics. ``waiting`` prefixes have no usable member now; ``refused`` ones the kernel refused;
    ``reasons`` are the kernel's words about what it refuses now."""

    wanted: int
    programmed: int
    pending: int
    waiting: int
    refused: int
    groups: int
    reasons: tuple[str, ...] = ()


class Fib:
    """Costs are those of the changes, not of the table, but for ``adopt``, ``sweep`` and the loss of a whole group."""

    def __init__(self) -> None:
        self.wants_dump = True
        """The kernel's state is unknown: ``adopt(kernel.dump())`` is due."""
        self.wants_nexthops = False
        """Members or groups may have changed: ``observe(kernel.nexthops())`` is due."""
        self._wanted: dict[Prefix, Group] = {}
        self._programmed: dict[Prefix, int] = {}
        self._routes_at: Counter[int] = Counter()
        self._groups = Groups()
        self._to_put: dict[Prefix, None] = {}
        self._to_delete: dict[Prefix, None] = {}
        self._refused: dict[Prefix, str] = {}
        self._undeletable: set[int] = set()
        self._sweeping = False
        self._routes_before: dict[Prefix, int | None] = {}
        self._groups_before: dict[int, Content | None] = {}

    # --- what is wanted ----------------------------------------------------------------------------------------

    def set_route(self, prefix: Prefix, members: MemberSet | None) -> None:
        """Want ``prefix`` over ``members``; None or empty: do not want it."""
        old = self._wanted.get(prefix)
        if not members:
            if old is not None:
                del self._wanted[prefix]
                old.routes -= 1
                self._unqueue(prefix, old)
                if prefix in self._programmed:
                    self._to_delete[prefix] = None
            return
        group = self._groups.of(members)
        if group is old:
            return
        if old is not None:
            old.routes -= 1
            self._unqueue(prefix, old)
        self._wanted[prefix] = group
        group.routes += 1
        self._to_delete.pop(prefix, None)
        if self._programmed.get(prefix) != group.id:
            self._to_put[prefix] = None

    def avoid(self, members: frozenset[int]) -> None:
        """Leave these members out of every group that has others: one operation for each group moves all traffic away
        from them at once, while their routes are still being moved one by one."""
        self._groups.avoided = members

    def sweep(self) -> None:
        """Every peer's table is complete: from now on delete what was adopted and nobody wants."""
        self._sweeping = True
        for prefix in self._programmed.keys() - self._wanted.keys():
            self._to_delete[prefix] = None

    def _unqueue(self, prefix: Prefix, group: Group) -> None:
        self._to_put.pop(prefix, None)
        self._refused.pop(prefix, None)
        group.waiting.pop(prefix, None)

    # --- what the kernel has -----------------------------------------------------------------------------------

    def adopt(self, state: KernelState) -> None:
        """Take a whole dump as the truth: on start, and after lost events. Existing groups keep their ids."""
        self.wants_dump = self.wants_nexthops = False
        self._groups.adopt(state)
        self._programmed = dict(state.routes)
        self._routes_at = Counter(state.routes.values())
        self._undeletable.clear()
        for group in self._groups:
            group.refused = None
            group.waiting.clear()
        self._refused.clear()
        programmed = self._programmed
        self._to_put = {prefix: None for prefix, group in self._wanted.items() if programmed.get(prefix) != group.id}
        self._to_delete = {prefix: None for prefix in self._to_delete if prefix in programmed}
        if self._sweeping:
            self.sweep()

    def observe(self, state: KernelState) -> None:
        """Take the members and groups of ``state`` as the truth. A group that is gone took its routes along."""
        self.wants_nexthops = False
        self._groups.present = set(state.members)
        lost = self._groups.kernel.keys() - state.groups.keys()
        self._groups.kernel = dict(state.groups)
        if any(self._routes_at[identity] for identity in lost):
            for prefix in [prefix for prefix, identity in self._programmed.items() if identity in lost]:
                self._route_gone(prefix)
        for prefix in [p for p in self._refused if p in self._wanted and self._wanted[p].id in lost]:
            del self._refused[prefix]  # because its group was gone
            self._to_put[prefix] = None
        for group in self._groups:
            if group.refused is not None and group.refused != self._groups.usable(group):
                group.refused = None
            if group.waiting and group.id in self._groups.kernel:
                self._release(group)

    def event(self, event: KernelEvent) -> None:
        """Somebody else changed something. Only a route's deletion is taken as it is; anything else is looked up."""
        if event.kind == "overrun":
            self.wants_dump = True
        elif event.kind != "route_gone":
            self.wants_nexthops = True
        elif event.prefix is not None:
            identity = self._programmed.get(event.prefix)
            if identity is not None and event.nexthop in (None, identity):
                self._route_gone(event.prefix)

    def retry(self) -> None:
        """Try again what was refused, and look for members that have come into being meanwhile."""
        self.wants_nexthops = True
        self._undeletable.clear()
        for group in self._groups:
            group.refused = None
        for prefix in self._refused:
            if prefix in self._wanted:
                self._to_put[prefix] = None
            elif prefix in self._programmed:
                self._to_delete[prefix] = None
        self._refused.clear()

    def _route_gone(self, prefix: Prefix) -> None:
        self._point(prefix, None)
        self._to_delete.pop(prefix, None)
        self._refused.pop(prefix, None)
        if prefix in self._wanted:
            self._to_put[prefix] = None

    def _point(self, prefix: Prefix, identity: int | None) -> int | None:
        """Note that the kernel's route points there now (None: is gone); returns where it pointed."""
        old = self._programmed.get(prefix)
        if old is not None:
            self._routes_at[old] -= 1
        if identity is None:
            self._programmed.pop(prefix, None)
        else:
            self._programmed[prefix] = identity
            self._routes_at[identity] += 1
        return old

    def _release(self, group: Group) -> None:
        self._to_put |= group.waiting
        group.waiting.clear()

    # --- what to do --------------------------------------------------------------------------------------------

    @property
    def settled(self) -> bool:
        """Nothing to look at and nothing to do (what waits for a member or was refused is not counted)."""
        return not (
            self.wants_dump
            or self.wants_nexthops
            or self._to_put
            or self._to_delete
            or next(self._group_changes(), None)
            or next(self._unneeded_groups(), None)
        )

    def pending_ops(self, limit: int = ROUTES_PER_STEP) -> list[KernelOp]:
        """The next operations, of at most ``limit`` routes. They count as done unless ``failed`` says otherwise
        before the next call; an empty list means that there is nothing to do now."""
        self._routes_before.clear()
        self._groups_before.clear()
        if self.wants_dump:
            return []
        return self._put_ops(limit) or self._delete_ops(limit) or self._delete_group_ops()

    def _group_changes(self) -> Iterator[tuple[Group, Content]]:
        for group in self._groups:
            if group.routes or self._routes_at[group.id]:
                content = self._groups.usable(group)
                if content and content not in (self._groups.kernel.get(group.id), group.refused):
                    yield group, content

    def _put_ops(self, limit: int) -> list[KernelOp]:
        ops: list[KernelOp] = []
        for group, content in list(self._group_changes()):
            ops.append(PutGroup(group.id, content))
            self._groups_before[group.id] = self._groups.kernel.get(group.id)
            self._groups.kernel[group.id] = content
            self._release(group)
        chosen: dict[tuple[int, bool], list[Prefix]] = {}
        while self._to_put and len(self._routes_before) < limit:
            prefix, _ = self._to_put.popitem()  # the newest first: from the other end each step would cost the queue
            group = self._wanted[prefix]
            if group.id in self._groups.kernel:
                before = self._routes_before[prefix] = self._point(prefix, group.id)
                chosen.setdefault((group.id, before is None), []).append(prefix)
            else:
                group.waiting[prefix] = None
        for (identity, create), prefixes in chosen.items():
            ops += [PutRoutes(part, identity, create) for part in _parts(prefixes)]
        return ops

    def _delete_ops(self, limit: int) -> list[KernelOp]:
        chosen = [self._to_delete.popitem()[0] for _ in range(min(limit, len(self._to_delete)))]
        for prefix in chosen:
            self._routes_before[prefix] = self._point(prefix, None)
        return [DeleteRoutes(part) for part in _parts(chosen)]

    def _unneeded_groups(self) -> Iterator[int]:
        for identity in self._groups.kernel if self._sweeping else ():
            group = self._groups.by_id(identity)
            needed = self._routes_at[identity] or (group is not None and group.routes)
            if not needed and identity not in self._undeletable and identity >= GROUP_ID_BASE:
                yield identity

    def _delete_group_ops(self) -> list[KernelOp]:
        for group in [g for g in self._groups if not g.routes and not self._routes_at[g.id]]:
            self._groups.drop(group)
        unneeded = list(self._unneeded_groups())
        for identity in unneeded:
            self._groups_before[identity] = self._groups.kernel.pop(identity)
        return [DeleteNexthop(identity) for identity in unneeded]

    def failed(self, failure: OpFailed) -> None:
        """The kernel refused (a part of) an operation of the last ``pending_ops``."""
        self.wants_nexthops = True
        match failure.op:
            case PutGroup(identity, members):
                self._restore_group(identity)
                if (group := self._groups.by_id(identity)) is not None:
                    if failure.errno == errno.EEXIST:
                        self._groups.renumber(group)
                    else:
                        group.refused, group.why = members, failure.message
            case DeleteNexthop(identity):
                self._restore_group(identity)
                self._undeletable.add(identity)
            case PutRoutes(prefixes=prefixes) | DeleteRoutes(prefixes):
                for prefix in failure.prefixes or prefixes:
                    self._point(prefix, self._routes_before[prefix])
                    group = self._wanted.get(prefix)
                    waits = group is not None and group.id not in self._groups.kernel
                    if group is not None and waits:
                        group.waiting[prefix] = None
                    else:
                        self._refused[prefix] = failure.message
            case _:
                raise ValueError(f"{failure.op} is none of the FIB's operations")

    def _restore_group(self, identity: int) -> None:
        before = self._groups_before[identity]
        if before is None:
            self._groups.kernel.pop(identity, None)
        else:
            self._groups.kernel[identity] = before

    # --- for people --------------------------------------------------------------------------------------------

    def counts(self) -> FibCounts:
        """How things stand."""
        return FibCounts(
            wanted=len(self._wanted),
            programmed=len(self._programmed),
            pending=len(self._to_put) + len(self._to_delete),
            waiting=sum(len(group.waiting) for group in self._groups),
            refused=len(self._refused),
            groups=len(self._groups.kernel),
            reasons=tuple(sorted({*self._refused.values(), *(g.why for g in self._groups if g.refused is not None)})),
        )

    def wanted(self, prefix: Prefix) -> MemberSet | None:
        """The members that were asked for."""
        group = self._wanted.get(prefix)
        return None if group is None else group.members

    def programmed(self, prefix: Prefix) -> tuple[int, Content] | None:
        """(group id, its members in the kernel) that the route has, as far as known; None: no route."""
        identity = self._programmed.get(prefix)
        return None if identity is None else (identity, self._groups.kernel.get(identity, ()))

    def refusal(self, prefix: Prefix) -> str | None:
        """The kernel's words when it refused the last operation on this prefix."""
        return self._refused.get(prefix)

    def prefixes(self) -> Iterable[Prefix]:
        """Every prefix that is wanted; do not change the table while you iterate."""
        return self._wanted.keys()


def _parts(prefixes: list[Prefix]) -> Iterator[tuple[Prefix, ...]]:
    for start in range(0, len(prefixes), ROUTES_PER_OP):
        yield tuple(prefixes[start : start + ROUTES_PER_OP])


def step(fib: Fib, kernel: Kernel, limit: int = ROUTES_PER_STEP) -> list[OpFailed]:
    """One bounded step: look where a look is due, give the kernel the next operations, note what it refused.

    Repeat until ``fib.settled``; 16,384 routes take some 50 ms.
    """
    if fib.wants_dump:
        fib.adopt(kernel.dump())
    elif fib.wants_nexthops:
        fib.observe(kernel.nexthops())
    failures = kernel.apply(fib.pending_ops(limit))
    for failure in failures:
        fib.failed(failure)
    return failures
