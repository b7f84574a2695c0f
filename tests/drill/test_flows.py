"""Flows are chosen until each member carries enough of them."""

from __future__ import annotations

import pytest

from netctl.drill.facts import Facts, GatewayFacts, Host
from netctl.drill.flows import CANDIDATES, ENOUGH, PER_MEMBER, candidates, choose
from netctl.model.errors import InconclusiveError

GATEWAY = GatewayFacts("ga1", "a", {"gw-pa": "pa", "gw-pb": "pb"})
FACTS = Facts(
    lab="lab",
    hosts=tuple(Host(f"{c}-vm{n}", f"10.{k}.{n}.10", c) for k, c in ((1, "a"), (2, "b")) for n in (1, 2, 3)),
    gateways=(GATEWAY, GatewayFacts("gb1", "b", {"gw-pa": "pa", "gw-pb": "pb"})),
    provider_links={},
)


def test_both_directions_and_all_pairs_of_vms_are_candidates() -> None:
    found = candidates(FACTS, "drill-1")
    assert sorted(found) == ["a_to_b", "b_to_a"]
    gateway, flows = found["a_to_b"]
    assert gateway.name == "ga1"
    assert len({(f.source, f.target) for f in flows}) == 9
    assert len({(f.source, f.source_port, f.target, f.target_port) for f in flows}) == CANDIDATES


def test_each_member_gets_its_flows() -> None:
    _, flows = candidates(FACTS, "drill-1")["a_to_b"]
    ways = {f.name: "gw-pa" if n % 5 == 0 else "gw-pb" for n, f in enumerate(flows)}
    chosen = choose("a_to_b", GATEWAY, flows, ways)
    assert [sum(m.via == via for m in chosen) for via in ("pa", "pb")] == [PER_MEMBER, PER_MEMBER]


def test_a_member_with_too_few_flows_makes_the_drill_inconclusive() -> None:
    _, flows = candidates(FACTS, "drill-1")["a_to_b"]
    ways = {f.name: "gw-pa" if n < ENOUGH - 1 else "gw-pb" for n, f in enumerate(flows)}
    with pytest.raises(InconclusiveError, match="sends 1 by pa"):
        choose("a_to_b", GATEWAY, flows, ways)
