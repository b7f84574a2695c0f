"""The relay's core, without I/O."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from exabgp.reactor.delay import Delay

from netctl.ipc.messages import (
    Announce,
    AnnouncedRoute,
    Arm,
    Complete,
    Message,
    ResetSession,
    Routes,
    SessionState,
    Shutdown,
    Withdrawn,
)
from netctl.model.clock import SECOND
from netctl.model.errors import PeerError
from netctl.model.gateway import Gateway, Peer
from netctl.model.prefix import parse_prefix
from netctl.speaker.decide import QUIET_NS, STOP_WITHIN_NS, Speaker
from netctl.speaker.effects import Command, Configure, Diagnose, Effect, Tell
from netctl.speaker.retry import RETRY_NS, RETRY_REFUSED_NS

PEER = Peer("pa", "provider", "gw-pa", "10.0.1.1", "10.0.1.2", 65001)


class Driver:
    """A speaker and its time."""

    def __init__(self, peer: Peer = PEER) -> None:
        self.speaker = Speaker(Gateway("ga1", "a", 65100, "10.0.1.1", "/run/x", (peer,)), peer)
        self.now = 1000 * SECOND
        self.speaker.start(self.now, 0.0)

    def line(self, kind: str, **neighbor: Any) -> list[Effect]:
        return self.speaker.line(json.dumps({"type": kind, "neighbor": neighbor}).encode(), self.now, 0.0)

    def state(self, state: str, reason: str = "") -> list[Effect]:
        return self.line("state", state=state, reason=reason)

    def update(self, *texts: str) -> list[Effect]:
        path = {"0": {"element": "as-sequence", "value": [65001]}}
        body = {"attribute": {"as-path": path}, "announce": {"ipv4 unicast": {"10.0.1.2": list(texts)}}}
        return self.line("update", message={"update": body})

    def withdraw(self, *texts: str) -> list[Effect]:
        return self.line("update", message={"update": {"withdraw": {"ipv4 unicast": list(texts)}}})

    def say(self, message: Message) -> list[Effect]:
        return self.speaker.message(message, self.now, 0.0)

    def notified(self, direction: str, code: int, subcode: int) -> list[Effect]:
        return self.line("notification", direction=direction, notification={"code": code, "subcode": subcode})

    def wait(self, duration_ns: int) -> list[Effect]:
        """Let time pass, from deadline to deadline."""
        end = self.now + duration_ns
        effects: list[Effect] = []
        while (due := self.speaker.next_timer()) is not None and due <= end:
            self.now = due
            effects += self.speaker.handle_timer(due, 0.0)
        self.now = end
        return effects


def told(effects: list[Effect]) -> list[Message]:
    return [effect.message for effect in effects if isinstance(effect, Tell)]


def commands(effects: list[Effect]) -> list[str]:
    return [line for effect in effects if isinstance(effect, Command) for line in effect.lines]


def keys(*texts: str) -> bytes:
    return b"".join(map(parse_prefix, texts))


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def up(driver: Driver) -> Driver:
    driver.state("connected")
    driver.line("open", open={"asn": 65001, "hold_time": 9, "router_id": "10.9.9.9"})
    driver.state("up")
    return driver


def test_a_session_comes_up_and_its_table_is_told(driver: Driver) -> None:
    (connecting,) = told(driver.state("connected"))
    assert isinstance(connecting, SessionState)
    assert connecting.state == "connecting"
    driver.line("open", open={"asn": 65001, "hold_time": 9, "router_id": "10.9.9.9"})
    assert told(driver.state("up")) == [SessionState("up", 1, 0.0, remote_router_id="10.9.9.9", up_ns=driver.now)]
    assert told(driver.update("10.2.0.0/16")) == [Routes(bytes((10, 0, 1, 2)), (65001,), keys("10.2.0.0/16"))]
    assert told(driver.withdraw("10.2.0.0/16", "10.3.0.0/16")) == [Withdrawn(keys("10.2.0.0/16"))]


def test_end_of_rib_completes_the_table_once(up: Driver) -> None:
    up.update("10.2.0.0/16")
    eor = {"eor": {"afi": "ipv4", "safi": "unicast"}}
    assert told(up.line("update", message=eor)) == [Complete(1)]
    assert told(up.line("update", message=eor)) == []
    assert up.wait(10 * SECOND) == []


def test_without_end_of_rib_silence_completes_the_table_and_updates_put_it_off(up: Driver) -> None:
    assert up.wait(QUIET_NS - 1) == []
    up.update("10.2.0.0/16")
    assert up.wait(QUIET_NS - 1) == []
    assert told(up.wait(1)) == [Complete(1, "quiet")]


def test_a_session_that_went_down_forgets_its_table_and_counts_on(up: Driver) -> None:
    up.update("10.2.0.0/16")
    (down,) = told(up.state("down", "closing connection"))
    assert down == SessionState("down", 1, 0.0, "the TCP connection was lost")
    up.state("connected")
    assert told(up.state("up"))[0] == SessionState("up", 2, 0.0, up_ns=up.now)
    assert [type(m) for m in up.speaker.snapshot()][:2] != [SessionState, Routes]


def test_a_notification_gives_the_reason(driver: Driver) -> None:
    driver.state("connected")
    driver.line("open", open={"asn": 65009, "hold_time": 9, "router_id": "10.9.9.9"})
    driver.notified("send", 2, 2)
    (down,) = told(driver.state("down", "notification sent (2,2)"))
    assert isinstance(down, SessionState)
    assert down.reason == "the peer says its AS is 65009, the file says 65001"


def test_tcp_closed_before_open_asks_whether_bgp_runs_there(driver: Driver) -> None:
    driver.state("connected")
    (down,) = told(driver.state("down", "closing connection"))
    assert isinstance(down, SessionState)
    assert "does BGP run there, with 10.0.1.1 as its neighbour?" in down.reason


def test_exabgp_is_told_to_try_again_each_three_seconds_and_the_kernel_is_asked_why(driver: Driver) -> None:
    effects = driver.wait(2 * RETRY_NS + SECOND)
    assert effects == [Configure(False, True), Diagnose(), Configure(False, False), Diagnose()]
    (state,) = told(driver.speaker.diagnosis(False, 0.0))
    assert isinstance(state, SessionState)
    assert "does not answer ARP on gw-pa" in state.reason
    assert driver.speaker.diagnosis(False, 0.0) == []
    driver.state("connected")
    assert driver.wait(10 * SECOND) == []


def test_a_helper_that_starts_into_a_session_asks_for_the_routes_and_confirms_them(driver: Driver) -> None:
    answer = b'[{"fsm": "ESTABLISHED", "peer": {"id": "10.9.9.9"}}]'
    effects = driver.speaker.line(answer, driver.now, 0.0)
    assert told(effects) == [SessionState("up", 1, 0.0, remote_router_id="10.9.9.9")]
    assert commands(effects) == ["neighbor 10.0.1.2 announce route-refresh ipv4 unicast"]
    driver.line("refresh", **{"route-refresh": {"subtype": "begin"}})
    driver.update("10.2.0.0/16")
    assert told(driver.line("refresh", **{"route-refresh": {"subtype": "end"}})) == [Complete(1)]


def test_a_peer_that_does_not_refresh_gets_a_new_session(driver: Driver) -> None:
    driver.speaker.line(b'[{"fsm": "ESTABLISHED", "peer": {}}]', driver.now, 0.0)
    driver.update("10.2.0.0/16")  # neither a stray update nor the End-of-RIB of what we missed makes it complete
    assert told(driver.line("update", message={"eor": {"afi": "ipv4", "safi": "unicast"}})) == []
    effects = driver.wait(QUIET_NS)
    assert (told(effects), commands(effects)) == ([], ["neighbor 10.0.1.2 teardown 4"])
    (down,) = told(driver.state("down"))
    assert isinstance(down, SessionState)
    assert down.reason == "reset by us: the peer did not send its routes again"


def test_an_update_shows_that_a_session_is_up(driver: Driver) -> None:
    effects = driver.update("10.2.0.0/16")
    assert [type(message) for message in told(effects)] == [SessionState, Routes]


def test_announcements_wait_for_the_session_and_are_not_repeated(driver: Driver) -> None:
    assert driver.say(Announce(1, (AnnouncedRoute(parse_prefix("10.1.0.0/16")),))) == []
    line = "neighbor 10.0.1.2 announce attributes next-hop 10.0.1.1 nlri 10.1.0.0/16"
    assert commands(driver.state("up")) == [line]
    driver.state("down")
    assert commands(driver.state("up")) == []  # ExaBGP has kept it


def test_a_reset_of_a_session_that_is_not_up_is_a_try(driver: Driver) -> None:
    assert driver.say(ResetSession("x")) == [Configure(False, True)]


def test_a_reset_tears_down_and_is_named_as_the_reason(up: Driver) -> None:
    assert commands(up.say(ResetSession("BFD is down"))) == ["neighbor 10.0.1.2 teardown 4"]
    up.notified("send", 6, 4)
    assert told(up.state("down")) == [SessionState("down", 1, 0.0, "reset by us: BFD is down")]


def test_shutdown_withdraws_then_closes_then_ends_and_is_no_fact_about_the_peer(up: Driver) -> None:
    up.say(Announce(1, (AnnouncedRoute(parse_prefix("10.1.0.0/16")),)))
    assert commands(up.say(Shutdown("bye"))) == [
        "neighbor 10.0.1.2 withdraw attributes next-hop 10.0.1.1 nlri 10.1.0.0/16",
        "neighbor 10.0.1.2 teardown 2",
    ]
    effects = up.state("down")
    assert told(effects) == [SessionState("down", 1, 0.0, "reset by us: bye", fact=False)]
    assert commands(effects) == ["shutdown"]


def test_shutdown_does_not_wait_for_ever(up: Driver) -> None:
    up.say(Shutdown("bye"))
    assert "shutdown" in commands(up.wait(STOP_WITHIN_NS))


def test_too_many_prefixes_are_said_and_the_session_stays() -> None:
    driver = Driver(replace(PEER, max_prefixes=2))
    driver.state("up")
    messages = told(driver.update("10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16"))
    assert isinstance(messages[0], Routes)
    assert messages[0].prefixes == keys("10.2.0.0/16", "10.3.0.0/16")
    assert isinstance(messages[1], SessionState)
    assert (messages[1].state, messages[1].sessions) == ("up", 1)
    assert "more than max_prefixes (2)" in messages[1].reason
    (again,) = told(driver.withdraw("10.4.0.0/16"))
    assert isinstance(again, SessionState)
    assert again.reason == ""


def test_twice_too_many_end_the_session_with_a_hold_off_that_doubles() -> None:
    driver = Driver(replace(PEER, max_prefixes=1))
    for hold_off_s in (30, 60):
        driver.state("up")
        assert commands(driver.update("10.2.0.0/16", "10.3.0.0/16")) == ["neighbor 10.0.1.2 teardown 1"]
        effects = driver.state("down")
        assert effects[-1] == Configure(passive=True, alternate=False)
        assert "at least 2 prefixes, max_prefixes is 1" in driver.speaker.session.reason
        assert driver.wait(hold_off_s * SECOND - 1) == []
        assert driver.say(ResetSession("x")) == []
        assert driver.wait(1) == [Configure(passive=False, alternate=False)]


def test_a_session_that_comes_about_in_a_hold_off_is_ended_and_told_to_nobody() -> None:
    driver = Driver(replace(PEER, max_prefixes=1))
    driver.state("up")
    driver.update("10.2.0.0/16", "10.3.0.0/16")
    driver.state("down")
    reason = driver.speaker.session.reason
    driver.state("connected")
    effects = driver.state("up")
    assert (told(effects), commands(effects)) == ([], ["neighbor 10.0.1.2 teardown 1"])
    assert driver.update("10.2.0.0/16", "10.3.0.0/16") == []
    driver.notified("send", 6, 3)
    assert driver.state("down")[-1] == Configure(passive=True, alternate=False)
    assert driver.speaker.session.reason == reason
    assert driver.wait(20 * SECOND) == []


def test_garbage_is_counted_and_changes_nothing(up: Driver) -> None:
    up.update("10.2.0.0/16")
    before = list(up.speaker.snapshot())[:-1]
    for line in (b"\xff\x00", b"{}", b'{"type": "update", "neighbor": {"message": 3}}'):
        assert up.speaker.line(line, up.now, 0.0) == []
    assert list(up.speaker.snapshot())[:-1] == before
    assert up.speaker.counters()["exabgp_lines_discarded"] == 3


@pytest.mark.parametrize(
    "message",
    [Arm(1, ()), Announce(1, (AnnouncedRoute(b"\x21\x0a\x01\x00\x00"),)), Announce(1, (AnnouncedRoute(b""),))],
)
def test_messages_that_make_no_sense_are_the_clients_error(up: Driver, message: Message) -> None:
    with pytest.raises(PeerError, match="unexpected_message"):
        up.say(message)


def test_a_retry_never_meets_an_attempt_of_exabgps_own() -> None:
    delay, gaps_s = Delay(), []
    for _ in range(20):
        gaps_s.append(delay._next)
        delay.increase()
    assert gaps_s[:4] == [0, 1, 2, 3]
    for retry_ns in (RETRY_NS, RETRY_REFUSED_NS):
        assert min(abs(retry_ns / SECOND - gap_s) for gap_s in gaps_s) >= 0.5
