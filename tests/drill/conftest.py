"""The small network as a fixture."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netctl.drill.acts import shell
from tests.drill.small_net import HASTE, SmallNet


def wait_for(condition: Callable[[], object], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


@pytest.fixture
def small_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallNet]:
    for name, value in HASTE.items():
        monkeypatch.setattr(shell, name, value)
    net = SmallNet(tmp_path)
    yield net
    net.close()


@pytest.fixture(name="wait_for")
def wait_for_fixture() -> Callable[..., None]:
    """Wait for a condition, with a deadline."""
    return wait_for
