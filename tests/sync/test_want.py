"""The closed loop, the panic floor, the limit of headless names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netctl.model.controller import ServiceSettings
from netctl.model.naming import Instance
from netctl.sync.want import MAX_HEADLESS, Wanted, want
from tests.sync.things import instance, instances, wanted_of

BOTH = [instance("vm1", "a"), instance("vm2", "a"), instance("vm3", "b"), instance("vm4", "b")]


def failing(*names: str) -> dict[tuple[str, str], bool]:
    return {("orders", name): False for name in names}


def shown(wanted: Wanted | None) -> dict[str, bool]:
    assert wanted is not None
    return {endpoint.instance.name: endpoint.ready for endpoint in wanted.endpoints}


def test_a_cloud_answers_with_its_own_instances_alone_while_one_of_them_is_ready() -> None:
    assert shown(wanted_of(BOTH)) == {"vm1": True, "vm2": True}
    assert shown(wanted_of(BOTH, cloud="b")) == {"vm3": True, "vm4": True}
    assert shown(wanted_of(BOTH, failing("vm1"))) == {"vm1": False, "vm2": True}


def test_an_instance_without_a_verdict_is_ready() -> None:
    assert shown(wanted_of(BOTH, {("ledger", "vm1"): False, ("orders", "vm2"): True})) == {"vm1": True, "vm2": True}


def test_what_the_registry_calls_unhealthy_is_not_ready_whatever_the_checks_say() -> None:
    items = [instance("vm1", healthy=False), instance("vm2")]
    assert shown(wanted_of(items, {("orders", "vm1"): True})) == {"vm1": False, "vm2": True}


def test_others_answer_when_none_of_the_own_is_ready_and_the_own_stay_not_ready() -> None:
    wanted = wanted_of(BOTH, failing("vm1", "vm2", "vm4"))
    assert shown(wanted) == {"vm1": False, "vm2": False, "vm3": True}
    assert wanted is not None
    assert wanted.serving == ("b",)
    assert not wanted.panic
    assert wanted.why == "0 of cloud a's 2 instances are ready, so others answer: 1 of cloud b"


def test_others_answer_in_a_cloud_that_has_no_instance() -> None:
    wanted = wanted_of(BOTH[2:], failing("vm3"))
    assert shown(wanted) == {"vm4": True}
    assert wanted is not None
    assert wanted.why == "cloud a has no instance, so others answer: 1 of cloud b"


def test_when_nothing_is_ready_anywhere_the_own_are_served_as_if_they_were() -> None:
    wanted = wanted_of(BOTH, failing("vm1", "vm2", "vm3", "vm4"))
    assert shown(wanted) == {"vm1": True, "vm2": True}
    assert wanted is not None
    assert wanted.panic
    assert "readiness is not believed: cloud a's own answer" in wanted.why


def test_the_panic_floor_of_a_cloud_without_instances_is_everything_there_is() -> None:
    wanted = wanted_of(BOTH, failing("vm1", "vm2", "vm3", "vm4"), cloud="c")
    assert shown(wanted) == {"vm1": True, "vm2": True, "vm3": True, "vm4": True}
    assert wanted is not None
    assert wanted.panic


def test_the_panic_floor_prefers_those_that_the_registry_did_not_take_out() -> None:
    items = [instance("vm1", healthy=False), instance("vm2")]
    assert shown(wanted_of(items, failing("vm2"))) == {"vm1": False, "vm2": True}
    assert shown(wanted_of([instance("vm1", healthy=False)])) == {"vm1": True}


def test_without_instances_there_is_no_service() -> None:
    assert wanted_of([]) is None


def test_the_service_has_every_port_that_an_instance_of_any_cloud_has() -> None:
    wanted = wanted_of(
        [
            instance("vm1", "a", (("http", 80),)),
            instance("vm2", "a", (("http", 81), ("admin", 9000))),
            instance("vm3", "b", (("http", 81),)),
            instance("vm4", "b", (("grpc", 50051),)),
        ]
    )
    assert wanted is not None
    assert wanted.ports == (("admin", (9000,)), ("grpc", (50051,)), ("http", (81, 80)))


def test_a_headless_name_answers_with_64_addresses_at_most_and_says_how_many_more_there_are() -> None:
    wanted = wanted_of(instances(range(200)))
    assert wanted is not None
    assert len(wanted.answers) == MAX_HEADLESS
    assert wanted.why.endswith("a headless name answers with 64 at most, 136 more could")
    every = wanted_of(instances(range(200)), kind="ClusterIP")
    assert every is not None
    assert len(every.answers) == 200
    assert len(wanted.known) == 200


def test_the_64_are_the_same_in_whatever_order_instances_come() -> None:
    items = instances(range(200))
    assert shown(wanted_of(items)) == shown(wanted_of(items[::-1]))


@pytest.mark.parametrize("gone", range(0, 200, 13))
def test_one_that_goes_or_fails_changes_one_of_the_64_at_most(gone: int) -> None:
    items = instances(range(200))
    before, name = wanted_of(items), f"vm{gone}"
    assert before is not None
    for after in (wanted_of(items[:gone] + items[gone + 1 :]), wanted_of(items, failing(name))):
        assert after is not None
        assert len(after.answers) == MAX_HEADLESS
        assert len(set(before.answers) - set(after.answers)) == (items[gone].address in before.answers)


def test_those_that_are_not_ready_take_no_place_among_the_64() -> None:
    for sick in (30, 130):
        wanted = wanted_of(instances(range(200)), failing(*(f"vm{number}" for number in range(sick))))
        assert wanted is not None
        assert len(wanted.answers) == MAX_HEADLESS
        assert MAX_HEADLESS < len(wanted.endpoints) <= 2 * MAX_HEADLESS


_NAMES = st.integers(0, 9).map(lambda number: f"vm{number}")
_INSTANCES = st.builds(
    lambda name, cloud, healthy: instance(name, cloud, healthy=healthy),
    _NAMES,
    st.sampled_from("abc"),
    st.booleans(),
)


@given(
    st.lists(_INSTANCES, min_size=1, unique_by=lambda i: i.name),
    st.dictionaries(_NAMES, st.booleans()),
    st.sampled_from("abc"),
)
def test_somebody_always_answers_and_a_cloud_answers_for_itself_when_it_can(
    items: list[Instance], verdicts: dict[str, bool], cloud: str
) -> None:
    readiness = {("orders", name): passing for name, passing in verdicts.items()}
    wanted = want("orders", items, readiness, cloud, ServiceSettings())
    assert wanted is not None
    ready = {i.name for i in items if i.healthy and verdicts.get(i.name, True)}
    own = {i.name for i in items if i.cloud == cloud}
    answering = {name for name, is_ready in shown(wanted).items() if is_ready}
    assert answering
    assert wanted.panic == (not ready)
    if own & ready:
        assert answering == own & ready
        assert set(shown(wanted)) == own
    elif ready:
        assert answering == ready
    assert own <= set(shown(wanted))
    assert want("orders", items[::-1], readiness, cloud, ServiceSettings()) == wanted
