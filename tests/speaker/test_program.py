"""The speaker as a program: what it says when it cannot start."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from netctl.ipc.messages import Announce, AnnouncedRoute
from netctl.speaker.io import ExabgpPipes


def start(*arguments: str, python: tuple[str, ...] = ("-m", "netctl.speaker")) -> tuple[int, str]:
    done = subprocess.run([sys.executable, *python, *arguments], capture_output=True, check=False, timeout=30)
    return done.returncode, done.stderr.decode()


def write(gateway: Any) -> str:
    path = Path(gateway.runtime_dir) / "gateway.json"
    path.write_bytes(msgspec.json.encode(gateway))
    return str(path)


@pytest.mark.parametrize("module", ["netctl.speaker", "netctl.speaker.relay"])
def test_wrong_arguments_and_files_are_one_line_and_exit_2(gateway: Any, module: str) -> None:
    path = write(gateway)
    (broken := Path(gateway.runtime_dir) / "broken.json").write_text("{")
    for arguments in ((), (path,), ("/nowhere.json", "pa"), (str(broken), "pa"), (path, "px")):
        code, error = start(*arguments, python=("-m", module))
        assert code == 2, error
        assert error.count("\n") == 1, error
    assert "its peers are pa" in error


def test_a_missing_exabgp_is_one_line_and_exit_3(gateway: Any) -> None:
    hide = (
        "import runpy, sys; sys.modules['exabgp'] = None; sys.argv[0] = 'speaker'; "
        "runpy.run_module('netctl.speaker', run_name='__main__')"
    )
    code, error = start(write(gateway), "pa", python=("-c", hide))
    assert (code, error) == (3, "speaker pa: ExaBGP is not installed; pip install 'exabgp>=5.0,<5.1'\n")


def test_a_runtime_dir_that_cannot_be_written_is_named(gateway: Any) -> None:
    path = write(gateway)
    Path(path).write_bytes(msgspec.json.encode(replace(gateway, runtime_dir="/nowhere/at/all")))
    code, error = start(path, "pa")
    assert code == 3
    assert "cannot write /nowhere/at/all/exabgp-pa.conf" in error


@pytest.mark.root
async def test_a_runtime_dir_with_blanks_is_no_hindrance(net: Any, gateway: Any) -> None:
    os.mkdir(folder := f"{gateway.runtime_dir}/my cloud; [a] #1")  # noqa: PTH102
    client = await net.speaker(replace(gateway, runtime_dir=folder)).client()
    await client.until(lambda c: c.session.reason != "starting")


async def test_a_configuration_that_cannot_be_written_is_said_and_ends_nothing(
    gateway: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pipes = ExabgpPipes(replace(gateway, runtime_dir="/nowhere/at/all"), gateway.peers[0], "/nowhere/gateway.json")
    pipes.configure(passive=True, alternate=False)
    assert "cannot write /nowhere/at/all/exabgp-pa.conf" in capsys.readouterr().err
    assert pipes._commands.empty()


@pytest.mark.root
async def test_it_runs_as_the_only_user_of_a_namespace(net: Any, bird: Any, gateway: Any) -> None:
    client = await net.speaker(gateway, ("unshare", "-U", "-r")).client()
    await client.until(lambda c: c.complete is not None and len(c.table) == 3)


@pytest.mark.root
async def test_a_relay_killed_while_updates_stream_ends_or_recovers_and_a_new_speaker_knows_all(
    net: Any, router: Any, gateway: Any
) -> None:
    prefixes = tuple(bytes((24, 20 + (i >> 16), (i >> 8) & 255, i & 255, 0)) for i in range(40_000))
    net.bird(replace(router, announce=prefixes))
    speaker = net.speaker(gateway)
    client = await speaker.client()
    await client.connection.send(Announce(1, (AnnouncedRoute(bytes((16, 10, 1, 0, 0))),)))
    await client.until(lambda c: len(c.table) > 2_000)
    os.kill(speaker.relay_pid(), signal.SIGKILL)
    await client.until(lambda c: c.ended)
    async with asyncio.timeout(60):
        while client.ended:  # the first successor may belong to an ExaBGP that is about to give up
            client = await speaker.supervised_client()
            await client.until(lambda c: c.ended or (c.complete is not None and len(c.table) == 40_000), 30)
