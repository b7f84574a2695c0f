"""Which options and names a drill takes."""

from __future__ import annotations

import itertools

import pytest

from netctl.drill.experiments import DRILLS, Options, check_names, check_options, find
from netctl.drill.facts import Agent, Facts, GatewayFacts, Speaker
from netctl.fault.faults import LinkEnd
from netctl.model.errors import UsageError

EXITS = {"gw-pa": "pa", "gw-pb": "pb"}
FACTS = Facts(
    lab="small",
    hosts=(),
    gateways=(GatewayFacts("ga", "a", EXITS), GatewayFacts("gb", "b", {"gw-pb": "pb"})),
    provider_links={p: (LinkEnd(None, f"to-{p}"),) for p in ("pa", "pb")},
    agents=(Agent("ga", 10, 1, "/a"), Agent("gb", 11, 1, "/b")),
    speakers=tuple(Speaker(g, p, 20, 1) for g in ("ga", "gb") for p in ("pa", "pb")),
)
SAID = {
    "provider": Options(provider="pb"),
    "gateway": Options(gateway="gb"),
    "peer": Options(peer="pb"),
    "signal": Options(signal="STOP"),
    "agents": Options(agents="STOP"),
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
    ("options", "there"),
    [
        (Options(provider="pc"), "pa, pb"),
        (Options(gateway="gc"), "ga, gb"),
        (Options(peer="pc"), "pa, pb"),
        (Options(gateway="gb", peer="pa"), "it has: pb"),
    ],
)
def test_a_name_that_the_lab_has_not_got_is_refused_with_those_it_has(options: Options, there: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_names(options, FACTS)
    assert there in refused.value.message


def test_names_that_are_there_pass_whatever_runs_at_this_moment() -> None:
    nothing_runs = Facts(FACTS.lab, (), FACTS.gateways, FACTS.provider_links)
    for options in (Options(), Options(provider="pb"), Options(gateway="gb", peer="pb")):
        check_names(options, nothing_runs)
