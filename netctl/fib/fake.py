"""``FakeKernel``: the Kernel port on dictionaries, as strict and as silent as the real one.

What it copies on purpose: a group that names a missing member and a route at a missing nexthop are refused (EINVAL);
deleting a member takes it out of its groups; a group without members is deleted and its routes with it, without a word
about those routes; loss of carrier removes members (and so on) without a word about any of them. An object of
somebody else (``put_foreign``) is overwritten where the real kernel would do it, and refused where netctl must not try.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from netctl.fib.owners import nexthop_in_the_way, route_in_the_way
from netctl.model.prefix import Prefix
from netctl.model.routing import (
    DeleteNexthop,
    DeleteRoutes,
    KernelEvent,
    KernelOp,
    KernelState,
    Link,
    OpFailed,
    PutGroup,
    PutMember,
    PutRoutes,
    Via,
)

CallSoon = Callable[[Callable[[], None]], object]


class FakeKernel:
    """One namespace's kernel. Programs of one node share it, each through ``handle()``; it is a handle itself.

    ``call_soon`` (an event loop's) delivers events; without it they are delivered within the call that causes them.
    """

    def __init__(self, links: Iterable[Link] = (), call_soon: CallSoon | None = None) -> None:
        self._links = {link.name: link for link in links}
        self._members: dict[int, Via] = {}
        self._groups: dict[int, tuple[tuple[int, int], ...]] = {}
        self._routes: dict[Prefix, int] = {}
        self._lengths: dict[tuple[int, int], int] = {}
        self._foreign: dict[Prefix | int, int] = {}
        self._watchers: list[tuple[object, Callable[[KernelEvent], None]]] = []
        self._call_soon = call_soon
        self._faults: list[tuple[type[KernelOp], int]] = []

    # --- the port ----------------------------------------------------------------------------------------------

    def apply(self, ops: Sequence[KernelOp]) -> list[OpFailed]:
        """See the port."""
        return self._apply(ops, self)

    def dump(self) -> KernelState:
        """See the port."""
        return KernelState(dict(self._members), dict(self._groups), dict(self._routes))

    def nexthops(self) -> KernelState:
        """See the port."""
        return KernelState(dict(self._members), dict(self._groups), {})

    def links(self) -> dict[str, Link]:
        """See the port."""
        return dict(self._links)

    def watch(self, callback: Callable[[KernelEvent], None]) -> None:
        """See the port."""
        self._watch(callback, self)

    def close(self) -> None:
        """Ends this handle's watching; the kernel lives on."""
        self._unwatch(self)

    def handle(self) -> FakeKernelHandle:
        """One more program's access to this kernel."""
        return FakeKernelHandle(self)

    # --- hooks for tests and the simulator ---------------------------------------------------------------------

    def set_link(self, name: str, up: bool, addresses: tuple[bytes, ...] | None = None) -> None:
        """Add a link, or change its carrier (or addresses). Without carrier its members go, silently."""
        old = self._links.get(name)
        if old is None:
            old = Link(name, max((link.index for link in self._links.values()), default=0) + 1, up, 1500)
        link = replace(old, up=up, addresses=old.addresses if addresses is None else addresses)
        changed = self._links.get(name) != link
        self._links[name] = link
        if not up:
            for member in [member for member, via in self._members.items() if via.interface == name]:
                self._remove_member(member)
        if changed:
            self._tell(KernelEvent("link", link=link), None)

    def fail_next(self, kind: type[KernelOp], number: int, times: int = 1) -> None:
        """Refuse the next operations of that kind with that errno (a bulk one wholly)."""
        self._faults += [(kind, number)] * times

    def forget(self, what: Prefix | int) -> None:
        """Somebody else deletes a route (by prefix) or a nexthop (by id)."""
        op = DeleteNexthop(what) if isinstance(what, int) else DeleteRoutes((what,))
        self._apply((op,), None)

    def put_foreign(self, what: Prefix | int, protocol: int | None) -> None:
        """Somebody else makes a route of netctl's metric or a nexthop, where netctl has none; None: takes it away.

        Only its being in the way is modelled: ``lookup`` does not find it.
        """
        if protocol is None:
            self._foreign.pop(what, None)
        else:
            self._foreign[what] = protocol

    def foreign(self, what: Prefix | int) -> int | None:
        """The protocol of somebody else's route or nexthop there."""
        return self._foreign.get(what)

    def overrun(self) -> None:
        """Events were lost."""
        self._tell(KernelEvent("overrun"), None)

    def lookup(self, address: bytes) -> list[Via]:
        """Where a packet to ``address`` (4 or 16 bytes) may go: longest match, its group, its members; [] for none."""
        bits = len(address) * 8
        value = int.from_bytes(address, "big")
        for length in range(bits, -1, -1):
            if (len(address), length) not in self._lengths:
                continue
            host = bits - length
            network = (value >> host << host).to_bytes(len(address), "big")
            if (group := self._routes.get(bytes((length,)) + network)) is not None:
                return [self._members[member] for member, _ in self._groups.get(group, ((group, 1),))]
        return []

    # --- inside ------------------------------------------------------------------------------------------------

    def _apply(self, ops: Sequence[KernelOp], by: object) -> list[OpFailed]:
        failed: list[OpFailed] = []
        for op in ops:
            fault = next((fault for fault in self._faults if isinstance(op, fault[0])), None)
            if fault is not None:
                self._faults.remove(fault)
                failed.append(_failed(op, fault[1]))
            elif (refused := self._spared(op)) is not None:
                failed += refused
            elif number := self._one(op, by):
                failed.append(_failed(op, number))
            elif isinstance(op, PutRoutes):
                failed += self._put_routes(op)
        return failed

    def _spared(self, op: KernelOp) -> list[OpFailed] | None:
        """The refusals of an operation that would change somebody else's nexthop (deleting it: not tried); None: it
        would not."""
        nexthop = None if isinstance(op, DeleteRoutes) else op.group if isinstance(op, PutRoutes) else op.id
        if nexthop is None or nexthop not in self._foreign:
            return None
        if isinstance(op, DeleteNexthop):
            return []
        return [_failed(op, errno.EEXIST, nexthop_in_the_way(nexthop, self._foreign[nexthop]))]

    def _one(self, op: KernelOp, by: object) -> int:
        """0 or the errno of the refusal."""
        match op:
            case PutMember(identity, via):
                return self._put_member(identity, via)
            case PutGroup(identity, members):
                if not members or identity in self._members or any(m not in self._members for m, _ in members):
                    return errno.EINVAL
                self._groups[identity] = members
            case DeleteNexthop(identity):
                self._delete_nexthop(identity, by)
            case PutRoutes(group=group):
                return 0 if group in self._groups or group in self._members else errno.EINVAL
            case DeleteRoutes(prefixes):
                for prefix in filter(self._routes.__contains__, dict.fromkeys(prefixes)):
                    group = self._drop_route(prefix)
                    self._tell(KernelEvent("route_gone", prefix=prefix, nexthop=group), by)
        return 0

    def _put_member(self, identity: int, via: Via) -> int:
        if via.interface not in self._links:
            return errno.ENODEV
        if not self._links[via.interface].up:
            return errno.ENETDOWN
        if identity in self._groups:
            return errno.EINVAL
        self._members[identity] = via
        return 0

    def _delete_nexthop(self, identity: int, by: object) -> None:
        if identity in self._members:
            self._remove_member(identity)
        elif identity in self._groups:
            self._remove_group(identity)
        else:
            return
        self._tell(KernelEvent("nexthop_gone", nexthop=identity), by)

    def _remove_member(self, identity: int) -> None:
        del self._members[identity]
        for group, members in list(self._groups.items()):
            left = tuple(member for member in members if member[0] != identity)
            if not left:
                self._remove_group(group)
            elif left != members:
                self._groups[group] = left
        self._flush(identity)

    def _remove_group(self, identity: int) -> None:
        del self._groups[identity]
        self._flush(identity)

    def _flush(self, nexthop: int) -> None:
        for prefix in [prefix for prefix, group in self._routes.items() if group == nexthop]:
            self._drop_route(prefix)

    def _put_routes(self, op: PutRoutes) -> list[OpFailed]:
        in_the_way: dict[int, list[Prefix]] = {}
        for prefix in op.prefixes:
            if op.create and prefix in self._foreign:
                in_the_way.setdefault(self._foreign[prefix], []).append(prefix)
                continue
            self._foreign.pop(prefix, None)
            if prefix not in self._routes:
                key = (len(prefix) - 1, prefix[0])
                self._lengths[key] = self._lengths.get(key, 0) + 1
            self._routes[prefix] = op.group
        return [
            OpFailed(op, errno.EEXIST, route_in_the_way(protocol), prefixes[0], tuple(prefixes))
            for protocol, prefixes in in_the_way.items()
        ]

    def _drop_route(self, prefix: Prefix) -> int:
        key = (len(prefix) - 1, prefix[0])
        self._lengths[key] -= 1
        if not self._lengths[key]:
            del self._lengths[key]
        return self._routes.pop(prefix)

    def _watch(self, callback: Callable[[KernelEvent], None], by: object) -> None:
        self._watchers.append((by, callback))

    def _unwatch(self, by: object) -> None:
        self._watchers = [watcher for watcher in self._watchers if watcher[0] is not by]

    def _tell(self, event: KernelEvent, by: object) -> None:
        """Tell every watcher but those of the handle that did it."""
        for watcher in tuple(self._watchers):
            if by is None or watcher[0] is not by:
                if self._call_soon is None:
                    watcher[1](event)
                else:
                    self._call_soon(partial(self._deliver, watcher, event))

    def _deliver(self, watcher: tuple[object, Callable[[KernelEvent], None]], event: KernelEvent) -> None:
        if watcher in self._watchers:  # closed meanwhile: its program is dead
            watcher[1](event)


def _failed(op: KernelOp, number: int, why: str = "") -> OpFailed:
    prefixes = op.prefixes if isinstance(op, PutRoutes | DeleteRoutes) else ()
    return OpFailed(op, number, why or os.strerror(number), prefixes[0] if prefixes else None, prefixes)


class FakeKernelHandle:
    """One program's access to a shared FakeKernel: closing it (the program's death) ends its watching alone."""

    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel
        self.dump = kernel.dump
        self.nexthops = kernel.nexthops
        self.links = kernel.links

    def apply(self, ops: Sequence[KernelOp]) -> list[OpFailed]:
        """See the port."""
        return self._kernel._apply(ops, self)

    def watch(self, callback: Callable[[KernelEvent], None]) -> None:
        """See the port."""
        self._kernel._watch(callback, self)

    def close(self) -> None:
        """Idempotent."""
        self._kernel._unwatch(self)
