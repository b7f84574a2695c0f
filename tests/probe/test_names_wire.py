"""Questions, answers and pages as bytes."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rrset
import pytest

from netctl.model.errors import UsageError
from netctl.probe.names.spec import Answer, Ending
from netctl.probe.names.wire import answer, page, query, question, request

HOST = "orders.netctl.internal"
ASKED = question(HOST)
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\na-vm1 in cloud a answers\n"


def reply(rcode: int = 0, records: tuple[str, ...] = (), name: str = HOST, kind: str = "A") -> bytes:
    """A name server's answer to our query, by another implementation."""
    made = dns.message.make_response(dns.message.from_wire(query(7, ASKED)))
    made.set_rcode(rcode)  # type: ignore[arg-type]
    if records:
        made.answer.append(dns.rrset.from_text(f"{name}.", 1, "IN", kind, *records))
    return made.to_wire()


def test_a_query_is_what_another_implementation_reads() -> None:
    read = dns.message.from_wire(query(513, ASKED))
    assert read.id == 513
    assert (str(read.question[0].name), read.flags & dns.flags.RD != 0, read.payload) == (f"{HOST}.", True, 1232)


def test_addresses_are_read_sorted_whatever_else_is_in_the_answer() -> None:
    alias = dns.message.from_wire(reply(records=("10.1.2.10", "10.1.1.10")))
    alias.answer.insert(0, dns.rrset.from_text(f"{HOST}.", 1, "IN", "CNAME", "other.netctl.internal."))
    assert answer(alias.to_wire(), ASKED) == (7, Answer("NOERROR", ("10.1.1.10", "10.1.2.10")))


@pytest.mark.parametrize(("rcode", "word"), [(2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED"), (9, "RCODE 9")])
def test_a_refusal_is_named_as_the_standard_names_it(rcode: int, word: str) -> None:
    heard = answer(reply(rcode), ASKED)
    assert heard == (7, Answer(word))
    assert not heard[1].usable


def test_an_answer_without_addresses_is_not_usable() -> None:
    heard = answer(reply(), ASKED)
    assert heard == (7, Answer("NOERROR"))
    assert not heard[1].usable


def test_a_name_in_other_letters_is_the_same_name() -> None:
    assert answer(reply(records=("10.1.1.10",)).replace(b"orders", b"oRDErs", 1), ASKED) is not None


def test_what_answers_another_question_or_is_torn_anywhere_is_no_answer() -> None:
    whole = reply(records=("10.1.1.10",))
    assert answer(whole, question("ledger.netctl.internal")) is None
    assert answer(query(7, ASKED), ASKED) is None
    answers_end = whole.index(bytes((10, 1, 1, 10))) + 4
    assert [answer(whole[:length], ASKED) for length in range(answers_end - 4)] == [None] * (answers_end - 4)


@pytest.mark.parametrize("host", ["", "a..b", "x" * 64])
def test_what_is_no_name_cannot_be_asked_for(host: str) -> None:
    with pytest.raises(UsageError):
        question(host)


def test_a_page_is_whole_when_its_length_is_there_and_says_who_answers() -> None:
    assert [page(PAGE[:length], ended=False) for length in range(len(PAGE))] == [None] * len(PAGE)
    assert page(PAGE, ended=False) == Ending("ok", "", "a-vm1", "a")


def test_a_page_that_ends_before_its_length_is_closed() -> None:
    assert {page(PAGE[:length], ended=True) for length in range(len(PAGE))} == {Ending("closed")}


def test_a_page_of_unknown_length_ends_with_the_connection() -> None:
    unknown = PAGE.replace(b"Content-Length: 25\r\n", b"")
    assert page(unknown, ended=False) is None
    assert page(unknown, ended=True) == Ending("ok", "", "a-vm1", "a")


def test_any_status_but_200_is_a_failure_by_its_number() -> None:
    assert page(b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", ended=False) == Ending("HTTP 503")


def test_a_request_asks_for_the_name() -> None:
    assert request(HOST).startswith(b"GET / HTTP/1.1\r\nHost: orders.netctl.internal\r\n")
