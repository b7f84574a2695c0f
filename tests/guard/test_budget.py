"""The removal budget: no window ever sees more than its limit, whoever crashes and whatever clocks do."""

from __future__ import annotations

import zlib
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netctl.guard.budget import PORTION, Budget, Usage
from netctl.guard.hold import Hold, hold_id
from netctl.guard.state import GuardState, decode, encode

LIMITS = ((60, 100), (300, 300), (3600, 2000), (86400, 20000))
NOW = 29_000_000


def spend(budget: Budget, number: int, minute: int, *, approved: bool = False) -> bool:
    """As a controller does it: take, and if there is not enough debited, debit, store, take."""
    if budget.take(number, minute):
        return True
    debits = budget.debit(number, minute, approved=approved)
    if debits is None:
        return False
    budget.debited(debits, minute)
    return budget.take(number, minute)


def test_a_portion_is_debited_ahead_and_used_up_without_another_write() -> None:
    budget = Budget(LIMITS)
    debits = budget.debit(1, NOW)
    assert debits == {NOW: PORTION}
    assert not budget.take(1, NOW)
    budget.debited(debits, NOW)
    assert all(budget.take(1, NOW) for _ in range(PORTION))
    assert not budget.take(1, NOW)
    assert budget.debit(15, NOW) == {NOW: PORTION + 15}


def test_over_the_limit_is_refused_until_the_window_has_passed() -> None:
    budget = Budget(LIMITS)
    assert spend(budget, 95, NOW)
    assert budget.room(NOW) == 5
    assert budget.debit(6, NOW) is None
    assert spend(budget, 5, NOW)
    assert not spend(budget, 1, NOW + 1)
    assert spend(budget, 6, NOW + 2)


def test_longer_windows_limit_too() -> None:
    budget = Budget(LIMITS)
    assert all(spend(budget, 100, NOW + minute) for minute in (0, 2, 4))
    assert not spend(budget, 1, NOW + 5)
    assert budget.usage(NOW + 5)[:2] == (Usage(60, 100, 100), Usage(300, 300, 300))


def test_the_limit_is_one_percent_of_a_large_catalog() -> None:
    budget = Budget(LIMITS)
    budget.catalog = 100_000
    assert spend(budget, 1000, NOW)
    assert not spend(budget, 1, NOW)
    assert [usage.limit for usage in budget.usage(NOW)] == [1000, 1000, 2000, 20000]


def test_what_an_operator_approved_goes_over_the_limit_and_is_debited() -> None:
    budget = Budget(LIMITS)
    assert spend(budget, 500, NOW, approved=True)
    assert budget.usage(NOW)[0] == Usage(60, 500, 100)
    assert not spend(budget, 1, NOW)


def test_a_crash_refunds_nothing() -> None:
    budget = Budget(LIMITS)
    debits = budget.debit(1, NOW)
    assert debits is not None
    successor = Budget(LIMITS)
    successor.load(decode(encode(GuardState(debits))), NOW)
    assert successor.room(NOW) == 100 - PORTION
    assert not successor.take(1, NOW)


def test_the_reserve_ends_with_its_minute() -> None:
    budget = Budget(LIMITS)
    assert spend(budget, 1, NOW)
    assert not budget.take(1, NOW + 1)
    assert budget.usage(NOW + 1)[0].used == PORTION


def test_a_deleted_or_older_state_refunds_nothing_to_who_knows_better() -> None:
    budget = Budget(LIMITS)
    assert spend(budget, 80, NOW)
    budget.load(GuardState(), NOW)
    budget.load(GuardState({NOW: 20}), NOW)
    assert budget.room(NOW) == 20


@pytest.mark.parametrize("back", [1, 30, 60, 61, 500, 100_000])
def test_a_clock_that_steps_back_refunds_nothing_and_time_goes_on(back: int) -> None:
    budget = Budget(LIMITS)
    assert spend(budget, 90, NOW)
    successor = Budget(LIMITS)
    successor.load(GuardState(budget.debits(NOW)), NOW - back)
    for one in (budget, successor):
        assert one.room(NOW - back) == 10
        assert not spend(one, 11, NOW - back)
        assert spend(one, 100, NOW - back + max(0, back if back <= 60 else 0) + 2)


def test_what_is_debited_while_the_clock_lags_is_not_old_when_it_is_right_again() -> None:
    budget = Budget(LIMITS)
    assert spend(budget, 90, NOW)
    assert spend(budget, 10, NOW - 30)
    assert budget.room(NOW) == 0


def test_reading_a_state_again_and_again_costs_nothing() -> None:
    for stored in ({NOW: 7}, {NOW + 30: 7}, {NOW + 5000: 4, NOW + 4999: 3}):
        budget = Budget(LIMITS)
        for _ in range(30):
            budget.load(GuardState(stored), NOW)
        assert budget.room(NOW) == 93


def test_what_no_window_sees_any_more_is_forgotten() -> None:
    budget = Budget(LIMITS[:3])
    for minute in range(200):
        spend(budget, 1, NOW + minute)
    assert min(budget.debits(NOW + 199)) == NOW + 199 - 60


def b64pack(text: bytes) -> str:
    return "zlib:" + b64encode(zlib.compress(text)).decode()


GARBAGE = ["", "{", "[]", "null", '{"version":2,"debits":{}}', '{"version":1,"debits":{"x":1}}', '{"version":1}']
GARBAGE += ["zlib:", "zlib:!", "zlib:eJw=", "zlib:é", b64pack(b"{"), b64pack(b" " * (65 << 20))]
GARBAGE += ['{"version":1,"debits":{"5":-1}}', '{"version":1,"debits":[1]}', "[" * 100_000]


@pytest.mark.parametrize("text", GARBAGE)
def test_a_state_that_cannot_be_read_leaves_one_minutes_worth(text: str) -> None:
    state = decode(text)
    assert state.damaged
    budget = Budget(LIMITS)
    budget.load(state, NOW)
    assert [usage.limit - usage.used for usage in budget.usage(NOW)] == [100, 100, 100, 100]
    assert spend(budget, 100, NOW)
    assert not spend(budget, 1, NOW + 1379)
    assert spend(budget, 100, NOW + 1380)


def test_no_state_at_all_is_no_damage() -> None:
    assert decode(None) == GuardState()
    assert decode(3).damaged == "is a int, no text"


def test_a_state_is_one_string_and_comes_back_as_it_was() -> None:
    hold = Hold("orders-1a2b", "orders", "shrink", ("vm1", "vm2"), 'because "30 %"', 12.5)
    state = GuardState({5: 7, 3: 1}, (hold,), {"ledger": ("vm9",)})
    assert decode(encode(state)) == state
    assert encode(GuardState({3: 1, 5: 7}, (hold,), {"ledger": ("vm9",)})) == encode(state)


def test_the_holds_of_five_thousand_services_fit_into_a_config_map() -> None:
    reason = "20 of 20 instances no longer listed, which would leave none: the last ones go only when checks say so"
    holds = []
    for service in (f"service-{number}" for number in range(5000)):
        names = tuple(sorted(f"{service}-vm{instance}" for instance in range(20)))
        holds.append(Hold(hold_id(service, names), service, "last", names, reason, 1.8e9))
    state = GuardState({5: 7}, tuple(holds))
    assert len(encode(state)) < 1 << 20
    assert decode(encode(state)) == state


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(repr))
def test_no_text_raises(text: str) -> None:
    decode(text)


SMALL = ((60, 5), (300, 12), (1200, 30))
_OPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "take", "wait", "crash", "crash unsaved", "swap"]),
        st.integers(1, 7),
        st.sampled_from([1, 20, 59, 60, 61, 150, 400]),
    ),
    max_size=60,
)


@settings(max_examples=400)
@given(_OPS, st.integers(1, 4), st.integers(0, 59))
def test_no_window_wherever_it_begins_sees_more_than_its_limit(
    ops: list[tuple[str, int, int]], portion: int, second: int
) -> None:
    """Two controllers share a stored state by compare and swap; they crash, also between storing and taking."""
    store = encode(GuardState())
    budgets = [Budget(SMALL, portion), Budget(SMALL, portion)]
    now_s = NOW * 60 + second
    removed: list[tuple[int, int]] = []
    for what, number, wait_s in ops:
        budget, minute = budgets[0], now_s // 60
        if what == "wait":
            now_s += wait_s
        elif what == "swap":
            budgets.reverse()
            budgets[0].load(decode(store), minute)
        elif what == "crash":
            budgets[0] = Budget(SMALL, portion)
            budgets[0].load(decode(store), minute)
        elif budget.take(number, minute):
            removed.append((now_s, number))
        elif (debits := budget.debit(number, minute)) is not None:
            store = encode(GuardState(debits))
            if what == "take":
                budget.debited(debits, minute)
                assert budget.take(number, minute)
                removed.append((now_s, number))
            else:
                budgets[0] = Budget(SMALL, portion)
                budgets[0].load(decode(store), minute)
    for window_s, limit in SMALL:
        for end_s, _ in removed:
            assert sum(number for when, number in removed if end_s - window_s < when <= end_s) <= limit


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(-200, 200)), max_size=30))
def test_no_step_back_of_the_clock_makes_room(steps: list[tuple[int, int]]) -> None:
    budget = Budget(SMALL)
    minute = NOW
    for number, step in steps:
        before = budget.room(minute)
        minute += step
        room = budget.room(minute)
        assert room <= before or step > 0
        assert spend(budget, number, minute) == (number <= room)
