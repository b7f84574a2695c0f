"""A gateway's FIB on a fake kernel, for the tests of planning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from netctl.fib.fake import FakeKernel, FakeKernelHandle
from netctl.fib.plan import Fib, MemberSet, step
from netctl.model.gateway import MEMBER_ID_BASE
from netctl.model.prefix import parse_prefix
from netctl.model.routing import (
    KernelOp,
    OpFailed,
    PutMember,
    Via,
)

IDS = {name: MEMBER_ID_BASE + number for number, name in enumerate("abc", 1)}
VIAS = {name: Via(bytes((10, 0, number, 2)), f"to-{name}") for number, name in enumerate("abc", 1)}
PREFIXES = [parse_prefix(f"10.{n}.0.0/16") for n in range(6)]


def over(names: str) -> MemberSet:
    return frozenset((IDS[name], 1) for name in names)


def put(name: str) -> PutMember:
    return PutMember(IDS[name], VIAS[name])


class RecordingHandle(FakeKernelHandle):
    def __init__(self, kernel: FakeKernel, ops: list[KernelOp]) -> None:
        super().__init__(kernel)
        self._ops = ops

    def apply(self, ops: Sequence[KernelOp]) -> list[OpFailed]:
        self._ops += ops
        return super().apply(ops)


@dataclass
class Node:
    """A kernel with members, a FIB that has adopted it, and every operation that it gave out."""

    kernel: FakeKernel = field(default_factory=FakeKernel)
    fib: Fib = field(default_factory=Fib)
    ops: list[KernelOp] = field(default_factory=list)
    members: str = "abc"

    def __post_init__(self) -> None:
        for name in "abc":
            self.kernel.set_link(VIAS[name].interface, True)
        self.kernel.apply([put(name) for name in self.members])
        self.mine = RecordingHandle(self.kernel, self.ops)
        self.mine.watch(self.fib.event)
        self.settle()

    def want(self, **routes: str) -> None:
        """``p0="ab"``: prefix number 0 over members a and b; empty: not wanted."""
        for name, members in routes.items():
            self.fib.set_route(PREFIXES[int(name[1:])], over(members))

    def settle(self) -> None:
        for _ in range(50):
            if self.fib.settled:
                return
            step(self.fib, self.mine)
        raise AssertionError("the FIB never settles")

    def via(self, number: int) -> str:
        """Over which members prefix ``number`` is forwarded."""
        found = self.kernel.lookup(PREFIXES[number][1:])
        return "".join(sorted(name for name, via in VIAS.items() if via in found))
