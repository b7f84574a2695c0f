"""etcd's JSON gateway as data."""

from __future__ import annotations

import msgspec
import pytest

from netctl.names.entries import MAX_VALUE_BYTES
from netctl.names.etcd.wire import KeyValue, WatchEvent, WatchLine, changes, prefix_end


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
