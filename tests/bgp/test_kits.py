from __future__ import annotations

from pathlib import Path

import pytest

from netctl import kits
from netctl.model.errors import EnvironmentLackError


def test_a_checkouts_own_kit_comes_first() -> None:
    assert kits.kit("bgp") == Path(kits.__file__).parents[1] / "bgp"


@pytest.mark.parametrize("stray", [False, True])
def test_without_a_checkout_the_packaged_copy_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stray: bool
) -> None:
    """Also when something else beside the package is called like the kit."""
    package = tmp_path / "netctl"
    (package / "_kits" / "bgp").mkdir(parents=True)
    if stray:
        (tmp_path / "bgp").mkdir()
    monkeypatch.setattr(kits, "_PACKAGE", package)
    assert kits.kit("bgp") == package / "_kits" / "bgp"


def test_a_missing_kit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kits, "_PACKAGE", tmp_path / "netctl")
    with pytest.raises(EnvironmentLackError, match="bgp kit is missing"):
        kits.kit("bgp")


def test_notes_to_the_reader_are_left_out() -> None:
    assert "#:" not in kits.template("bgp", "bird.conf").template
