"""The accounting against logs whose outages are known."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from netctl.model.clock import MS
from netctl.probe.outage import CleanWatch, account
from netctl.probe.spec import FlowReport

INTERVAL = 5 * MS
MERGE = 20 * MS
DELAY = MS // 10


def account_of(sent: list[int], arrivals: list[tuple[int, int]], until: int | None = None) -> FlowReport:
    until_ns = until if until is not None else (sent[-1] if sent else 0)
    return account("f", sent, arrivals, interval_ns=INTERVAL, merge_ns=MERGE, until_ns=until_ns)


def log(count: int, lost: set[int]) -> tuple[list[int], list[tuple[int, int]]]:
    sent = [n * INTERVAL for n in range(count)]
    return sent, [(n, at + DELAY) for n, at in enumerate(sent) if n not in lost]


def test_without_loss_there_is_no_outage() -> None:
    report = account_of(*log(100, set()))
    assert (report.outages, report.lost, report.received) == ((), 0, 100)


def test_an_outage_is_the_gap_at_the_receiver_and_the_loss_times_the_interval() -> None:
    (outage,) = account_of(*log(100, set(range(40, 70)))).outages
    assert outage.gap_ns == outage.at_most_ns == 31 * INTERVAL
    assert (outage.lost, outage.loss_ns) == (30, 30 * INTERVAL)
    assert outage.start_ns == 39 * INTERVAL + DELAY
    assert outage.end_ns == 70 * INTERVAL + DELAY


def test_two_outages_with_a_lasting_recovery_between_them_are_two() -> None:
    report = account_of(*log(200, set(range(20, 30)) | set(range(60, 65))))
    assert [o.lost for o in report.outages] == [10, 5]


def test_a_single_packet_that_gets_through_is_no_recovery() -> None:
    (outage,) = account_of(*log(100, set(range(20, 50)) - {35})).outages
    assert outage.gap_ns == 31 * INTERVAL
    assert outage.lost == 29


def test_an_outage_that_lasts_until_the_end_has_no_end() -> None:
    (outage,) = account_of(*log(100, set(range(50, 100)))).outages
    assert outage.end_ns is None
    assert outage.gap_ns == 99 * INTERVAL - (49 * INTERVAL + DELAY)


def test_a_flow_that_never_arrived_is_out_from_its_first_packet() -> None:
    (outage,) = account_of(*log(100, set(range(100)))).outages
    assert outage.start_ns == 0
    assert outage.end_ns is None


def test_a_sender_that_was_late_makes_no_outage() -> None:
    sent = [0, INTERVAL, 200 * MS, 205 * MS]
    report = account_of(sent, [(n, at + DELAY) for n, at in enumerate(sent)])
    assert report.outages == ()
    assert report.worst_stall_ns == 195 * MS - INTERVAL


def test_what_the_sender_was_late_by_at_an_outages_edge_is_not_counted_but_kept_as_doubt() -> None:
    sent = [0, 5 * MS, 10 * MS, *range(100 * MS, 200 * MS, 5 * MS)]  # 85 ms late, then two packets lost
    (outage,) = account_of(sent, [(n, at + DELAY) for n, at in enumerate(sent) if n not in {3, 4}], 200 * MS).outages
    assert outage.at_most_ns == 100 * MS
    assert outage.gap_ns == 15 * MS


def test_duplicates_and_reordering_are_counted_and_are_no_loss() -> None:
    sent, arrivals = log(10, set())
    arrivals[3], arrivals[4] = arrivals[4], arrivals[3]
    report = account_of(sent, [*arrivals, arrivals[5]])
    assert (report.lost, report.reordered, report.duplicated) == (0, 1, 1)


def test_packets_sent_after_the_end_do_not_count() -> None:
    sent, arrivals = log(100, set(range(90, 100)))
    assert account_of(sent, arrivals, until=80 * INTERVAL).lost == 0


@given(st.integers(1, 300), st.data())
def test_every_lost_packet_is_in_exactly_one_outage(count: int, data: st.DataObject) -> None:
    lost = data.draw(st.sets(st.integers(0, count - 1)))
    report = account_of(*log(count, lost))
    assert report.lost == len(lost) == sum(o.lost for o in report.outages)
    for outage in report.outages:
        assert outage.gap_ns <= outage.at_most_ns
        assert outage.gap_ns >= (outage.lost - 1) * INTERVAL - DELAY
    for earlier, later in pairwise(report.outages):
        assert earlier.end_ns is not None
        assert earlier.end_ns <= later.start_ns


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=100),
    st.lists(st.tuples(st.integers(-3, 120), st.integers(0, 10**9)), max_size=200),
)
def test_any_log_whatsoever_is_accounted_for(steps_ms: list[int], arrivals: list[tuple[int, int]]) -> None:
    sent, at = [], 0
    for step in steps_ms:
        at += step * MS
        sent.append(at)
    report = account_of(sent, arrivals)
    assert report.sent == len(sent) == report.received + report.lost
    assert all(o.gap_ns >= 0 for o in report.outages)


def test_the_watch_knows_a_missing_packet_before_the_next_one_arrives() -> None:
    watch = CleanWatch(1, 0, 60 * MS)
    sent = [0, 5 * MS]
    watch.arrived(0, 0, MS)
    assert not watch.check(0, sent, 60 * MS)
    assert watch.check(0, sent, 70 * MS)
    assert watch.clean_ns(70 * MS) == 0


def test_the_watch_counts_from_the_packet_that_came_after_a_gap() -> None:
    watch = CleanWatch(2, 0, 60 * MS)
    watch.arrived(0, 0, MS)
    watch.arrived(0, 5, 30 * MS)
    assert watch.clean_ns(130 * MS) == 100 * MS
