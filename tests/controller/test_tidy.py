"""The controller's pauses for garbage collection."""

from __future__ import annotations

import asyncio
import gc

import pytest

from netctl.controller import io
from tests.controller.running import until


async def test_objects_that_replace_others_do_not_pile_up_before_they_are_collected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(io, "_TIDY_S", 0.01)
    kept: list[list[int]] = [[] for _ in range(20_000)]
    gc.collect()
    for index in range(len(kept)):
        kept[index] = []  # as many are freed as made: Python's own count stays where it is
    assert len(gc.get_objects(generation=0)) > len(kept)
    tidying = asyncio.ensure_future(io._tidy())
    try:
        await until(lambda: len(gc.get_objects(generation=0)) < len(kept) // 2, 10)
    finally:
        tidying.cancel()
