"""A plan cut after any write: nothing that answers before and after is missing in between, and the end is the same."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netctl.model.naming import Instance
from netctl.sync import pack
from netctl.sync.want import Wanted
from tests.sync.things import TinyCluster, cluster_with, instance, wanted_of

_PORTS = ((("http", 80),), (("http", 81),), (("grpc", 9), ("http", 80)))
_ADDRESSES = [f"10.0.0.{n}" for n in range(1, 9)] + [f"2001:db8::{n}" for n in range(1, 3)]


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a dozen instances are several slices."""
    monkeypatch.setattr(pack, "MAX_ENDPOINTS", 3)


@st.composite
def _states(draw: st.DrawFn) -> tuple[list[Instance], dict[tuple[str, str], bool]]:
    names = draw(st.lists(st.integers(0, 11), unique=True, max_size=10))
    items = [
        instance(
            f"vm{number}",
            draw(st.sampled_from("aab")),
            draw(st.sampled_from(_PORTS)),
            draw(st.sampled_from(["", *_ADDRESSES])),
            healthy=draw(st.integers(0, 5)) > 0,
        )
        for number in names
    ]
    readiness = {("orders", f"vm{n}"): False for n in draw(st.lists(st.sampled_from(names or [0]), max_size=4))}
    return items, readiness


def _answers(wanted: Wanted | None) -> set[str]:
    return set(wanted.answers) if wanted is not None else set()


def _names(wanted: Wanted | None) -> set[str]:
    return {e.instance.name for e in wanted.endpoints if e.ready} if wanted is not None else set()


def _walk(cluster: TinyCluster, old: Wanted | None, new: Wanted | None) -> None:
    """Cut after each write, go on from there in a copy, then go one write further."""
    for _ in range(50):
        found = cluster.plan(new)
        if not found.writes:
            break
        removes = 0
        for write in found.writes:
            cluster.apply(write)
            removes += write.removes
            assert _answers(old) & _answers(new) <= cluster.ready(), write.why
            assert _names(old) & _names(new) <= cluster.ready_names(), write.why
            restarted = deepcopy(cluster)
            restarted.converge(new)
            _is_right(restarted, new)
        assert removes == len(found.removed)
    _is_right(cluster, new)


def _is_right(cluster: TinyCluster, wanted: Wanted | None) -> None:
    if wanted is None:
        assert not cluster.objects
        return
    assert cluster.names() == sorted(endpoint.instance.name for endpoint in wanted.endpoints)
    assert cluster.ready() == _answers(wanted)
    assert all(len(obj["endpoints"]) <= 3 for obj in cluster.slices)


@settings(max_examples=250, deadline=None)
@given(_states(), _states())
def test_a_cut_after_any_write_leaves_no_gap_and_converges(
    before: tuple[list[Instance], dict[tuple[str, str], bool]],
    after: tuple[list[Instance], dict[tuple[str, str], bool]],
) -> None:
    old, new = wanted_of(*before), wanted_of(*after)
    _walk(TinyCluster(), None, old)
    cluster = cluster_with(*before)
    _walk(cluster, old, new)


@settings(max_examples=250, deadline=None)
@given(_states(), st.randoms(use_true_random=False), _states())
def test_slices_in_any_disorder_converge(
    before: tuple[list[Instance], dict[tuple[str, str], bool]],
    rng: object,
    after: tuple[list[Instance], dict[tuple[str, str], bool]],
) -> None:
    cluster = cluster_with(*before)
    choose = rng.choice  # type: ignore[attr-defined]
    endpoints = [raw for obj in cluster.slices for raw in obj["endpoints"]]
    for obj in cluster.slices:
        cluster.edit(
            "endpointslices",
            obj["metadata"]["name"],
            lambda edited: edited.update(endpoints=[choose(endpoints) for _ in range(choose(range(7)))]),
        )
    new = wanted_of(*after)
    cluster.converge(new)
    _is_right(cluster, new)


def test_two_slices_that_take_from_each_other_are_written_in_three_steps() -> None:
    web, grpc = (("http", 80),), (("grpc", 9),)
    left, right = (
        [instance("vm1", ports=web), instance("vm2", ports=web)],
        [
            instance("vm3", ports=grpc),
            instance("vm4", ports=grpc),
        ],
    )
    old = [*left, *right]
    new = [left[0], instance("vm2", ports=grpc), right[0], instance("vm4", ports=web)]
    cluster = cluster_with(old)
    found = cluster.plan(wanted_of(new))
    assert [write.verb for write in found.writes] == ["replace"]
    assert found.more
    _walk(cluster, wanted_of(old), wanted_of(new))
    assert cluster.writes == 3


def test_a_slice_that_waits_for_a_circle_does_not_stand_in_its_way() -> None:
    web, other, grpc = (("http", 80),), (("http", 81),), (("grpc", 9),)
    stay = [instance("vm1", ports=web), instance("vm2", ports=other), instance("vm3", ports=grpc)]
    old = [*stay, instance("vm4", ports=web), instance("vm5", ports=other), instance("vm6", ports=grpc)]
    new = [*stay, instance("vm4", ports=other), instance("vm5", ports=grpc), instance("vm6", ports=other)]
    cluster = cluster_with(old)
    assert len(cluster.slices) == 3
    _walk(cluster, wanted_of(old), wanted_of(new))
    assert cluster.writes == 4


def test_a_slice_is_not_deleted_before_a_circle_has_taken_over_what_it_held() -> None:
    web, other, grpc = (("http", 80),), (("http", 81),), (("grpc", 9),)
    stay = [instance("vm1", ports=other), instance("vm2", ports=grpc)]
    old = [*stay, instance("vm3", ports=other), instance("vm4", ports=grpc), instance("vm5", ports=web)]
    for goes_to in (other, grpc):
        new = [*stay, instance("vm3", ports=grpc), instance("vm4", ports=other), instance("vm5", ports=goes_to)]
        cluster = cluster_with(old)
        _walk(cluster, wanted_of(old), wanted_of(new))
        assert len(cluster.slices) == 2


def test_a_slice_that_somebody_filled_beyond_the_limit_is_thinned_out() -> None:
    items = [instance(f"vm{number}") for number in range(5)]
    cluster = cluster_with(items)
    every = [raw for obj in cluster.slices for raw in obj["endpoints"]]
    cluster.edit("endpointslices", "orders-netctl-1", lambda obj: obj.update(endpoints=every))
    _walk(cluster, wanted_of(items), wanted_of(items))
