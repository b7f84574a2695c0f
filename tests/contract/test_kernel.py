"""What every ``Kernel`` promises: the real one and the fake."""

from __future__ import annotations

import errno
from collections.abc import Callable

from netctl.model.prefix import Prefix, parse_address
from netctl.model.routing import DeleteNexthop, DeleteRoutes, PutGroup, PutMember, PutRoutes, Via
from tests.contract.kernels import BOTH, G1, G2, M1, M2, P1, P2, A, B, Events, Host, Scenario, is_link


def test_what_was_written_is_what_is_dumped(on: Callable[[Scenario], None]) -> None:
    async def scenario(host: Host) -> None:
        kernel = host.open()
        assert kernel.apply([*BOTH, PutRoutes((P1, P2), G1)]) == []
        state = host.open().dump()
        assert state.members == {M1: A, M2: B}
        assert state.groups == {G1: ((M1, 1), (M2, 3))}
        assert state.routes == {P1: G1, P2: G1}
        assert kernel.nexthops().members == state.members
        assert kernel.nexthops().groups == state.groups
        assert kernel.nexthops().routes == {}

    on(scenario)


def test_members_and_groups_and_routes_are_replaced_in_place(on: Callable[[Scenario], None]) -> None:
    async def scenario(host: Host) -> None:
        kernel = host.open()
        assert kernel.apply([*BOTH, PutRoutes((P1, P2), G1)]) == []
        assert kernel.apply([PutMember(M1, B), PutGroup(G1, ((M1, 256),)), PutGroup(G2, ((M2, 1),))]) == []
        assert kernel.apply([PutRoutes((P1,), G2)]) == []
        state = kernel.dump()
        assert state.members == {M1: B, M2: B}
        assert state.groups == {G1: ((M1, 256),), G2: ((M2, 1),)}
        assert state.routes == {P1: G2, P2: G1}

    on(scenario)


def test_one_refusal_is_attributed_and_stops_nothing_after_it(on: Callable[[Scenario], None]) -> None:
    async def scenario(host: Host) -> None:
        kernel = host.open()
        nowhere = PutMember(M1 + 8, Via(parse_address("10.0.3.2"), "nowhere"))
        no_member, no_group = PutGroup(G2, ((M1, 1), (M1 + 9, 1))), PutRoutes((P1, P2), G2)
        failed = kernel.apply([*BOTH, nowhere, no_member, no_group, PutRoutes((P2,), G1)])
        assert [(f.op, f.errno) for f in failed] == [
            (nowhere, errno.ENODEV),
            (no_member, errno.EINVAL),
            (no_group, errno.EINVAL),
        ]
        assert failed[2].prefix == P1
        assert failed[2].prefixes == (P1, P2)
        assert kernel.dump().routes == {P2: G1}

    on(scenario)


def test_replacing_a_group_with_a_missing_member_leaves_it_as_it_was(on: Callable[[Scenario], None]) -> None:
    async def scenario(host: Host) -> None:
        kernel = host.open()
        kernel.apply([*BOTH, PutRoutes((P1,), G1)])
        (failed,) = kernel.apply([PutGroup(G1, ((M1, 1), (M1 + 9, 1)))])
        assert failed.errno == errno.EINVAL
        assert kernel.dump().groups == {G1: ((M1, 1), (M2, 3))}

    on(scenario)


def test_groups_and_members_do_not_turn_into_each_other(on: Callable[[Scenario], None]) -> None:
    async def scenario(host: Host) -> None:
        kernel = host.open()
        failed = kernel.apply([*BOTH, PutMember(G1, A), PutGroup(M1, ((M2, 1),)), PutGroup(G2, ())])
        assert [f.errno for f in failed] == [errno.EINVAL] * 3

    on(scenario)


def test_deleting_twice_is_no_error(on: Callable[[Scenario], None]) -> None:
    async def scenario(host: Host) -> None:
        kernel = host.open()
        kernel.apply([*BOTH, PutRoutes((P1, P2), G1)])
        assert kernel.apply([DeleteRoutes((P1,)), DeleteRoutes((P1, P2))]) == []
        assert kernel.apply([DeleteNexthop(G1), DeleteNexthop(M1), DeleteNexthop(M1)]) == []
        state = kernel.dump()
        assert (state.members, state.groups, state.routes) == ({M2: B}, {}, {})

    on(scenario)


def test_a_deleted_member_leaves_its_groups_and_the_last_one_takes_the_routes_along(
    on: Callable[[Scenario], None],
) -> None:
    async def scenario(host: Host) -> None:
        kernel = host.open()
        kernel.apply([*BOTH, PutRoutes((P1, P2), G1)])
        assert kernel.apply([DeleteNexthop(M1)]) == []
        assert kernel.dump().groups == {G1: ((M2, 3),)}
        assert kernel.dump().routes == {P1: G1, P2: G1}
        assert kernel.apply([DeleteNexthop(M2)]) == []
        state = kernel.dump()
        assert (state.members, state.groups, state.routes) == ({}, {}, {})

    on(scenario)


def test_loss_of_carrier_removes_members_groups_and_routes_and_tells_of_the_link_alone(
    on: Callable[[Scenario], None],
) -> None:
    async def scenario(host: Host) -> None:
        kernel = host.open()
        kernel.apply([*BOTH, PutGroup(G2, ((M1, 1),)), PutRoutes((P1,), G1), PutRoutes((P2,), G2)])
        events = Events(host.open())
        host.lose_carrier("left")
        await events.until(is_link("left", False))
        state = kernel.dump()
        assert (state.members, state.groups, state.routes) == ({M2: B}, {G1: ((M2, 3),)}, {P1: G1})
        assert [f.errno for f in kernel.apply([PutMember(M1, A)])] == [errno.ENETDOWN]
        host.regain_carrier("left")
        await events.until(is_link("left", True))
        assert {event.kind for event in events.seen} == {"link"}
        assert kernel.apply([PutMember(M1, A), PutGroup(G1, ((M1, 1), (M2, 3)))]) == []

    on(scenario)


def test_deletions_by_others_are_told_and_ones_own_are_not(on: Callable[[Scenario], None]) -> None:
    async def scenario(host: Host) -> None:
        mine, liveness = host.open(), host.open()
        mine.apply([*BOTH, PutRoutes((P1, P2), G1)])
        events = Events(mine)
        mine.apply([DeleteRoutes((P2,))])
        host.delete_route("10.9.0.0/16")
        gone = await events.until(lambda event: event.kind == "route_gone")
        assert (gone.prefix, gone.nexthop) == (P1, G1)
        liveness.apply([DeleteNexthop(M1)])
        assert (await events.until(lambda event: event.kind == "nexthop_gone")).nexthop == M1
        host.delete_nexthop(M2)
        assert (await events.until(lambda event: event.nexthop == M2)).kind == "nexthop_gone"
        assert all(event.prefix != P2 for event in events.seen)

    on(scenario)


def test_links_have_carrier_and_addresses(on: Callable[[Scenario], None]) -> None:
    async def scenario(host: Host) -> None:
        kernel = host.open()
        left = kernel.links()["left"]
        assert left.up
        assert parse_address("10.0.1.1") in left.addresses
        host.lose_carrier("left")
        assert not kernel.links()["left"].up
        assert kernel.links()["right"].up

    on(scenario)


def test_a_table_larger_than_many_batches_arrives_whole_and_leaves_whole(on: Callable[[Scenario], None]) -> None:
    async def scenario(host: Host) -> None:
        kernel = host.open()
        table: tuple[Prefix, ...] = tuple(b"\x20" + (0x14000000 + i).to_bytes(4, "big") for i in range(5000))
        assert kernel.apply([*BOTH, PutRoutes(table[:3000], G1), PutGroup(G2, ((M1, 1),))]) == []
        assert kernel.apply([PutRoutes(table[3000:], G2), PutRoutes(table[:1500], G2)]) == []
        routes = kernel.dump().routes
        assert len(routes) == 5000
        assert {routes[prefix] for prefix in table[1500:3000]} == {G1}
        assert {routes[prefix] for prefix in table[:1500] + table[3000:]} == {G2}
        (failed,) = kernel.apply([PutRoutes(table, G2 + 5)])
        assert failed.prefixes == table
        assert kernel.apply([DeleteRoutes(table)]) == []
        assert kernel.dump().routes == {}

    on(scenario)


def test_closing_twice_is_harmless_and_ends_the_watching(on: Callable[[Scenario], None]) -> None:
    async def scenario(host: Host) -> None:
        watched, other = host.open(), host.open()
        events, still = Events(watched), Events(other)
        watched.close()
        watched.close()
        host.lose_carrier("left")
        await still.until(is_link("left", False))
        assert events.seen == []

    on(scenario)


def test_ids_are_unsigned_even_where_they_are_large(on: Callable[[Scenario], None]) -> None:
    async def scenario(host: Host) -> None:
        kernel = host.open()
        assert kernel.apply([PutMember(M1, A), PutGroup(0xFFFFFFF0, ((M1, 1),)), PutRoutes((P1,), 0xFFFFFFF0)]) == []
        assert kernel.dump().routes == {P1: 0xFFFFFFF0}

    on(scenario)
