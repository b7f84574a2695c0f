"""Which options and names a drill takes."""

from __future__ import annotations

import itertools

import pytest

from netctl.drill.catalogue import DRILLS, check_names, check_options, find
from netctl.drill.experiments import Options
from netctl.drill.facts import Agent, Facts, GatewayFacts, Speaker
from netctl.fault.faults import LinkEnd, ProcessHold, ProcessKill, RegistryWipe
from netctl.model.errors import EnvironmentLackError, UsageError
from tests.drill.names_facts import HOSTS, NAMES

EXITS = {"gw-pa": "pa", "gw-pb": "pb"}
FACTS = Facts(
    lab="small",
    hosts=HOSTS,
    gateways=(GatewayFacts("ga", "a", EXITS), GatewayFacts("gb", "b", {"gw-pb": "pb"})),
    provider_links={p: (LinkEnd(None, f"to-{p}"),) for p in ("pa", "pb")},
    agents=(Agent("ga", 10, 1, "/a"), Agent("gb", 11, 1, "/b")),
    speakers=tuple(Speaker(g, p, 20, 1) for g in ("ga", "gb") for p in ("pa", "pb")),
    names=NAMES,
)
ROUTING_ONLY = Facts(FACTS.lab, HOSTS, FACTS.gateways, FACTS.provider_links, FACTS.agents, FACTS.speakers)
SAID = {
    "provider": Options(provider="pb"),
    "gateway": Options(gateway="gb"),
    "peer": Options(peer="pb"),
    "signal": Options(signal="STOP"),
    "agents": Options(agents="STOP"),
    "vm": Options(vm="b-vm2"),
    "cloud": Options(cloud="b"),
    "controller": Options(controller="c1"),
}


@pytest.mark.parametrize(("drill", "option"), list(itertools.product(DRILLS, SAID)))
def test_an_option_changes_the_experiment_of_each_drill_that_takes_it_and_is_refused_by_the_others(
    drill: str, option: str
) -> None:
    found = find(drill)
    if option in found.options:
        check_options(found, SAID[option])
        changed = found.build(SAID[option], FACTS)
        assert changed.faults != found.build(Options(), FACTS).faults
        assert changed.options[option] == SAID[option].given()[option]
    else:
        with pytest.raises(UsageError) as refused:
            check_options(found, SAID[option])
        assert f"--{option}" in refused.value.message
        for other in DRILLS.values():
            assert (other.name in refused.value.message) == (option in other.options or other is found)
        assert all(f"--{own}" in refused.value.hint for own in found.options)


@pytest.mark.parametrize(
    ("drill", "options", "there"),
    [
        ("provider-cut", Options(provider="pc"), "pa, pb"),
        ("agent-kill", Options(gateway="gc"), "ga, gb"),
        ("bgp-reset", Options(peer="pc"), "pa, pb"),
        ("bgp-reset", Options(gateway="gb", peer="pa"), "it has: pb"),
        ("vm-death", Options(vm="a-vm3"), "a-vm1, a-vm2, b-vm1, b-vm2, b-vm3"),
        ("ingress-death", Options(cloud="c"), "a, b"),
        ("controller-kill", Options(controller="c3"), "c1, c2"),
    ],
)
def test_a_name_that_the_lab_has_not_got_is_refused_with_those_it_has(drill: str, options: Options, there: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_names(find(drill), options, FACTS)
    assert there in refused.value.message


def test_names_that_are_there_pass_whatever_runs_at_this_moment() -> None:
    nothing_runs = Facts(FACTS.lab, (), FACTS.gateways, FACTS.provider_links)
    for options in (Options(), Options(provider="pb"), Options(gateway="gb", peer="pb")):
        check_names(find("provider-cut"), options, nothing_runs)


def test_a_drill_about_names_is_refused_where_the_naming_half_is_not_up() -> None:
    for drill in DRILLS.values():
        if drill.needs_names:
            with pytest.raises(EnvironmentLackError) as refused:
                check_names(drill, Options(), ROUTING_ONLY)
            assert "naming half" in refused.value.message
            assert refused.value.hint == "netctl lab up --name small"
        else:
            check_names(drill, Options(), ROUTING_ONLY)
            assert drill.build(Options(), ROUTING_ONLY).names is None


def test_a_provider_cut_asks_beside_its_flows_for_a_name_of_the_own_cloud_and_for_one_of_another() -> None:
    watch = find("provider-cut").build(Options(), FACTS).names
    assert watch is not None
    assert [(w.visit.node, w.visit.server, w.visit.host, w.stretch_ms) for w in watch.visits] == [
        ("a-vm3", "10.1.5.53", "orders.netctl.internal", 0.0),
        ("a-vm3", "10.1.5.53", "ledger.netctl.internal", 1200.0),
    ]


def test_a_vms_death_is_watched_for_every_name_it_serves_in_every_cloud_and_by_clients_that_live_on() -> None:
    experiment = find("vm-death").build(Options(vm="b-vm2"), FACTS)
    assert experiment.faults == (ProcessHold("b-vm2", "page", 32, 1, "/run/netctl/held/b-vm2/page"),)
    watch = experiment.names
    assert watch is not None
    assert watch.dead == ("10.2.2.10",)
    assert {(w.cloud, w.lookup.host, w.gone_ms) for w in watch.lookups} == {
        ("a", "orders.netctl.internal", 1000.0),
        ("a", "orders.b.netctl.internal", 2000.0),
        ("a", "ledger.netctl.internal", 1000.0),
        ("a", "ledger.b.netctl.internal", 2000.0),
        ("b", "orders.netctl.internal", 1000.0),
        ("b", "ledger.netctl.internal", 1000.0),
    }
    assert {(w.visit.node, w.visit.host) for w in watch.visits} == {
        (node, f"{service}.netctl.internal") for node in ("a-vm3", "b-vm1") for service in ("orders", "ledger")
    }
    stopped = find("vm-death").build(Options(vm="b-vm2", signal="STOP", objective_ms=700.0), FACTS)
    assert stopped.faults == (ProcessKill("page on b-vm2", 32, 1, "STOP"),)
    assert stopped.objective_ms == 700.0


def test_all_requests_together_are_no_more_than_a_hundred_a_second() -> None:
    for drill in DRILLS.values():
        if (watch := drill.build(Options(), FACTS).names) is not None:
            spec = watch.spec
            assert spec.lookup_interval_us == 20_000
            assert spec.visit_interval_us == max(20_000, 10_000 * len(spec.visits))


def test_a_controllers_death_is_that_of_the_leader_unless_another_is_named() -> None:
    watch = find("controller-kill").build(Options(), FACTS).names
    assert watch is not None
    assert (watch.killed, watch.led, watch.led_within_ms) == ("c2", ("a", "b"), 5000.0)
    standby = find("controller-kill").build(Options(controller="c1"), FACTS).names
    assert standby is not None
    assert standby.led == ()


def test_a_registry_is_wiped_from_where_it_is_and_every_service_has_to_be_held() -> None:
    experiment = find("registry-wipe").build(Options(), FACTS)
    assert experiment.faults == (RegistryWipe("/run/netns/mgmt", "10.1.9.10:2379", "/vm/"),)
    assert experiment.names is not None
    assert experiment.names.held == ("orders", "ledger", "web")
    assert all(watched.unchanged for watched in experiment.names.lookups)


def test_a_server_that_does_not_run_cannot_die() -> None:
    with pytest.raises(UsageError, match="no server runs on a-vm2"):
        find("vm-death").build(Options(vm="a-vm2"), FACTS)
