"""Streams of bytes cut into lines."""

from __future__ import annotations

import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from netctl.ipc.lines import Lines


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
