"""Unix sockets: the ``Streams`` port, and connections that carry messages.

``UnixStreams`` moves bytes. ``Connection`` (Hello both ways, then messages) and ``serve`` work on any ``Streams``, so
the simulator's programs use them too.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from netctl.ipc.frames import FrameReader, encode
from netctl.ipc.messages import VERSION, Hello, Message, Reply, Request
from netctl.model.errors import EnvironmentLackError, NetctlError, PeerError
from netctl.model.ports import Listener, Stream, Streams

_READ_SIZE = 256 * 1024
_MAX_PATH = 107  # sockaddr_un.sun_path without its closing zero
_HELLO_WITHIN_S = 10.0


class UnixStream:
    """One end of a connected unix socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        try:
            return await self._reader.read(_READ_SIZE)
        except OSError:
            return b""

    def write(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)

    async def drain(self) -> None:
        with suppress(OSError):
            await self._writer.drain()

    def close(self) -> None:
        with suppress(RuntimeError):  # the loop may be closed already
            self._writer.close()


class UnixListener:
    """A listening unix socket and its file."""

    def __init__(self, server: asyncio.Server, path: Path, inode: int) -> None:
        self._server = server
        self._path = path
        self._inode = inode

    def close(self) -> None:
        self._server.close()
        with suppress(OSError):
            if self._path.stat().st_ino == self._inode:  # a successor may have taken the path over
                self._path.unlink()
        self._inode = -1


class UnixStreams:
    """Unix stream sockets by path."""

    async def listen(self, path: str, on_connect: Callable[[Stream], Awaitable[None]]) -> Listener:
        async def talk(stream: Stream) -> None:
            await on_connect(stream)

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A task of our own: of one that it makes itself, asyncio complains when the loop's end cancels it, also
            # where it has not begun yet and so could not catch that.
            task = asyncio.get_running_loop().create_task(talk(UnixStream(reader, writer)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        tasks: set[asyncio.Task[None]] = set()
        sock, inode = _take_over(Path(path))
        server = await asyncio.start_unix_server(connected, sock=sock, limit=_READ_SIZE)
        return UnixListener(server, Path(path), inode)

    async def connect(self, path: str) -> Stream:
        try:
            reader, writer = await asyncio.open_unix_connection(path, limit=_READ_SIZE)
        except ConnectionError:
            raise
        except OSError as error:
            raise ConnectionError(error.errno, f"{path}: {error.strerror or error}") from None
        return UnixStream(reader, writer)


def _take_over(path: Path) -> tuple[socket.socket, int]:
    """A listening socket at ``path``, mode 0600 from its first moment, and the inode of its file."""
    fresh = path.with_name(path.name + ".new")
    if len(os.fsencode(fresh)) > _MAX_PATH:
        raise EnvironmentLackError(
            f"{path}: too long for a unix socket ({_MAX_PATH - 4} bytes at most)", "choose a shorter runtime_dir"
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        with _locked(path.parent):
            if _somebody_listens(path):
                raise EnvironmentLackError(f"{path}: another program listens there", f"see who: ss -lxp src {path}")
            fresh.unlink(missing_ok=True)
            sock.bind(str(fresh))
            fresh.chmod(0o600)
            sock.listen(64)
            fresh.replace(path)
            return sock, path.stat().st_ino
    except OSError as error:
        sock.close()
        raise EnvironmentLackError(
            f"cannot listen at {path}: {error.strerror}", f"who may write {path.parent}?"
        ) from None
    except BaseException:
        sock.close()
        raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Between looking for a listener and taking its path, nobody else may do the same."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        # A full backlog (EAGAIN) is a listener too: one that is busy or stopped.
        return probe.connect_ex(str(path)) in {0, errno.EAGAIN, errno.EINPROGRESS}


class Connection:
    """A stream on which both ends have said Hello. Made by ``open``."""

    def __init__(self, stream: Stream, reader: FrameReader, waiting: list[Message], peer_hello: Hello) -> None:
        self._stream = stream
        self._reader = reader
        self._waiting = waiting
        self.peer_hello = peer_hello

    @classmethod
    async def open(cls, stream: Stream, hello: Hello, *, listening: bool = False) -> Connection:
        """Say Hello and hear it; who is ``listening`` hears first, because what a client has said before it left cannot
        be read any more once a write to it has failed.

        Raises PeerError (garbage, other version), ConnectionError when the other leaves without a word.
        """
        if not listening:
            stream.write(encode(hello))
        reader = FrameReader()
        heard = False
        try:
            async with asyncio.timeout(_HELLO_WITHIN_S):
                waiting: list[Message] = []
                while not waiting:
                    data = await stream.read()
                    if not data and heard:
                        raise PeerError("hello_truncated", "it left before its Hello was complete")
                    if not data:
                        raise ConnectionResetError("closed before Hello")
                    if listening and not heard:
                        stream.write(encode(hello))
                    heard = True
                    waiting = reader.feed(data)
            first = waiting.pop(0)
            if not isinstance(first, Hello):
                raise PeerError("no_hello", type(first).__name__)
            if first.version not in {VERSION, VERSION - 1}:
                raise PeerError("other_version", f"{first.program} speaks {first.version}, this is {VERSION}")
        except TimeoutError:
            stream.close()
            raise PeerError("hello_late", f"nothing within {_HELLO_WITHIN_S:.0f} s") from None
        except BaseException:
            stream.close()
            raise
        waiting.reverse()
        return cls(stream, reader, waiting, first)

    @property
    def certified_cloud(self) -> str:
        """The cloud that the other end's certificate is for; "" when it names none, or there is no certificate."""
        return str(getattr(self._stream, "certified_cloud", ""))

    async def send(self, message: Message) -> None:
        """Queue one message and wait until the queue is short. A peer that is gone takes it silently."""
        self._stream.write(encode(message))
        await self._stream.drain()

    def send_soon(self, message: Message) -> None:
        """Queue one message without waiting: for the few that must not be held up by a slow reader."""
        self._stream.write(encode(message))

    async def receive(self) -> Message | None:
        """The next message, or None at the end. Raises PeerError on garbage; the connection is closed then."""
        while not self._waiting:
            data = await self._stream.read()
            if not data:
                return None
            try:
                self._waiting = self._reader.feed(data)[::-1]
            except PeerError:
                self._stream.close()
                raise
        return self._waiting.pop()

    def close(self) -> None:
        self._stream.close()


async def connect(streams: Streams, path: str, hello: Hello) -> Connection:
    """Connect and exchange Hello. Raises ConnectionError when nobody listens, PeerError when it is not netctl."""
    return await Connection.open(await streams.connect(path), hello)


async def ask(path: str, request: Request, program: str, within_s: float = 5.0) -> Reply:
    """Ask the ``program`` (agent, controller, checker) that listens at a unix socket's path.

    Raises EnvironmentLackError when none answers, NetctlError with its words when it refuses.
    """
    start = f"netctl {program} run --config FILE"
    try:
        async with asyncio.timeout(within_s):
            connection = await connect(UnixStreams(), path, Hello("cli", "", os.getpid()))
            await connection.send(request)
            answer = await connection.receive()
            connection.close()
    except TimeoutError:
        what = f"the {program} at {path} does not answer within {within_s:g} s"
        raise EnvironmentLackError(what, "is it stopped? see its log") from None
    except (ConnectionError, PeerError) as error:
        why = str(getattr(error, "strerror", None) or error).removeprefix(f"{path}: ")
        raise EnvironmentLackError(f"no {program} answers at {path}: {why}", start) from None
    if not isinstance(answer, Reply):
        raise EnvironmentLackError(f"the {program} at {path} left without an answer", "see its log")
    if answer.error:
        failure = NetctlError(answer.error, answer.hint)
        failure.exit_code = int(answer.body.get("exit_code", 1))
        raise failure
    return answer


class Server:
    """A listening socket whose clients speak netctl; ``refused`` counts by reason those who did not."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self._listener: Listener | None = None
        self._clients: dict[Connection, None] = {}
        """In order: they are closed in the order in which they came."""

    async def start(
        self, streams: Streams, path: str, hello: Hello, on_client: Callable[[Connection], Awaitable[None]]
    ) -> None:
        async def connected(stream: Stream) -> None:
            try:
                connection = await Connection.open(stream, hello, listening=True)
            except PeerError as error:
                self.refused[error.reason] += 1
                return
            except ConnectionError:
                return
            self._clients[connection] = None
            try:
                await on_client(connection)
            except PeerError as error:
                self.refused[error.reason] += 1
            finally:
                self._clients.pop(connection, None)
                connection.close()

        self._listener = await streams.listen(path, connected)

    def close(self) -> None:
        """Stop listening and close every client's connection; idempotent."""
        if self._listener is not None:
            self._listener.close()
        for client in list(self._clients):
            client.close()


async def serve(
    streams: Streams, path: str, hello: Hello, on_client: Callable[[Connection], Awaitable[None]]
) -> Server:
    """Listen at ``path``; ``on_client`` runs for each client after Hello, its connection is closed when it returns."""
    server = Server()
    await server.start(streams, path, hello, on_client)
    return server
