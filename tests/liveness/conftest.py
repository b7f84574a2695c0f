"""Fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.liveness.nodes import NodeSet


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[NodeSet]:
    made = NodeSet(tmp_path)
    yield made
    made.close()
