from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netctl.bgp.events import Attributes, Updated
from netctl.bgp.table import CHUNK, Table
from netctl.model.prefix import Prefix, parse_prefix

HOP = bytes((10, 0, 1, 2))
A = Attributes((65001,), frozenset({65001}))
B = Attributes((65001, 65200), frozenset({65001, 65200}))
LOOP = Attributes((65001, 65100), frozenset({65001, 65100}))


def keys(*texts: str) -> list[Prefix]:
    return [parse_prefix(text) for text in texts]


def announce(attributes: Attributes, *texts: str, hop: bytes = HOP) -> Updated:
    return Updated([], [(hop, attributes, keys(*texts))])


@pytest.fixture
def table() -> Table:
    return Table(65100, HOP, 10)


def test_a_repeated_announcement_is_no_change(table: Table) -> None:
    assert table.apply(announce(A, "10.2.0.0/16")).changed == [(A, keys("10.2.0.0/16"))]
    delta = table.apply(announce(Attributes((65001,), frozenset({65001})), "10.2.0.0/16"))
    assert (delta.changed, delta.withdrawn) == ([], [])


def test_new_attributes_are_a_change_without_a_withdrawal(table: Table) -> None:
    table.apply(announce(A, "10.2.0.0/16"))
    delta = table.apply(announce(B, "10.2.0.0/16"))
    assert (delta.changed, delta.withdrawn) == ([(B, keys("10.2.0.0/16"))], [])


def test_only_known_prefixes_are_withdrawn(table: Table) -> None:
    table.apply(announce(A, "10.2.0.0/16"))
    assert table.apply(Updated(keys("10.2.0.0/16", "10.3.0.0/16"), [])).withdrawn == keys("10.2.0.0/16")
    assert len(table) == 0


@pytest.mark.parametrize(
    ("update", "reason"),
    [(announce(LOOP, "10.2.0.0/16"), "own_asn"), (announce(B, "10.2.0.0/16", hop=bytes(4)), "third_party_next_hop")],
)
def test_a_bad_replacement_withdraws_the_good_route_and_is_counted(table: Table, update: Updated, reason: str) -> None:
    table.apply(announce(A, "10.2.0.0/16"))
    delta = table.apply(update)
    assert (delta.changed, delta.withdrawn) == ([], keys("10.2.0.0/16"))
    assert table.discarded == {reason: 1}


def test_prefixes_beyond_the_limit_are_refused_and_those_within_stay_usable() -> None:
    table = Table(65100, HOP, 2)
    delta = table.apply(announce(A, "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16"))
    assert delta.changed == [(A, keys("10.2.0.0/16", "10.3.0.0/16"))]
    assert table.discarded == {"max_prefixes": 1}
    assert not table.overflowed
    assert table.apply(announce(B, "10.2.0.0/16")).changed == [(B, keys("10.2.0.0/16"))]
    table.apply(announce(A, "10.5.0.0/16"))
    assert table.overflowed
    table.apply(Updated(keys("10.5.0.0/16", "10.4.0.0/16"), []))
    assert not table.refused


def test_a_refresh_withdraws_what_was_not_announced_again(table: Table) -> None:
    table.apply(announce(A, "10.2.0.0/16", "10.3.0.0/16"))
    table.begin_refresh()
    assert table.apply(announce(A, "10.2.0.0/16")).changed == []
    table.apply(announce(A, "10.4.0.0/16"))
    assert table.end_refresh().withdrawn == keys("10.3.0.0/16")
    assert len(table) == 2


def test_chunks_are_small_complete_and_as_of_the_call() -> None:
    table = Table(65100, HOP, 100_000)
    many = [bytes((24, 10, i >> 8, i & 255, 0)) for i in range(CHUNK + 5)]
    table.apply(Updated([], [(HOP, A, many)]))
    table.apply(announce(B, "10.2.0.0/16"))
    chunks = table.chunks()
    table.clear()
    got = [(attributes, len(joined) // 5) for attributes, joined in chunks]
    assert got == [(A, CHUNK), (A, 5), (B, 1)]


PREFIX = st.integers(0, 7).map(lambda i: bytes((8, i, 0, 0, 0)))
UPDATE = st.builds(
    lambda gone, hop, attributes, new: Updated(gone, [(hop, attributes, new)]),
    st.lists(PREFIX, max_size=3),
    st.sampled_from([HOP, HOP, HOP, bytes(4)]),
    st.sampled_from([A, B, LOOP]),
    st.lists(PREFIX, max_size=4),
)


@given(st.lists(UPDATE | st.just("begin") | st.just("end"), max_size=12))
def test_a_client_that_applies_every_delta_has_the_tables_content(steps: list[Updated | str]) -> None:
    table = Table(65100, HOP, 5)
    mirror: dict[Prefix, Attributes] = {}
    for step in steps:
        if step == "begin":
            table.begin_refresh()
            continue
        delta = table.apply(step) if isinstance(step, Updated) else table.end_refresh()
        for prefix in delta.withdrawn:
            del mirror[prefix]
        for attributes, prefixes in delta.changed:
            mirror |= dict.fromkeys(prefixes, attributes)
    got = {joined[i : i + 5]: attributes for attributes, joined in table.chunks() for i in range(0, len(joined), 5)}
    assert got == mirror
    assert len(mirror) <= 5
