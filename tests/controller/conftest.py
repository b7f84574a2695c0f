"""Fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controller.real_site import RealSite
from tests.real.etcd import RealEtcd
from tests.real.kube import shared_kube


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RealSite]:
    with RealEtcd(tmp_path / "etcd") as etcd:
        yield RealSite(tmp_path, etcd, shared_kube())
