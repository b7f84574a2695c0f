"""Delta debugging finds the few faults that matter."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netctl.model.errors import UsageError
from netctl.sim.schedule import Fault, Schedule, dump, generate, load
from netctl.sim.shrink import ddmin, shrink


@given(st.lists(st.integers(0, 30), unique=True, max_size=20), st.sets(st.integers(0, 30), max_size=4))
def test_ddmin_finds_exactly_the_items_that_together_fail(items: list[int], culprits: set[int]) -> None:
    needed = culprits & set(items)

    def fails(subset: Sequence[int]) -> bool:
        return needed <= set(subset)

    assert set(ddmin(items, fails)) == needed


def test_shrinking_keeps_only_the_guilty_fault_and_makes_it_short_and_early() -> None:
    faults = tuple(Fault("cut", "ga1-pa", at, 5_000) for at in (1_000, 2_000, 3_000))
    guilty = Fault("stop", "ga1/liveness", 7_777, 4_321)
    schedule = Schedule(1, 50, 3, (*faults, guilty))

    def fails(candidate: Schedule) -> bool:
        return any(fault.kind == "stop" and fault.for_ms >= 1_000 for fault in candidate.faults)

    assert shrink(schedule, fails).faults == (Fault("stop", "ga1/liveness", 0, 1_000),)


def test_a_schedule_survives_its_file() -> None:
    for seed in range(50):
        assert load(dump(generate(seed)), "x.json") == generate(seed)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "x.json"),
        ('{"seed": 1}', "interval_ms"),
        ('{"seed": 1, "interval_ms": 50, "multiplier": 3, "faults": [], "version": 9}', "version 9"),
        ('{"seed": 1, "interval_ms": 0, "multiplier": 3, "faults": []}', "at least 1"),
        (
            '{"seed":1,"interval_ms":50,"multiplier":3,"faults":[{"kind":"cut","where":"x","at_ms":1,"for_ms":1}]}',
            "no such place",
        ),
        (
            '{"seed":1,"interval_ms":50,"multiplier":3,"faults":[{"kind":"cut","where":"ga1-pa","at_ms":-1,"for_ms":1}]}',
            "negative",
        ),
    ],
)
def test_a_bad_schedule_file_is_explained(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        load(text.encode(), "x.json")
