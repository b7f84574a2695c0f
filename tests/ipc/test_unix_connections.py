"""Unix sockets and the connections on them."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from netctl.ipc.frames import encode
from netctl.ipc.io import Connection, Server, UnixStreams, connect, serve
from netctl.ipc.messages import Hello, Request, Shutdown
from netctl.model.errors import EnvironmentLackError, PeerError

SERVER = Hello(program="agent", name="ga1", pid=1)
CLIENT = Hello(program="cli", name="ga1", pid=2)


async def echo(connection: Connection) -> None:
    while (message := await connection.receive()) is not None:
        await connection.send(message)


async def echo_server(path: Path) -> Server:
    return await serve(UnixStreams(), str(path), SERVER, echo)


async def test_messages_cross_in_order_after_hello_both_ways(tmp_path: Path) -> None:
    server = await echo_server(tmp_path / "x.sock")
    connection = await connect(UnixStreams(), str(tmp_path / "x.sock"), CLIENT)
    assert connection.peer_hello == SERVER
    sent = [Request(verb="status", argument=str(n)) for n in range(100)]
    for message in sent:
        connection.send_soon(message)
    assert [await connection.receive() for _ in sent] == sent
    connection.close()
    server.close()


async def test_a_server_that_goes_away_is_the_end_and_not_an_error(tmp_path: Path) -> None:
    server = await echo_server(tmp_path / "x.sock")
    connection = await connect(UnixStreams(), str(tmp_path / "x.sock"), CLIENT)
    server.close()
    assert await connection.receive() is None
    await connection.send(Shutdown(reason="nobody reads this"))
    connection.close()


async def test_the_socket_is_for_its_owner_alone_and_gone_after_close(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    server = await echo_server(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server.close()
    server.close()
    assert os.listdir(tmp_path) == []  # noqa: PTH208


async def test_a_stale_socket_file_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = await echo_server(path)
    connection = await connect(UnixStreams(), str(path), CLIENT)
    connection.close()
    server.close()


async def test_a_second_server_is_refused_by_name_and_the_first_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    server = await echo_server(path)
    with pytest.raises(EnvironmentLackError, match=r"x\.sock: another program listens"):
        await echo_server(path)
    connection = await connect(UnixStreams(), str(path), CLIENT)
    connection.close()
    server.close()


async def test_an_old_listener_that_closes_late_leaves_its_successors_file(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    old = await echo_server(path)
    path.unlink()
    new = await echo_server(path)
    old.close()
    connection = await connect(UnixStreams(), str(path), CLIENT)
    connection.close()
    new.close()


async def test_a_path_that_is_too_long_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLackError, match="too long for a unix socket"):
        await echo_server(tmp_path / ("x" * 100))


async def test_nobody_listening_is_a_connection_error(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        await connect(UnixStreams(), str(tmp_path / "none.sock"), CLIENT)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "frame_too_long"),
        (b"\x00\x00\x00\x02\xc1\xc1", "frame_undecodable"),
        (b"\x00\x00\x27\x15\x81\xa1x" + b"\x91" * 10_001 + b"\xc0", "frame_undecodable"),
        (encode(Request(verb="status")), "no_hello"),
        (encode(Hello(program="cli", name="x", pid=1, version=99)), "other_version"),
        (encode(CLIENT) + b"\xff\xff\xff\xff", "frame_too_long"),
    ],
)
async def test_garbage_is_counted_and_ends_only_its_own_connection(tmp_path: Path, sent: bytes, reason: str) -> None:
    path = tmp_path / "x.sock"
    server = await echo_server(path)
    good = await connect(UnixStreams(), str(path), CLIENT)
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(sent)
    async with asyncio.timeout(5):
        while await reader.read(4096):  # until the server has closed it
            pass
    writer.close()
    assert server.refused == {reason: 1}
    await good.send(Request(verb="status"))
    assert await good.receive() == Request(verb="status")
    good.close()
    server.close()


async def test_a_client_sees_garbage_from_its_server_as_a_peer_error(tmp_path: Path) -> None:
    async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\xff" * 64)
        writer.close()

    server = await asyncio.start_unix_server(garbage, path=tmp_path / "x.sock")
    with pytest.raises(PeerError, match="frame_too_long"):
        await connect(UnixStreams(), str(tmp_path / "x.sock"), CLIENT)
    server.close()


def test_a_program_that_ends_while_clients_are_connected_complains_of_nothing(tmp_path: Path) -> None:
    complaints: list[object] = []

    async def program() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        server = await echo_server(tmp_path / "x.sock")
        client = await connect(UnixStreams(), str(tmp_path / "x.sock"), CLIENT)
        await client.send(Request(verb="status"))
        assert await client.receive() is not None
        server.close()

    asyncio.run(program())
    assert complaints == []


async def test_a_client_whose_task_is_cancelled_before_its_first_step_is_no_complaint(tmp_path: Path) -> None:
    """As at the end of a program to which a client is just coming."""
    complaints: list[object] = []
    cancelled = asyncio.Event()
    loop = asyncio.get_running_loop()

    def make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, **more)
        if coroutine.__qualname__.startswith("UnixStreams.listen."):
            task.cancel()
            task.add_done_callback(lambda _: loop.call_soon(cancelled.set))
        return task

    server = await echo_server(tmp_path / "x.sock")
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    loop.set_task_factory(make_task)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "x.sock"))
        await asyncio.wait_for(cancelled.wait(), 5)
    assert complaints == []
    server.close()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "frame_too_long"),
        (b"\0\0\0\2no", "frame_undecodable"),
        (b"\0\0\0", "hello_truncated"),
    ],
)
async def test_garbage_of_a_client_that_has_left_already_is_counted(tmp_path: Path, said: bytes, reason: str) -> None:
    server = await echo_server(tmp_path / "x.sock")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "x.sock"))
        client.sendall(said)
    for _ in range(500):
        if server.refused:
            break
        await asyncio.sleep(0.01)
    assert server.refused == {reason: 1}
    server.close()


async def test_who_only_looks_whether_somebody_listens_is_not_counted(tmp_path: Path) -> None:
    server = await echo_server(tmp_path / "x.sock")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "x.sock"))
    connection = await connect(UnixStreams(), str(tmp_path / "x.sock"), CLIENT)
    assert not server.refused
    connection.close()
    server.close()
