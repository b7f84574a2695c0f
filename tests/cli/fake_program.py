"""A program's socket that answers each verb with a given body, over real netctl connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from netctl.ipc.io import Connection, UnixStreams, serve
from netctl.ipc.messages import Hello, Reply, Request


@contextmanager
def answering(folder: Path, program: str, bodies: Mapping[str, dict[str, Any] | Reply]) -> Iterator[list[Request]]:
    """PROGRAM.sock in ``folder`` while entered; what it was asked is appended to the list."""
    begun, end = threading.Event(), threading.Event()
    asked: list[Request] = []

    async def client(connection: Connection) -> None:
        while isinstance(request := await connection.receive(), Request):
            asked.append(request)
            body = bodies[request.verb]
            await connection.send(body if isinstance(body, Reply) else Reply(body))

    async def run() -> None:
        server = await serve(UnixStreams(), str(folder / f"{program}.sock"), Hello(program, folder.name, 1), client)
        begun.set()
        await asyncio.to_thread(end.wait)
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert begun.wait(10)
    try:
        yield asked
    finally:
        end.set()
        thread.join()
