"""Members in the kernel, clients on the socket and the orderly stop: the core of liveness on a fake clock."""

from __future__ import annotations

import pytest

from netctl.bfd.session import State
from netctl.ipc.messages import (
    ALIVE_S,
    Armed,
    BfdSession,
    Counters,
    MemberPointed,
    Request,
    Shutdown,
)
from netctl.liveness.events import (
    Arrived,
    Asked,
    Event,
    Exit,
    Joined,
    Send,
    Stop,
    Tick,
)
from netctl.model.clock import MS
from netctl.model.ports import Datagram
from netctl.model.routing import KernelEvent, Link, Via
from tests.liveness.world import HOME, NO_BFD, PA, World, up


def test_members_that_are_missing_are_made_at_the_start_and_point_home() -> None:
    assert World().where() == HOME


def test_a_restart_leaves_members_where_they_are_until_something_is_known() -> None:
    world = up()
    world.cut = {"pa"}
    world.run(300)
    world.writes.clear()
    world.start()
    world.run(20_000)
    assert world.at("pa") == "pb"
    assert world.writes == []
    world.cut = set()
    world.run(33_000)
    assert world.at("pa") == "pa"


def test_a_member_that_points_nowhere_known_comes_home_at_the_start() -> None:
    world = World(kernel={PA.member_id: Via(b"\x0a\x63\x63\x63", "gone")})
    assert world.where() == HOME


def test_a_stale_agents_arm_is_refused_with_the_armed_generation() -> None:
    world = up()
    world.arm(generation=7, pa=(("pb",), "hold"))
    world.arm(generation=6, pa=(("pc",), "hold"))
    answer = world.messages(Armed)[-1]
    assert isinstance(answer, Armed)
    assert (answer.generation, "older than 7" in answer.error) == (7, True)
    world.cut = {"pa"}
    world.run(200)
    assert world.at("pa") == "pb"


@pytest.mark.parametrize("survivors", [("nobody",), ("pa",)])
def test_an_arm_that_makes_no_sense_is_refused_whole(survivors: tuple[str, ...]) -> None:
    world = up()
    world.arm(generation=9, pa=(survivors, "hold"), pb=(("pc",), "now"))
    answer = world.messages(Armed)[-1]
    assert isinstance(answer, Armed)
    assert answer.error
    assert world.core.generation == 0


def test_a_survivor_the_kernel_refuses_is_passed_over_for_the_next() -> None:
    world = up()
    world.down_links = {"gw-pb"}
    world.cut = {"pa"}
    world.run(200)
    assert world.at("pa") == "pc"


def test_members_are_made_again_when_a_link_returns() -> None:
    world = up()
    world.down_links = {"gw-pa"}
    del world.kernel[PA.member_id]
    world.do(KernelEvent("link", link=Link("gw-pa", 5, False, 1500)))
    assert world.writes == []
    world.down_links = set()
    world.do(KernelEvent("link", link=Link("gw-pa", 5, True, 1500)))
    assert world.where() == HOME
    assert world.writes == [("pa", "pa")]


def test_a_lost_carrier_and_a_silent_path_put_the_member_on_the_survivors_link() -> None:
    world = up()
    world.down_links = {"gw-pa"}
    del world.kernel[PA.member_id]
    world.cut = {"pa"}
    world.do(KernelEvent("link", link=Link("gw-pa", 5, False, 1500)))
    world.run(200)
    assert world.at("pa") == "pb"
    world.down_links = set()
    world.do(KernelEvent("link", link=Link("gw-pa", 5, True, 1500)))
    assert world.at("pa") == "pb"


@pytest.mark.parametrize("event", [KernelEvent("nexthop_gone", nexthop=PA.member_id), KernelEvent("overrun")])
def test_a_member_that_others_deleted_is_written_again(event: KernelEvent) -> None:
    world = up()
    world.kernel.pop(PA.member_id)
    world.do(event)
    assert world.where() == HOME


def test_what_others_delete_that_is_no_member_is_left_alone() -> None:
    world = up()
    world.do(KernelEvent("nexthop_gone", nexthop=4242))
    world.do(KernelEvent("route_gone", prefix=b"\x08\x0a\0\0\0"))
    world.do(KernelEvent("link", link=Link("eth77", 9, False, 1500)))
    assert world.writes == []


def test_a_kernel_that_refuses_is_asked_again_every_second_and_not_in_a_loop() -> None:
    world = World(down_links={"gw-pa"})
    world.run(900)
    refused = world.core.counts["member_refused{peer=pa}"]
    assert refused == 1
    world.run(2000)
    assert world.core.counts["member_refused{peer=pa}"] == 3
    world.down_links = set()
    world.run(1100)
    assert world.where() == HOME


def test_a_client_hears_every_session_and_every_member_after_hello() -> None:
    world = up()
    world.do(Joined(5))
    assert {tell.client for tell in world.told} == {5}
    assert {m.peer for m in world.messages(BfdSession) if isinstance(m, BfdSession)} == {"pa", "pb", "pc", "fab"}
    assert {m.peer for m in world.messages(MemberPointed) if isinstance(m, MemberPointed)} == set(HOME)
    assert len(world.messages(Counters)) == 1


def test_counters_are_told_at_least_as_often_as_hello_promises_also_when_none_has_changed() -> None:
    world = World(peers=(NO_BFD,))
    world.run(1500)
    for _ in range(5):
        before = world.messages(Counters)
        world.run(ALIVE_S * 1000)
        after = world.messages(Counters)
        assert len(after) > len(before)
        assert after[-1] == before[-1]


def test_garbage_on_the_bfd_port_is_counted_and_told_within_a_second() -> None:
    world = up()
    for _ in range(3):
        world.do(Arrived([Datagram(b"garbage", "10.0.1.2", 7, 255, "gw-pa")]))
    world.do(Arrived([Datagram(b"\x20" * 24, "10.0.1.2", 7, 64, "gw-pa")]))
    world.run(1000)
    counters = world.messages(Counters)[-1]
    assert isinstance(counters, Counters)
    assert counters.values["bfd_discarded{reason=truncated}"] == 3
    assert counters.values["bfd_discarded{reason=ttl}"] == 1
    assert world.where() == HOME


def test_a_message_that_liveness_does_not_take_is_counted_and_changes_nothing() -> None:
    world = up()
    world.do(Asked(1, Request(verb="status")))
    assert world.core.counts["socket_unexpected_message"] == 1
    assert world.told == []


@pytest.mark.parametrize("event", [Stop(), Asked(1, Shutdown(reason="stop"))])
def test_an_orderly_stop_says_admin_down_twice_and_moves_nothing(event: Event) -> None:
    world = up()
    effects = list(world.core.handle(event, world.now_ns))
    stopped_ns = world.now_ns
    while not any(isinstance(effect, Exit) for effect in effects):
        world.now_ns = world.core.next_timer()
        effects += world.core.handle(Tick(), world.now_ns)
    assert world.now_ns - stopped_ns == 50 * MS
    sent = [effect for effect in effects if isinstance(effect, Send)]
    for name in ("pa", "pb", "pc", "fab"):
        assert [e.data[1] >> 6 for e in sent if e.peer == name] == [State.ADMIN_DOWN] * 2
    assert world.writes == []


def test_after_lost_events_a_link_that_returned_unheard_gets_its_member_back() -> None:
    world = up()
    world.down_links = {"gw-pa"}
    del world.kernel[PA.member_id]
    world.do(KernelEvent("link", link=Link("gw-pa", 5, False, 1500)))
    world.down_links = set()
    world.do(KernelEvent("overrun"))
    assert world.where() == HOME
