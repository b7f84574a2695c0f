"""An agent that does not start the others itself says so when they do not answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from netctl.agent.shell import AgentShell
from netctl.health.io import RealChecks
from netctl.ipc.io import UnixStreams, serve
from netctl.ipc.messages import Hello
from netctl.model.clock import SECOND, FakeClock
from netctl.model.io import FileStore
from tests.agent.machine import GATEWAY, Machine
from tests.agent.node import make_kernel

Warnings = list[dict[str, Any]]


async def warned(runtime: Path, *, standalone: bool, answering: str) -> Warnings:
    """What an agent complains of in its first 4 s when one program answers."""
    gateway = replace(GATEWAY, runtime_dir=str(runtime), checks=())
    clock, streams, found = FakeClock(), UnixStreams(), Warnings()
    kernel, store = make_kernel(gateway), FileStore(str(runtime))
    ports = replace(Machine().ports, clock=clock, streams=streams, kernel=kernel, store=store)

    async def client(connection: Any) -> None:
        while await connection.receive() is not None:
            pass

    def log(level: str, event: str, **fields: object) -> None:
        if event == "programs do not answer":
            found.append({"level": level, **fields})

    program = await serve(streams, str(runtime / f"{answering}.sock"), Hello("speaker", "pa", 1), client)
    shell = AgentShell(gateway, ports, RealChecks(), standalone, log=log)
    task = asyncio.ensure_future(shell.run())
    for _ in range(1000):
        if shell.supervisors[answering].answered_once:
            break
        await asyncio.sleep(0.01)
    assert shell.supervisors[answering].answered_once
    clock.advance(4 * SECOND)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    program.close()
    return found


async def test_programs_that_do_not_answer_are_named_once_with_what_starts_them(tmp_path: Path) -> None:
    (warning,) = await warned(tmp_path, standalone=False, answering="speaker-pa")
    assert warning["missed"] == ["liveness", "speaker-pb"]
    assert warning["hint"] == (
        "agent run --standalone starts them; or start the units: "
        "systemctl start netctl-liveness@ga1 netctl-speaker@ga1:pb"
    )


async def test_a_standalone_agent_starts_them_and_warns_of_nothing(tmp_path: Path) -> None:
    assert await warned(tmp_path, standalone=True, answering="speaker-pa") == []
