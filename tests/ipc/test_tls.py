# long because: every way a certificate can be wrong, seen from both ends
"""TLS between machines: who is accepted, what the other is told, and files that change."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from contextlib import closing
from pathlib import Path

import pytest

from netctl.ipc.io import Connection, connect, serve
from netctl.ipc.messages import CheckerCloud, Hello
from netctl.ipc.tls.certificates import split_address
from netctl.ipc.tls.io import TlsStreams
from netctl.lab.pki import Issued, Pki
from netctl.model.controller import TlsSettings
from netctl.model.errors import EnvironmentLackError
from netctl.model.ports import Stream


def free_address(host: str = "127.0.0.1") -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as taken:
        port = taken.getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def settings(pki: Pki, issued: Issued) -> TlsSettings:
    return TlsSettings(pki.ca().cert_file, issued.cert_file, issued.key_file)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


def spoil(path: str) -> None:
    Path(path).write_text("half a certificate")


class Meeting:
    """A listener with one certificate, and the outcome of a client's attempt with another."""

    def __init__(self, server: TlsSettings | None, host: str = "127.0.0.1") -> None:
        self.refusals: asyncio.Queue[str] = asyncio.Queue()
        self.streams = TlsStreams(server, on_refused=self.refusals.put_nowait)
        self.address = free_address(host)
        self.accepted: asyncio.Queue[Stream] = asyncio.Queue()

    async def __aenter__(self) -> Meeting:
        async def on_connect(stream: Stream) -> None:
            self.accepted.put_nowait(stream)

        self._listener = await self.streams.listen(self.address, on_connect)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()

    async def attempt(self, client: TlsSettings | None) -> Stream | str:
        """The client's stream, or why it has none."""
        async with asyncio.timeout(10):
            try:
                return await TlsStreams(client).connect(self.address)
            except ConnectionError as error:
                return str(error).removeprefix(f"{self.address}: ")

    async def noted(self) -> str:
        return await asyncio.wait_for(self.refusals.get(), 10)

    async def refused(self, client: TlsSettings | None) -> str:
        outcome = await self.attempt(client)
        assert isinstance(outcome, str)
        assert self.accepted.empty()
        return outcome


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_checker_and_a_controller_of_one_ca_talk(pki: Pki, host: str) -> None:
    checker, controller = pki.issue("k", role="checker"), pki.issue("c1", role="controller")
    streams = TlsStreams(settings(pki, controller))
    heard: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def on_client(connection: Connection) -> None:
        heard.set_result((connection.peer_hello.name, await connection.receive()))

    address = free_address(host)
    server = await serve(streams, address, Hello("controller", "c1", 1), on_client)
    connection = await connect(TlsStreams(settings(pki, checker)), address, Hello("checker", "k", 2))
    assert connection.peer_hello.name == "c1"
    await connection.send(CheckerCloud("a"))
    assert await asyncio.wait_for(heard, 10) == ("k", CheckerCloud("a"))
    connection.close()
    server.close()


@pytest.mark.parametrize("cloud", ["", "a"])
async def test_a_connection_knows_the_cloud_that_the_clients_certificate_is_for(pki: Pki, cloud: str) -> None:
    checker, controller = pki.issue("k", role="checker", cloud=cloud), pki.issue("c1", role="controller")
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def on_client(connection: Connection) -> None:
        heard.set_result(connection.certified_cloud)

    address = free_address("127.0.0.1")
    server = await serve(TlsStreams(settings(pki, controller)), address, Hello("controller", "c1", 1), on_client)
    connection = await connect(TlsStreams(settings(pki, checker)), address, Hello("checker", "k", 2))
    assert await asyncio.wait_for(heard, 10) == cloud
    connection.close()
    server.close()


async def test_a_checkers_certificate_does_not_pass_as_a_controllers(pki: Pki) -> None:
    checker = pki.issue("k", role="checker")
    async with Meeting(settings(pki, checker)) as meeting:
        said = await meeting.refused(settings(pki, checker))
    assert said == "the certificate of k is a checker's (OU), not a controller's"


async def test_a_controllers_certificate_does_not_pass_as_a_checkers_and_its_owner_is_told(pki: Pki) -> None:
    controller, roleless = pki.issue("c1", role="controller"), pki.issue("x")
    async with Meeting(settings(pki, controller)) as meeting:
        said = await meeting.refused(settings(pki, controller))
        assert said == "refused by the other end: the certificate of c1 is a controller's (OU), not a checker's"
        assert "names no role" in await meeting.refused(settings(pki, roleless))
        await meeting.refused(settings(pki, controller))
        assert meeting.streams.refused == {"role": 3}
        assert (await meeting.noted()).startswith("127.0.0.1: the certificate of c1")
        assert (await meeting.noted()).startswith("127.0.0.1: the certificate of x")
        assert meeting.refusals.empty()  # the same once more is not worth a line


async def test_an_expired_client_certificate_is_refused_and_both_ends_say_so(pki: Pki) -> None:
    controller, checker = pki.issue("c1", role="controller"), pki.issue("k", role="checker", expired=True)
    async with Meeting(settings(pki, controller)) as meeting:
        said = await meeting.refused(settings(pki, checker))
        assert "expired" in said
        assert checker.cert_file in said
        assert await meeting.noted() == "127.0.0.1: the other end's certificate has expired: renew it there"


async def test_an_expired_server_certificate_is_refused(pki: Pki) -> None:
    controller, checker = pki.issue("c1", role="controller", expired=True), pki.issue("k", role="checker")
    async with Meeting(settings(pki, controller)) as meeting:
        assert await meeting.refused(settings(pki, checker)) == (
            "the other end's certificate has expired: renew it there"
        )


async def test_certificates_of_another_ca_are_refused_at_both_ends(pki: Pki, tmp_path: Path) -> None:
    other = Pki(tmp_path / "other")
    controller, checker = pki.issue("c1", role="controller"), other.issue("k", role="checker")
    async with Meeting(settings(pki, controller)) as meeting:
        said = await meeting.refused(settings(other, checker))
        assert f"not signed by the CA in {other.ca_file}" in said
        trusting = TlsSettings(pki.ca_file, checker.cert_file, checker.key_file)
        assert f"has not signed the certificate in {checker.cert_file}" in await meeting.refused(trusting)


async def test_tls_at_one_end_only_is_refused_in_words(pki: Pki) -> None:
    controller, checker = pki.issue("c1", role="controller"), pki.issue("k", role="checker")
    async with Meeting(settings(pki, controller)) as meeting:
        assert "without a word: does it expect TLS?" in await meeting.refused(None)
    async with Meeting(None) as meeting:
        said = await meeting.attempt(settings(pki, checker))
        assert said == "the other end does not speak TLS: set `tls` at both ends or at none"


async def test_a_client_without_a_certificate_gets_nothing(pki: Pki) -> None:
    controller = pki.issue("c1", role="controller")
    context = ssl.create_default_context(cafile=pki.ca_file)
    context.check_hostname = False
    async with Meeting(settings(pki, controller)) as meeting:
        host, port = split_address(meeting.address)
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        assert meeting.accepted.empty()


async def test_tls_1_2_is_refused(pki: Pki) -> None:
    controller, checker = pki.issue("c1", role="controller"), pki.issue("k", role="checker")
    context = ssl.create_default_context(cafile=pki.ca_file)
    context.check_hostname = False
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(checker.cert_file, checker.key_file)
    async with Meeting(settings(pki, controller)) as meeting:
        host, port = split_address(meeting.address)
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            await asyncio.open_connection(host, port, ssl=context)


async def test_a_client_that_says_nothing_keeps_nobody_else_waiting(pki: Pki) -> None:
    controller, checker = pki.issue("c1", role="controller"), pki.issue("k", role="checker")
    async with Meeting(settings(pki, controller)) as meeting:
        with closing(socket.create_connection(split_address(meeting.address))):
            assert not isinstance(await meeting.attempt(settings(pki, checker)), str)


async def test_a_renewed_certificate_is_used_for_new_connections_without_a_restart(pki: Pki) -> None:
    controller = pki.issue("c1", role="controller", expired=True)
    checker = pki.issue("k", role="checker")
    client = TlsStreams(settings(pki, checker))
    async with Meeting(settings(pki, controller)) as meeting:
        with pytest.raises(ConnectionError, match="has expired"):
            await client.connect(meeting.address)
        pki.issue("c1", role="controller")
        first = await client.connect(meeting.address)
        pki.issue("k", role="checker", expired=True)
        with pytest.raises(ConnectionError, match="has expired"):
            await client.connect(meeting.address)
        first.write(b"still here")
        far = await asyncio.wait_for(meeting.accepted.get(), 10)
        assert await far.read() == b"still here"


async def test_new_files_that_cannot_be_used_leave_the_old_certificate_in_use(pki: Pki) -> None:
    controller, checker = pki.issue("c1", role="controller"), pki.issue("k", role="checker")
    async with Meeting(settings(pki, controller)) as meeting:
        spoil(controller.cert_file)
        assert not isinstance(await meeting.attempt(settings(pki, checker)), str)
        assert not isinstance(await meeting.attempt(settings(pki, checker)), str)
        assert controller.cert_file in await meeting.noted()
        assert meeting.refusals.empty()


async def test_files_that_are_missing_mixed_up_or_no_pem_are_named(pki: Pki, tmp_path: Path) -> None:
    one, other = pki.issue("one", role="checker"), pki.issue("other", role="checker")
    ca = pki.ca_file
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nothing")
    cases = {
        "/nowhere/ca.crt: No such file": TlsSettings("/nowhere/ca.crt", one.cert_file, one.key_file),
        f"{other.key_file} is not the key of {one.cert_file}": TlsSettings(ca, one.cert_file, other.key_file),
        f"{nonsense}: no certificate in PEM form": TlsSettings(str(nonsense), one.cert_file, one.key_file),
        f"{nonsense}, {one.key_file}: no certificate and": TlsSettings(ca, str(nonsense), one.key_file),
    }

    async def on_connect(stream: Stream) -> None:
        stream.close()

    for words, tls in cases.items():
        with pytest.raises(EnvironmentLackError) as lack:
            await TlsStreams(tls).listen(free_address(), on_connect)
        assert words in lack.value.message
        assert lack.value.hint
        with pytest.raises(ConnectionError) as failure:
            await TlsStreams(tls).connect(free_address())
        assert words in str(failure.value)


async def test_without_tls_only_loopback_is_used() -> None:
    async def on_connect(stream: Stream) -> None:
        stream.close()

    for address in ("0.0.0.0:7946", "10.1.9.10:7946", "[::]:7946", "example.org:7946"):
        with pytest.raises(EnvironmentLackError, match="not without TLS"):
            await TlsStreams(None).listen(address, on_connect)
        with pytest.raises(ConnectionError, match="not without TLS"):
            await TlsStreams(None).connect(address)


@pytest.mark.parametrize("address", ["", "10.1.9.10", "10.1.9.10:", "10.1.9.10:http", "fd00::1:80", "h:0", "h:65536"])
def test_what_is_no_address_is_said_to_be_none(address: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|brackets"):
        split_address(address)


def test_ipv6_addresses_are_in_brackets() -> None:
    assert split_address("[fd00::1]:7946") == ("fd00::1", 7946)


async def test_an_address_of_another_host_is_named(pki: Pki) -> None:
    async def on_connect(stream: Stream) -> None:
        stream.close()

    controller = pki.issue("c1", role="controller")
    with pytest.raises(EnvironmentLackError, match=r"192\.0\.2\.1:7946"):
        await TlsStreams(settings(pki, controller)).listen("192.0.2.1:7946", on_connect)


@pytest.mark.root
def test_a_peer_that_vanishes_without_a_word_is_noticed_within_four_seconds(pki: Pki) -> None:
    """The link goes away under an open connection, in a namespace of a child process of its own."""
    controller, checker = pki.issue("c1", role="controller"), pki.issue("k", role="checker")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = asyncio.run(_vanishing(settings(pki, controller), settings(pki, checker)))
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


async def _vanishing(controller: TlsSettings, checker: TlsSettings) -> int:
    """0 when the end was seen in time. Loopback goes down, so nothing is acknowledged, and nobody is told."""
    _unshare_net()
    _ip("link", "set", "lo", "up")
    accepted: asyncio.Queue[Stream] = asyncio.Queue()

    async def on_connect(stream: Stream) -> None:
        accepted.put_nowait(stream)

    listener = await TlsStreams(controller).listen("127.0.0.1:7946", on_connect)
    near = await TlsStreams(checker).connect("127.0.0.1:7946")
    await accepted.get()
    _ip("link", "set", "lo", "down")
    try:
        return 0 if await asyncio.wait_for(near.read(), 4.5) == b"" else 2
    except TimeoutError:
        return 3
    finally:
        listener.close()


def _unshare_net() -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000):  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "unshare")


def _ip(*arguments: str) -> None:
    import subprocess

    subprocess.run(["ip", *arguments], check=True)
