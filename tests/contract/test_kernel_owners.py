"""What every ``Kernel`` promises about routes and nexthops that are not netctl's: they stay as they are."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from netctl.model.prefix import Prefix, parse_prefix
from netctl.model.routing import DeleteNexthop, DeleteRoutes, PutGroup, PutMember, PutRoutes
from tests.contract.kernels import BOTH, G1, G2, M1, M2, P1, P2, A, B, Host, Scenario


@pytest.mark.parametrize("prefix", ["10.9.0.0/16", "0.0.0.0/0", "10.9.3.4/32"])
def test_a_route_to_create_never_takes_the_place_of_somebody_elses(on: Callable[[Scenario], None], prefix: str) -> None:
    async def scenario(host: Host) -> None:
        kernel, taken, free = host.open(), parse_prefix(prefix), parse_prefix("10.8.0.0/16")
        host.put_foreign_route(prefix)
        create = PutRoutes((taken, free), G1, create=True)
        for _ in range(2):
            (failed,) = kernel.apply([*BOTH, create])
            assert (failed.op, failed.errno, failed.prefixes) == (create, errno.EEXIST, (taken,))
            assert failed.message == "a route of protocol bird is in the way"
            assert host.has_foreign_route(prefix)
            assert kernel.dump().routes == {free: G1}
        host.delete_foreign_route(prefix)
        assert kernel.apply([create]) == []
        assert kernel.dump().routes == {taken: G1, free: G1}

    on(scenario)


def test_a_route_to_create_that_netctl_has_already_is_replaced(on: Callable[[Scenario], None]) -> None:
    async def scenario(host: Host) -> None:
        predecessor, kernel = host.open(), host.open()
        table: tuple[Prefix, ...] = tuple(b"\x20" + (0x14000000 + i).to_bytes(4, "big") for i in range(3000))
        host.put_foreign_route("10.9.0.0/16")
        predecessor.apply([*BOTH, PutGroup(G2, ((M1, 1),)), PutRoutes((*table[:2000], P2), G1)])
        assert kernel.apply([PutRoutes(table[:3], G2, create=True)]) == []
        (failed,) = kernel.apply([PutRoutes((*table, P1, P2), G2, create=True)])
        assert (failed.errno, failed.prefixes) == (errno.EEXIST, (P1,))
        assert host.has_foreign_route("10.9.0.0/16")
        assert kernel.dump().routes == dict.fromkeys((*table, P2), G2)

    on(scenario)


def test_a_deletion_leaves_somebody_elses_route_alone(on: Callable[[Scenario], None]) -> None:
    async def scenario(host: Host) -> None:
        kernel = host.open()
        host.put_foreign_route("10.9.0.0/16")
        assert kernel.apply([*BOTH, PutRoutes((P2,), G1), DeleteRoutes((P1, P2))]) == []
        assert host.has_foreign_route("10.9.0.0/16")
        assert kernel.dump().routes == {}

    on(scenario)


@pytest.mark.parametrize("taken", [M1, G1])
def test_somebody_elses_nexthop_is_neither_written_nor_deleted_nor_used(
    on: Callable[[Scenario], None], taken: int
) -> None:
    async def scenario(host: Host) -> None:
        kernel = host.open()
        host.put_foreign_nexthop(taken)
        put = PutMember(taken, A) if taken == M1 else PutGroup(taken, ((M2, 1),))
        route = PutRoutes((P1, P2), taken)
        failed = kernel.apply([PutMember(M2, B), put, route, PutGroup(G2, ((M2, 1),)), DeleteNexthop(taken)])
        assert [(f.op, f.errno, f.prefixes) for f in failed] == [
            (put, errno.EEXIST, ()),
            (route, errno.EEXIST, (P1, P2)),
        ]
        assert {f.message for f in failed} == {f"a nexthop of protocol zebra is in the way at id {taken}"}
        assert host.has_foreign_nexthop(taken)
        state = kernel.dump()
        assert (state.members, state.groups, state.routes) == ({M2: B}, {G2: ((M2, 1),)}, {})

    on(scenario)
