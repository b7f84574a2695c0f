"""What is kept of lookups and visits, and since when all is well."""

from __future__ import annotations

from netctl.model.clock import MS, SECOND
from netctl.probe.names.log import Log, WellWatch
from netctl.probe.names.spec import Answer, Series

GOOD, BAD = Answer("NOERROR", ("10.1.1.10",)), Answer("SERVFAIL")


def test_every_one_that_ended_is_a_row_in_the_order_of_beginning_and_endings_are_kept_once() -> None:
    log: Log[Answer] = Log(SECOND)
    rows = [log.begin(SECOND + at * MS) for at in (0, 20, 40, 60)]
    log.end(rows[1], SECOND + 21 * MS, GOOD)
    log.end(rows[0], SECOND + 25 * MS, BAD)
    log.end(rows[3], SECOND + 61 * MS, GOOD)
    assert log.table == (GOOD, BAD)
    assert log.series() == Series((0, 20_000, 60_000), (25_000, 1_000, 1_000), (1, 0, 0))


def test_only_the_first_ending_counts() -> None:
    log: Log[Answer] = Log(0)
    row = log.begin(0)
    log.end(row, 5 * MS, GOOD)
    log.end(row, 1000 * MS, BAD)
    assert (log.table, log.series()) == ((GOOD,), Series((0,), (5_000,), (0,)))


def test_all_is_well_since_the_last_failure_ended() -> None:
    watch = WellWatch(2, 0, 300 * MS)
    watch.began(0, 0, 10 * MS)
    watch.ended(0, 0, 11 * MS, well=True)
    watch.began(1, 0, 20 * MS)
    watch.ended(1, 0, 900 * MS, well=False)
    assert watch.unwell(1000 * MS) == [1]
    assert watch.unwell(1900 * MS) == []
    assert watch.well_ns(1900 * MS) == 1000 * MS


def test_one_that_takes_too_long_is_unwell_before_it_has_ended_and_when_it_ended_well() -> None:
    watch = WellWatch(1, 0, 300 * MS)
    watch.began(0, 0, 1000 * MS)
    watch.began(0, 1, 1100 * MS)
    watch.ended(0, 1, 1101 * MS, well=True)
    assert (watch.unwell(1299 * MS), watch.unwell(1301 * MS)) == ([], [0])
    assert watch.well_ns(1301 * MS) == 0
    watch.ended(0, 0, 1350 * MS, well=True)
    watch.unwell(2350 * MS)
    assert watch.well_ns(2350 * MS) == 1000 * MS
