"""What a cloud's checkers are told to check, and what their opinions come to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netctl.health.targets import TargetBook, VerdictTable, place_of, problem_of, target_of
from netctl.ipc.messages import CheckTarget, CheckTargets, Verdict, Verdicts
from netctl.model.controller import ServiceCheck
from netctl.model.naming import Instance

TCP = ServiceCheck()
HTTP = ServiceCheck("http", path="/healthz", interval_ms=500)
VM1 = Instance("orders", "vm1", "10.1.1.10", (("admin", 9000), ("http", 80)), "a")
VM2 = replace(VM1, name="vm2", address="fd00::2")
FAR = replace(VM1, name="vm9", address="10.2.1.10", cloud="b")


def said(place: str, *, passing: bool, name: str = "vm1", detail: str = "") -> Verdicts:
    return Verdicts((Verdict("orders", name, passing, place, detail),))


@pytest.fixture
def book() -> TargetBook:
    book = TargetBook("a")
    book.replace("orders", [VM1, VM2, FAR], TCP)
    return book


# --- targets ---------------------------------------------------------------------------------------------------------


def test_a_target_is_the_named_port_or_the_first_by_name() -> None:
    assert target_of(VM1, TCP) == CheckTarget("orders", "vm1", tcp="10.1.1.10:9000")
    assert target_of(VM1, replace(TCP, port="http")) == CheckTarget("orders", "vm1", tcp="10.1.1.10:80")
    assert target_of(VM1, replace(HTTP, port="http")) == CheckTarget(
        "orders", "vm1", http="http://10.1.1.10:80/healthz", interval_ms=500
    )


def test_ipv6_addresses_are_in_brackets() -> None:
    target = target_of(VM2, replace(HTTP, port="http"))
    assert target is not None
    assert target.http == "http://[fd00::2]:80/healthz"
    assert place_of(target) == "[fd00::2]:80"


def test_nothing_is_checked_where_the_check_is_none_or_the_port_is_missing() -> None:
    assert target_of(VM1, ServiceCheck("none")) is None
    assert target_of(VM1, replace(TCP, port="grpc")) is None
    assert target_of(replace(VM1, ports=()), TCP) is None


def test_a_book_holds_its_own_clouds_instances_only(book: TargetBook) -> None:
    full = book.full()
    assert [target.instance for target in full.targets] == ["vm1", "vm2"]
    assert full.full
    assert full.cloud == "a"
    assert len(book) == 2


def test_only_what_changed_is_told(book: TargetBook) -> None:
    assert book.replace("orders", [VM1, VM2], TCP) is None
    moved = replace(VM2, address="10.1.2.10")
    assert book.replace("orders", [VM1, moved], TCP) == CheckTargets(
        "a", (CheckTarget("orders", "vm2", tcp="10.1.2.10:9000"),)
    )
    assert book.replace("orders", [VM1], TCP) == CheckTargets("a", (), (("orders", "vm2"),))
    assert book.replace("orders", [], TCP) == CheckTargets("a", (), (("orders", "vm1"),))
    assert len(book) == 0


def test_a_changed_check_is_told_for_every_instance(book: TargetBook) -> None:
    message = book.replace("orders", [VM1, VM2], replace(TCP, fall=5))
    assert message is not None
    assert [target.fall for target in message.targets] == [5, 5]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (CheckTarget("s", "i"), "neither"),
        (CheckTarget("s", "i", tcp="h:1", http="http://h/"), "both"),
        (CheckTarget("s", "i", tcp="10.1.0.5"), "no place"),
        (CheckTarget("s", "i", tcp="10.1.0.5:http"), "10.1.0.5:http"),
        (CheckTarget("s", "i", tcp="10.1.0.5:99999"), "10.1.0.5:99999"),
        (CheckTarget("s", "i", http="ftp://10.1.0.5/"), "no place"),
        (CheckTarget("s", "i", http="http://[10.1.0.5/"), "http://[10.1.0.5/"),
        (CheckTarget("s", "i", tcp="10.1.0.5:80", interval_ms=0), "interval_ms"),
        (CheckTarget("s", "i", tcp="10.1.0.5:80", fall=0), "fall"),
    ],
)
def test_a_target_that_cannot_be_checked_has_its_problem_named(target: CheckTarget, words: str) -> None:
    assert words in problem_of(target)


def test_what_a_book_gives_out_has_no_problem(book: TargetBook) -> None:
    book.replace("web", [replace(VM2, service="web")], HTTP)
    assert [problem_of(target) for target in book.full().targets] == ["", "", ""]


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_an_instance_is_unknown_until_a_checker_speaks_of_it(book: TargetBook) -> None:
    table = VerdictTable(book)
    assert table.judgement(VM1.id) == "unknown"
    assert table.readiness() == {}
    assert table.take("k1", said("10.1.1.10:9000", passing=False, detail="refused")) == {VM1.id}
    assert table.judgement(VM1.id) == "failing"
    assert table.detail(VM1.id) == "refused"
    assert table.readiness() == {VM1.id: False}
    assert table.failing() == [VM1.id]


def test_the_same_verdict_again_changes_nothing(book: TargetBook) -> None:
    table = VerdictTable(book)
    table.take("k1", said("10.1.1.10:9000", passing=True))
    assert table.take("k1", said("10.1.1.10:9000", passing=True)) == set()
    assert table.take("k1", Verdicts(())) == set()


def test_it_fails_only_when_every_checker_with_an_opinion_says_so(book: TargetBook) -> None:
    table = VerdictTable(book)
    table.take("k1", said("10.1.1.10:9000", passing=True))
    assert table.take("k2", said("10.1.1.10:9000", passing=False)) == set()
    assert table.judgement(VM1.id) == "passing"
    assert table.take("k1", said("10.1.1.10:9000", passing=False)) == {VM1.id}
    assert table.take("k2", said("10.1.1.10:9000", passing=True)) == {VM1.id}


def test_a_verdict_on_another_address_is_passed_over(book: TargetBook) -> None:
    table = VerdictTable(book)
    assert table.take("k1", said("10.1.1.10:80", passing=False)) == set()
    assert table.take("k1", said("10.2.1.10:9000", passing=False, name="vm9")) == set()
    assert table.take("k1", said("", passing=False, name="vm7")) == set()
    assert table.readiness() == {}


def test_an_instance_that_moved_is_unknown_and_what_was_said_of_its_old_address_is_forgotten(book: TargetBook) -> None:
    table = VerdictTable(book)
    table.take("k1", said("10.1.1.10:9000", passing=False))
    book.replace("orders", [replace(VM1, address="10.1.3.10")], TCP)
    assert table.judgement(VM1.id) == "unknown"
    assert table.take("k1", said("10.1.1.10:9000", passing=False)) == set()
    book.replace("orders", [VM1], TCP)
    assert table.judgement(VM1.id) == "unknown"


def test_a_verdict_survives_a_change_of_how_the_same_place_is_checked(book: TargetBook) -> None:
    table = VerdictTable(book)
    table.take("k1", said("10.1.1.10:9000", passing=False))
    book.replace("orders", [VM1, VM2], replace(TCP, interval_ms=1000))
    assert table.judgement(VM1.id) == "failing"


def test_an_instance_that_is_gone_is_forgotten(book: TargetBook) -> None:
    table = VerdictTable(book)
    table.take("k1", said("10.1.1.10:9000", passing=False))
    book.replace("orders", [VM2], TCP)
    assert table.readiness() == {}


def test_what_a_lost_checker_said_stands_until_another_speaks(book: TargetBook) -> None:
    table = VerdictTable(book)
    table.take("k1", said("10.1.1.10:9000", passing=False))
    assert table.lost("k1") == set()
    assert table.judgement(VM1.id) == "failing"
    assert table.take("k1 again", said("[fd00::2]:9000", passing=True, name="vm2")) == {VM2.id}
    assert table.judgement(VM1.id) == "failing"
    assert table.take("k1 again", said("10.1.1.10:9000", passing=True)) == {VM1.id}
    assert table.lost("k1 again") == set()
    assert table.judgement(VM1.id) == "passing"


def test_a_lost_checkers_opinion_does_not_count_beside_a_connected_ones(book: TargetBook) -> None:
    table = VerdictTable(book)
    table.take("k1", said("10.1.1.10:9000", passing=True))
    table.take("k2", said("10.1.1.10:9000", passing=False))
    assert table.lost("k1") == {VM1.id}
    assert table.judgement(VM1.id) == "failing"
