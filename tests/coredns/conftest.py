"""Two clouds for each test: starting both takes a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.coredns.clouds import Clouds
from tests.real.kube import shared_kube


@pytest.fixture
def clouds(tmp_path: Path) -> Iterator[Clouds]:
    """``orders`` in both clouds, ``ledger`` in b alone."""
    made = Clouds(shared_kube(), tmp_path)
    made.put("a", "orders", "10.1.1.10", "10.1.2.10", hostnames=True)
    made.put("b", "orders", "10.2.1.10", "10.2.2.10")
    made.put("b", "ledger", "10.2.3.10")
    made.start()
    yield made
    made.stop()
