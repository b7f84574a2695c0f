"""Somebody else's route in the way of the agent's: told once, tried again less and less often; nothing waits for it."""

from __future__ import annotations

import errno

from netctl.agent.kernel import KernelSide
from netctl.fib.fake import FakeKernel
from netctl.model.clock import MS, SECOND
from netctl.model.gateway import MEMBER_ID_BASE
from netctl.model.prefix import parse_prefix
from netctl.model.routing import Link, OpFailed, PutMember, Via

TAKEN, FREE = parse_prefix("10.9.0.0/16"), parse_prefix("10.8.0.0/16")
MEMBER = MEMBER_ID_BASE + 1
WHY = "a route of protocol zebra is in the way"


def settle(side: KernelSide, kernel: FakeKernel, now_ns: int) -> list[OpFailed]:
    """What is worth a line in the log."""
    told: list[OpFailed] = []
    while not side.fib.settled:
        if (look := side.wants) is not None:
            side.looked(kernel.dump() if look == "dump" else kernel.nexthops(), look)
        told += side.applied(kernel.apply(side.take(100)), now_ns)
    return told


def test_a_foreign_route_is_told_once_shown_and_tried_again_until_it_is_gone() -> None:
    kernel, side = FakeKernel([Link("left", 1, True, 1500)]), KernelSide()
    kernel.apply([PutMember(MEMBER, Via(b"\x0a\0\1\2", "left"))])
    kernel.put_foreign(TAKEN, 11)
    for prefix in (TAKEN, FREE):
        side.fib.set_route(prefix, frozenset({(MEMBER, 1)}))
    now_ns = 0
    (told,) = settle(side, kernel, now_ns)
    assert (told.errno, told.message, told.prefixes) == (errno.EEXIST, WHY, (TAKEN,))
    pauses_ms = []
    for _ in range(8):
        assert set(kernel.dump().routes) == {FREE}
        assert (side.view()["reasons"], side.view()["refused"], side.view()["settled"]) == ((WHY,), 1, True)
        assert side.retry_ns is not None
        pauses_ms.append((side.retry_ns - now_ns) // MS)
        now_ns = side.retry_ns
        side.retry(now_ns)
        assert settle(side, kernel, now_ns) == []
    assert pauses_ms == [100, 200, 500, 1000, 2000, 5000, 5000, 5000]
    kernel.put_foreign(TAKEN, None)
    side.retry(now_ns + 5 * SECOND)
    assert settle(side, kernel, now_ns) == []
    assert set(kernel.dump().routes) == {FREE, TAKEN}
    assert (side.view()["reasons"], side.view()["refused"]) == ((), 0)
