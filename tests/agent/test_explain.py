"""``explain``: what it says of paths, of failures, and of what the gateway announces itself."""

from __future__ import annotations

from typing import Any

import pytest

from netctl.agent.events import CheckRan, LivenessSaid
from netctl.agent.explain import explain
from netctl.ipc.messages import MemberPointed, SessionState
from netctl.model.errors import UsageError
from tests.agent.node import FAR, Node, steady_node


@pytest.fixture
def node() -> Node:
    return steady_node()


def asked(node: Node, text: str) -> dict[str, Any]:
    return explain(node.agent, text, node.kernel.dump(), node.now_ns)


def failures(node: Node) -> dict[str, str]:
    return {row["peer"]: row["bfd_down"] for row in asked(node, "10.2.0.0/16")["if_failed"]}


def fail_over(node: Node, *, still_down: bool = True) -> None:
    node.bfd("pa", "down", downs=1)
    node.happen(LivenessSaid(MemberPointed("pa", "pb", 7)))
    if not still_down:
        node.bfd("pa", "up", ups=2, downs=1)


def test_an_own_announcement_is_told_with_its_targets_and_conditions_also_without_a_route(node: Node) -> None:
    answer = asked(node, "10.1.0.0/16")
    assert not answer["found"]
    assert answer["announced"] == [
        {
            "prefix": "10.1.0.0/16",
            "to": ["pa", "pb"],
            "announced_to": ["pa", "pb"],
            "when": {"peer:fa": "met", "check:ingress": "met"},
        }
    ]
    node.happen(CheckRan("ingress", False, "refused"))
    (own,) = asked(node, "10.1.77.1")["announced"]
    assert (own["announced_to"], own["when"]["check:ingress"]) == ([], "not met")


def test_an_announcement_is_left_out_when_a_longer_route_or_no_question_is_about_it(node: Node) -> None:
    assert asked(node, "10.1.1.5")["announced"] == []  # the fabric's own route is longer
    assert asked(node, "10.2.0.5")["announced"] == []  # in the default route is everything
    assert [a["prefix"] for a in asked(node, "0.0.0.0/0")["announced"]] == ["0.0.0.0/0"]


def test_a_path_whose_member_is_away_is_used_by_its_survivor_and_promises_nothing_that_has_happened(
    node: Node,
) -> None:
    fail_over(node)
    paths = {p["peer"]: (p["used"], p["carried_by"]) for p in asked(node, "10.2.0.0/16")["paths"]}
    assert paths == {"pa": (True, "pb"), "pb": (True, None), "fa": (False, None)}
    assert failures(node) == {
        "pa": "has failed: its member points at pb already",
        "pb": "everything stays as it is: there is no survivor",
        "fa": "nothing changes",
    }


def test_a_member_that_is_away_with_bfd_up_again_would_go_home_when_its_survivor_fails(node: Node) -> None:
    fail_over(node, still_down=False)
    assert failures(node)["pa"] == "its member points at pb already"
    assert failures(node)["pb"].endswith("at pa at once; pa's member, which points here, goes home")


def test_a_survivor_without_a_path_to_the_prefix_is_told(node: Node) -> None:
    node.says("pb", SessionState("down", 1, 0.0, "hold timer expired"))
    assert failures(node)["pa"] == (
        "its member is pointed at pb at once, which may not deliver: its BGP session is down (hold timer expired)"
    )
    node.learn("pb", sessions=2)
    assert failures(node)["pa"].endswith("which may not deliver: it announces no such route")
    node.learn("pb", FAR, sessions=3)
    assert failures(node)["pa"] == "its member is pointed at pb at once"


@pytest.mark.parametrize("text", ["2001:db8::1", "2001:db8::/32", "::/0"])
def test_an_ipv6_question_is_refused_as_usage(node: Node, text: str) -> None:
    with pytest.raises(UsageError, match="IPv4 only for now") as refusal:
        asked(node, text)
    assert refusal.value.exit_code == 2
