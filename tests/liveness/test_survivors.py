"""Which member points where when paths fail and return: the core of liveness on a fake clock."""

from __future__ import annotations

from collections.abc import Sequence

from netctl.ipc.messages import (
    BfdSession,
    MemberPointed,
)
from netctl.liveness.decide import default_survivors
from netctl.liveness.events import (
    Arrived,
    Effect,
    Event,
    Point,
    Send,
    Tell,
)
from netctl.model.clock import SECOND
from netctl.model.ports import Datagram
from tests.liveness.world import FABRIC, HOME, NO_BFD, PA, PB, World, up


def test_a_silent_cut_moves_the_member_to_a_survivor_within_the_detection_time() -> None:
    world = up()
    world.arm(pa=(("pc", "pb"), "hold"))
    world.cut = {"pa"}
    world.run(151)
    assert world.where() == {**HOME, "pa": "pc"}
    (pointed,) = world.messages(MemberPointed)
    assert pointed == MemberPointed(peer="pa", at="pc", generation=1, decision_us=123.0)


def test_the_kernel_is_written_before_anything_is_sent_or_told() -> None:
    world = up()
    world.cut = {"pa"}
    batches: list[list[Effect]] = []
    handle = world.core.handle

    def recorded(event: Event, now_ns: int) -> Sequence[Effect]:
        batches.append(list(handle(event, now_ns)))
        return batches[-1]

    world.core.handle = recorded  # type: ignore[method-assign]
    world.run(200)
    (effects,) = [batch for batch in batches if any(isinstance(effect, Point) for effect in batch)]
    assert [type(effect) for effect in effects] == [Point, Send, Tell]


def test_before_the_first_arm_the_others_of_the_same_kind_survive() -> None:
    world = up()
    world.cut = {"pa"}
    world.run(200)
    assert world.where() == {**HOME, "pa": "pb"}


def test_default_survivors_begin_after_the_peer_so_that_load_spreads() -> None:
    gateway = World().gateway
    assert default_survivors(gateway, PA) == ("pb", "pc", "pn")
    assert default_survivors(gateway, PB) == ("pc", "pn", "pa")
    assert default_survivors(gateway, FABRIC) == ()


def test_without_a_survivor_everything_stays_as_it_is() -> None:
    world = up()
    world.cut = {"fab"}
    world.run(500)
    assert world.where() == HOME
    assert world.writes == []


def test_a_peer_without_bfd_is_a_survivor_only_when_the_agent_says_so() -> None:
    world = up(peers=(PA, NO_BFD))
    world.cut = {"pa"}
    world.run(300)
    assert world.at("pa") == "pa"
    world.arm(pa=(("pn",), "hold"))
    assert world.at("pa") == "pn"


def test_a_session_that_was_never_up_moves_nothing() -> None:
    world = World(cut={"pa", "pb"})
    world.run(10_000)
    assert world.where() == HOME


def test_a_neighbours_admin_down_moves_nothing() -> None:
    world = up()
    world.far["pa"].admin_down(world.now_ns)
    world.from_far("pa")
    world.run(2000)
    assert world.where() == HOME
    down = world.messages(BfdSession)[0]
    assert isinstance(down, BfdSession)
    assert (down.peer, down.state, down.remote_state) == ("pa", "down", "admin_down")


def test_two_neighbours_that_signal_down_in_one_reading_are_no_survivors_of_each_other() -> None:
    # What a process finds that was stopped itself: every neighbour has lost it.
    world = up()
    world.cut = {"pa", "pb", "pc"}
    downs: list[Datagram] = []
    for name in ("pa", "pb", "pc"):
        far = world.far[name]
        world.now_ns = far.next_timer() or 0
        for session in far._by_discriminator.values():
            session.step("expired")
        far.handle_timer(world.now_ns)
        downs += [Datagram(data, world.peer(name).address, 5, 255, "") for _, data in far.take_packets()]
    world.do(Arrived(downs))
    assert [m.state for m in world.messages(BfdSession) if isinstance(m, BfdSession)] == ["down"] * 3
    assert world.writes == []


def neighbour_loses_us(world: World, name: str) -> None:
    """The far end takes its session down as if our packets had not arrived, and says so."""
    for session in world.far[name]._by_discriminator.values():
        session.step("expired")
        session.forget_remote()
        session.next_send_ns = world.now_ns
        world.do(Arrived([Datagram(session.packet(), world.peer(name).address, 5, 255, "")]))


def test_a_neighbour_that_lost_us_while_we_were_stopped_is_not_taken_for_a_dead_path() -> None:
    world = up()
    world.now_ns += SECOND
    neighbour_loses_us(world, "pa")
    world.run(3500)
    assert world.writes == []
    assert [m.state for m in world.messages(BfdSession) if isinstance(m, BfdSession) and m.peer == "pa"][-1] == "up"


def test_a_neighbour_that_lost_us_while_we_were_stopped_and_does_not_come_back_is_a_dead_path() -> None:
    world = up()
    world.now_ns += SECOND
    world.cut = {"pa"}
    neighbour_loses_us(world, "pa")
    world.run(3900)
    assert world.where() == HOME
    world.run(200)
    assert world.at("pa") == "pb"


def test_a_neighbour_that_says_down_while_we_were_punctual_is_a_dead_path_at_once() -> None:
    world = up()
    neighbour_loses_us(world, "pa")
    assert world.at("pa") == "pb"


def test_a_second_failure_moves_every_member_that_used_the_survivor() -> None:
    world = up()
    world.cut = {"pa"}
    world.run(200)
    world.cut = {"pa", "pb"}
    world.run(200)
    assert world.where() == {**HOME, "pa": "pc", "pb": "pc"}
    world.cut = {"pa", "pb", "pc"}
    world.run(200)
    assert world.where() == {**HOME, "pa": "pc", "pb": "pc"}  # nothing is left: as it is


def test_after_losing_all_the_first_that_returns_carries_everything_at_once() -> None:
    world = up()
    world.arm(pa=(("pb",), "hold"), pb=(("pa",), "hold"))
    world.cut = {"pa"}
    world.run(300)
    world.cut = {"pa", "pb"}
    world.run(300)
    assert (world.at("pa"), world.at("pb")) == ("pb", "pb")
    world.cut = {"pb"}
    world.run(2500)
    assert (world.at("pa"), world.at("pb")) == ("pa", "pa")


def test_a_held_member_goes_home_early_when_its_survivor_dies() -> None:
    world = up()
    world.arm(pa=(("pb",), "hold"), pb=(("pa",), "hold"))
    world.cut = {"pa"}
    world.run(300)
    world.cut = set()
    world.run(2500)
    assert world.at("pa") == "pb"
    world.cut = {"pb"}
    world.run(300)
    assert (world.at("pa"), world.at("pb")) == ("pa", "pa")


def test_up_brings_a_member_home_at_once_when_armed_so() -> None:
    world = up()
    world.arm(pa=(("pb",), "now"))
    world.cut = {"pa"}
    world.run(300)
    assert world.at("pa") == "pb"
    world.cut = set()
    world.run(2500)
    assert world.at("pa") == "pa"


def test_a_held_member_waits_for_the_agents_word() -> None:
    world = up()
    world.arm(pa=(("pb",), "hold"))
    world.cut = {"pa"}
    world.run(300)
    world.cut = set()
    world.run(20_000)
    assert world.at("pa") == "pb"
    world.arm(generation=2, pa=(("pb",), "now"))
    assert world.at("pa") == "pa"


def test_a_held_member_goes_home_by_itself_after_its_time_of_uninterrupted_up() -> None:
    world = up()
    world.cut = {"pa"}
    world.run(300)
    world.cut = set()
    world.run(25_000)
    world.cut = {"pa"}
    world.run(300)
    world.cut = set()
    world.run(29_000)
    assert world.at("pa") == "pb"  # the interruption began the time anew
    world.run(4000)
    assert world.at("pa") == "pa"


def test_a_survivor_that_is_only_just_back_is_taken_after_one_that_was_never_away() -> None:
    world = up()
    world.arm(pa=(("pb", "pc"), "hold"), pb=(("pc",), "hold"))
    world.cut = {"pb"}
    world.run(300)
    world.cut = set()
    world.run(2500)
    world.cut = {"pa"}
    world.run(300)
    assert world.where() == {**HOME, "pa": "pc", "pb": "pc"}


def test_an_arm_without_survivors_disarms() -> None:
    world = up()
    world.arm(pa=((), "hold"))
    world.cut = {"pa"}
    world.run(500)
    assert world.where() == HOME
