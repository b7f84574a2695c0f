"""What is announced to whom while which conditions hold; unknown is never down."""

from __future__ import annotations

from netctl.agent.announce import Announcements, settle_ns
from netctl.agent.peers import PeerState, Phase
from netctl.health.checks import Verdict
from netctl.ipc.messages import BfdSession
from netctl.model.clock import SECOND
from netctl.model.gateway import AnnouncementSettings, BfdSettings, CheckSettings, Condition, Peer
from netctl.model.prefix import parse_prefix

OWN = parse_prefix("10.1.0.0/16")
SERVICE = parse_prefix("10.1.255.10/32")
DEFAULT = parse_prefix("0.0.0.0/0")

SETTINGS = (
    AnnouncementSettings(OWN, ("pa", "pb"), (Condition("peer", "fa"),)),
    AnnouncementSettings(SERVICE, ("pa",), (Condition("peer", "fa"), Condition("check", "ingress"))),
    AnnouncementSettings(DEFAULT, ("fa",), (Condition("path", "any"),)),
)


class Node:
    """A gateway's announcements over peers that a test sets as it likes."""

    def __init__(self, clouds: tuple[str, ...] = ("b",)) -> None:
        self.peers = {name: make(name, index) for index, name in enumerate(("pa", "pb", "fa"))}
        self.verdict = Verdict(1, 1)
        self.reaches: set[tuple[str, str | None]] = set()
        self.announcements = Announcements(
            SETTINGS,
            self.peers,
            clouds,
            {"ingress": self.verdict},
            lambda peer, cloud: (peer.name, cloud) in self.reaches,
        )

    def set(self, phase: Phase, *names: str) -> None:
        for name in names:
            self.peers[name].phase = phase

    def bfd(self, name: str, state: str, ups: int = 1) -> None:
        self.peers[name].bfd = BfdSession(name, "up" if state == "up" else "down", "", "up", 0.0, ups)

    def to(self, name: str) -> list[bytes] | None:
        routes = self.announcements.routes_for(name)
        return None if routes is None else [route.prefix for route in routes]


def make(name: str, index: int) -> PeerState:
    kind = "fabric" if name == "fa" else "provider"
    bfd = None if name == "fa" else BfdSettings(50, 3)
    return PeerState(
        Peer(name, "fabric" if kind == "fabric" else "provider", "i", "10.0.0.1", "10.0.0.2", 1, bfd), index, 120, 0
    )


def steady() -> Node:
    node = Node()
    node.set("complete", "pa", "pb", "fa")
    node.bfd("pa", "up")
    node.bfd("pb", "up")
    node.reaches = {("pa", "b"), ("pb", "b")}
    node.verdict.ran(passed=True, detail="")
    return node


def test_everything_is_announced_where_it_belongs_while_all_conditions_hold() -> None:
    node = steady()
    assert (node.to("pa"), node.to("pb"), node.to("fa")) == ([OWN, SERVICE], [OWN], [DEFAULT])


def test_a_failing_check_withdraws_only_its_own_announcement() -> None:
    node = steady()
    node.verdict.ran(passed=False, detail="status 503")
    assert (node.to("pa"), node.to("pb")) == ([OWN], [OWN])


def test_a_fabric_session_that_is_down_withdraws_the_own_cloud_from_the_providers() -> None:
    node = steady()
    node.set("idle", "fa")
    assert (node.to("pa"), node.to("pb")) == ([], [])


def test_a_fabric_peer_whose_routes_are_held_stale_still_counts_as_up() -> None:
    node = steady()
    node.set("unknown", "fa")
    assert node.to("pb") is None
    node.peers["fa"].adopted = True
    assert node.to("pb") == [OWN]


def test_a_condition_on_a_kind_is_met_by_any_peer_of_that_kind() -> None:
    node = steady()
    judge = node.announcements.judge
    node.set("idle", "pa")
    assert judge(Condition("peer", "provider")) is True
    node.set("unknown", "pb")
    assert judge(Condition("peer", "provider")) is None
    node.set("idle", "pb")
    assert judge(Condition("peer", "provider")) is False


def test_the_default_goes_only_when_the_last_provider_path_is_gone() -> None:
    node = steady()
    node.bfd("pa", "down")
    assert node.to("fa") == [DEFAULT]
    node.set("idle", "pb")
    assert node.to("fa") == []


def test_a_provider_that_is_up_but_reaches_no_cloud_is_no_path() -> None:
    node = steady()
    node.reaches = {("pb", "b")}
    node.set("idle", "pb")
    assert node.to("fa") == []


def test_without_configured_clouds_any_provider_route_is_a_path() -> None:
    node = Node(clouds=())
    node.set("complete", "pa", "pb", "fa")
    node.bfd("pa", "up")
    node.bfd("pb", "up")
    assert node.to("fa") == []
    node.reaches = {("pb", None)}
    assert node.to("fa") == [DEFAULT]


def test_a_bfd_session_that_was_never_up_does_not_make_the_path_down() -> None:
    node = steady()
    node.set("idle", "pb")
    node.bfd("pa", "down", ups=0)
    assert node.to("fa") == [DEFAULT]


def test_a_new_agent_says_nothing_before_first_results_and_no_longer_waits_when_the_time_is_over() -> None:
    node = Node()
    node.set("complete", "fa")
    node.set("loading", "pa", "pb")
    assert node.to("pa") is None  # the check has not run
    assert node.to("fa") is None  # the tables are not there yet
    assert node.to("pb") == [OWN]
    node.announcements.settled = True
    assert (node.to("pa"), node.to("fa")) == ([OWN], [])


def test_first_results_may_take_as_long_as_the_slowest_check_needs() -> None:
    quick = CheckSettings("a", None, "h:1", interval_ms=500, timeout_ms=300, rise=2, fall=3)
    slow = CheckSettings("b", None, "h:1", interval_ms=10_000, timeout_ms=5_000, rise=2, fall=3)
    assert settle_ns([quick]) == 5 * SECOND
    assert settle_ns([quick, slow]) == 35 * SECOND
