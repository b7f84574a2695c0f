"""etcd's JSON gateway as data."""

from __future__ import annotations

import time
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netctl.names.entries import MAX_VALUE_BYTES
from netctl.names.etcd.wire import KeyValue, Lines, WatchEvent, WatchLine, changes, prefix_end


@given(st.lists(st.binary(max_size=8).map(lambda line: line.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_are_cut_the_same_however_the_bytes_arrive(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(line + b"\n" for line in lines) + b"rest"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    splitter, found = Lines(), list[bytes]()
    for start, end in pairwise([0, *cuts, len(whole)]):
        found += splitter.feed(whole[start:end])
    assert found == [line for line in lines if line]
    assert splitter.feed(b"\n") == [b"rest"]


def test_a_line_of_64_mib_in_small_pieces_takes_no_longer_than_its_bytes_need() -> None:
    splitter, piece = Lines(), b"x" * 16_384
    started = time.process_time()
    for _ in range(4096):
        assert splitter.feed(piece) == []
    (line,) = splitter.feed(b"\n")
    assert len(line) == 64 * 1024 * 1024
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"/vm/", b"/vm0"), (b"a\xff", b"b"), (b"a\xff\xff", b"b"), (b"\xff", b"\0"), (b"", b"\0")]
)
def test_the_end_of_a_prefix_is_the_next_key_without_it(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end


def test_events_of_one_revision_are_one_change_and_the_last_word_on_a_key_counts() -> None:
    events = [
        WatchEvent(KeyValue(b"/vm/s/a", b"1", "7")),
        WatchEvent(KeyValue(b"/vm/s/b", b"2", "7")),
        WatchEvent(KeyValue(b"/vm/s/a", mod_revision="8"), "DELETE"),
        WatchEvent(KeyValue(b"/vm/s/c", mod_revision="8"), "DELETE"),
        WatchEvent(KeyValue(b"/vm/s/c", b"3", "8")),
    ]
    first, second = changes(events, b"/vm/")
    assert (first.puts, set(first.deletes), first.revision) == ({"s/a": b"1", "s/b": b"2"}, set(), 7)
    assert (second.puts, set(second.deletes), second.revision) == ({"s/c": b"3"}, {"s/a"}, 8)


def test_keys_of_any_bytes_stay_apart_and_huge_values_are_cut() -> None:
    events = [
        WatchEvent(KeyValue(b"/vm/\xff", b"1", "7")),
        WatchEvent(KeyValue(b"/vm/\xfe", b"x" * 1_000_000, "7")),
    ]
    (change,) = changes(events, b"/vm/")
    assert sorted(map(len, change.puts.values())) == [1, MAX_VALUE_BYTES + 1]


def test_a_line_without_what_is_zero_is_read() -> None:
    line = b'{"result":{"header":{"cluster_id":"1"},"events":[{"kv":{"key":"L3ZtL2E=","mod_revision":"3"}}]}}'
    reply = msgspec.json.decode(line, type=WatchLine).result
    assert reply is not None
    assert reply.header.revision == "0"
    assert reply.events == [WatchEvent(KeyValue(b"/vm/a", b"", "3"))]
