"""What an operator hears while a drill waits."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from netctl.drill.acts import shell
from netctl.drill.acts.shell import Acts
from netctl.drill.catalogue import find
from netctl.drill.experiments import Options
from netctl.model.errors import RefusedError
from tests.drill.small_net import SmallSite


def acts(tmp_path: Path, said: list[str]) -> tuple[Acts, SmallSite]:
    site = SmallSite(os.getpid(), tmp_path)
    site.missing += ["ga: BGP to pa is down", "gb: BGP to pa is down"]
    drill = find("provider-cut")
    found = Acts(
        site, drill, Options(duration_s=0.1), identifier="x-1", limit_s=9.0, say=said.append, tell=lambda *_: None
    )
    return found, site


def test_whoever_waits_for_a_steady_lab_is_told_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "TELL_EVERY_S", 0.05)
    monkeypatch.setattr(shell, "STEADY_WITHIN_S", 0.5)
    said: list[str] = []
    doing, _ = acts(tmp_path, said)
    with pytest.raises(RefusedError, match="the lab is not steady: ga: BGP to pa is down"):
        asyncio.run(doing.check())
    assert "waiting for ga: BGP to pa is down and 1 more" in said


def test_a_lab_that_is_steady_again_ends_the_waiting_and_the_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "TELL_EVERY_S", 0.05)
    said: list[str] = []
    doing, site = acts(tmp_path, said)

    def say(text: str) -> None:
        said.append(text)
        site.missing.clear()

    doing._say = say
    asyncio.run(doing.settle())
    assert said == ["waiting for ga: BGP to pa is down and 1 more"]


def test_a_fault_that_takes_long_to_be_taken_back_is_spoken_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "TELL_EVERY_S", 0.01)
    said: list[str] = []
    doing, _ = acts(tmp_path, said)

    async def story() -> None:
        enough = asyncio.Event()

        def say(text: str) -> None:
            said.append(text)
            if len(said) == 2:
                enough.set()

        async def undo() -> None:
            await enough.wait()

        doing._say = say
        await doing._until_undone(undo())

    asyncio.run(story())
    assert said == ["waiting for the fault to be taken back"] * 2
