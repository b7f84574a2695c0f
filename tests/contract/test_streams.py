"""What every ``Streams`` promises: on unix sockets, on TCP with TLS and without, and on the simulator's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from netctl.ipc.io import UnixStreams
from netctl.ipc.tls.io import TlsStreams
from netctl.lab.pki import Pki
from netctl.model.controller import TlsSettings
from netctl.model.errors import EnvironmentLackError
from netctl.model.ports import Stream, Streams
from netctl.sim.loop import SimLoop
from netctl.sim.streams import FakeStreams

LONG = 8 * 1024 * 1024


@dataclass
class StreamsHarness:
    loop: asyncio.AbstractEventLoop
    streams: Streams
    path: str

    def run(self, scenario: Callable[[Streams, str], Awaitable[None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(20):
                await scenario(self.streams, self.path)

        self.loop.run_until_complete(bounded())


def tls_streams(folder: Path) -> TlsStreams:
    """One end that may be either: its certificate is of the role that both accept."""
    pki = Pki(folder)
    issued = pki.issue("both", role="netctl")
    tls = TlsSettings(pki.ca_file, issued.cert_file, issued.key_file)
    return TlsStreams(tls, connects_to="netctl", accepts="netctl")


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(params=["unix", "tcp", "tls", "fake"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StreamsHarness]:
    loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
    streams: Streams
    path = str(tmp_path / "s.sock")
    if request.param == "unix":
        streams = UnixStreams()
    elif request.param == "fake":
        loop.close()
        loop = SimLoop()
        streams = FakeStreams(loop)
    else:
        streams = TlsStreams(None) if request.param == "tcp" else tls_streams(tmp_path)
        path = free_address()
    yield StreamsHarness(loop, streams, path)
    for task in asyncio.all_tasks(loop):
        task.cancel()
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
    loop.close()


async def pair(streams: Streams, path: str) -> tuple[Stream, Stream]:
    accepted: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()
    stay = asyncio.Event()

    async def on_connect(stream: Stream) -> None:
        accepted.set_result(stream)
        await stay.wait()

    await streams.listen(path, on_connect)
    near = await streams.connect(path)
    return near, await accepted


async def read_exactly(stream: Stream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = await stream.read()
        assert part, f"ended after {len(data)} of {count} bytes"
        data += part
    return data


def test_bytes_arrive_in_order_both_ways(harness: StreamsHarness) -> None:
    async def scenario(streams: Streams, path: str) -> None:
        near, far = await pair(streams, path)
        near.write(b"one ")
        near.write(b"two")
        far.write(b"back")
        assert await read_exactly(far, 7) == b"one two"
        assert await read_exactly(near, 4) == b"back"

    harness.run(scenario)


def test_a_reader_gets_what_was_sent_before_the_close_and_then_the_end(harness: StreamsHarness) -> None:
    async def scenario(streams: Streams, path: str) -> None:
        near, far = await pair(streams, path)
        near.write(b"last words")
        near.close()
        near.close()
        assert await read_exactly(far, 10) == b"last words"
        assert await far.read() == b""

    harness.run(scenario)


def test_a_writer_waits_for_a_slow_reader_and_goes_on_when_it_reads(harness: StreamsHarness) -> None:
    async def scenario(streams: Streams, path: str) -> None:
        near, far = await pair(streams, path)
        near.write(b"x" * LONG)
        drained = asyncio.ensure_future(near.drain())
        await asyncio.wait([drained], timeout=0.2)
        assert not drained.done()
        assert await read_exactly(far, LONG) == b"x" * LONG
        await drained

    harness.run(scenario)


def test_a_drain_returns_when_the_other_end_goes_and_later_writes_are_dropped(harness: StreamsHarness) -> None:
    async def scenario(streams: Streams, path: str) -> None:
        near, far = await pair(streams, path)
        near.write(b"x" * LONG)
        drained = asyncio.ensure_future(near.drain())
        await asyncio.sleep(0)  # one turn: it has begun to wait
        assert not drained.done()
        far.close()
        await drained
        near.write(b"y" * LONG)
        await near.drain()
        assert await near.read() == b""

    harness.run(scenario)


def test_connecting_where_nobody_listens_is_a_connection_error(harness: StreamsHarness) -> None:
    async def scenario(streams: Streams, path: str) -> None:
        with pytest.raises(ConnectionError):
            await streams.connect(path)

    harness.run(scenario)


def test_a_second_listener_is_refused_and_may_listen_when_the_first_has_closed(harness: StreamsHarness) -> None:
    async def scenario(streams: Streams, path: str) -> None:
        async def on_connect(stream: Stream) -> None:
            stream.close()

        first = await streams.listen(path, on_connect)
        with pytest.raises(EnvironmentLackError, match="listens"):
            await streams.listen(path, on_connect)
        first.close()
        first.close()
        second = await streams.listen(path, on_connect)
        assert await (await streams.connect(path)).read() == b""
        second.close()

    harness.run(scenario)


def test_open_streams_outlive_their_listener(harness: StreamsHarness) -> None:
    async def scenario(streams: Streams, path: str) -> None:
        accepted: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()
        stay = asyncio.Event()

        async def on_connect(stream: Stream) -> None:
            accepted.set_result(stream)
            await stay.wait()

        listener = await streams.listen(path, on_connect)
        near = await streams.connect(path)
        far = await accepted
        listener.close()
        near.write(b"still here")
        assert await read_exactly(far, 10) == b"still here"
        with pytest.raises(ConnectionError):
            await streams.connect(path)

    harness.run(scenario)


@pytest.mark.parametrize("harness", ["unix", "fake"], indirect=True)
def test_a_path_too_long_for_a_socket_is_named(harness: StreamsHarness) -> None:
    async def scenario(streams: Streams, path: str) -> None:
        async def on_connect(stream: Stream) -> None:
            stream.close()

        with pytest.raises(EnvironmentLackError, match="too long"):
            await streams.listen(path + "x" * 108, on_connect)

    harness.run(scenario)
