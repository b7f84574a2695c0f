"""A small client of etcd's JSON gateway."""

from __future__ import annotations

import errno
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec

from netctl.ipc.lines import Lines
from netctl.model.controller import EtcdSource
from netctl.names.etcd.wire import (
    DeleteReply,
    ErrorReply,
    LeaseReply,
    LeaseStream,
    PutReply,
    RangeReply,
    TokenReply,
    WatchLine,
    WatchReply,
    entry,
    prefix_end,
)

ANSWER_S = 2.0
"""How long an answer may take; a page of a list may take five times as long."""
_PAGE = 1_000
_COMPACTED, _UNAUTHENTICATED = 11, 16
_Reply = TypeVar("_Reply")


class EtcdError(Exception):
    """etcd did not do what it was asked. ``str()`` is one line for people. ``again``: it can be read, but has to be
    read from the start."""

    def __init__(self, reason: str, code: int = 0, *, again: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.again = again


class EtcdClient:
    """One endpoint. Every method raises EtcdError. Keys are texts, with surrogates for bytes that are no UTF-8."""

    def __init__(self, settings: EtcdSource, endpoint: str = "") -> None:
        """``endpoint``: one of the settings', "" for the first."""
        self.endpoint = (endpoint or settings.endpoints[0]).rstrip("/")
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._token = ""

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def range(self, prefix: str, limit: int = 0) -> tuple[list[tuple[str, bytes]], int]:
        """All keys with a prefix (its rest) and their values, at one revision, and that revision; page by page."""
        start, end = key_bytes(prefix), prefix_end(key_bytes(prefix))
        key, revision, found = start or b"\0", 0, []
        while True:
            body = {"key": key, "range_end": end, "limit": limit or _PAGE, "revision": revision}
            page = await self._ask("kv/range", body, RangeReply, timeout_s=5 * ANSWER_S)
            revision = revision or int(page.header.revision)
            found += [entry(kv, start) for kv in page.kvs]
            if limit or not page.more or not page.kvs:
                return found, revision
            key = page.kvs[-1].key + b"\0"

    async def count(self, prefix: str) -> tuple[int, int]:
        """(how many keys have a prefix, the revision)."""
        start = key_bytes(prefix)
        body = {"key": start or b"\0", "range_end": prefix_end(start), "count_only": True}
        reply = await self._ask("kv/range", body, RangeReply)
        return int(reply.count), int(reply.header.revision)

    async def written_between(self, prefix: str, first: int, last: int) -> bool:
        """Whether a key with a prefix has its latest value from one of these revisions."""
        start = key_bytes(prefix)
        body = {
            "key": start or b"\0",
            "range_end": prefix_end(start),
            "keys_only": True,
            "limit": 1,
            "min_mod_revision": first,
            "max_mod_revision": last,
        }
        return bool((await self._ask("kv/range", body, RangeReply)).kvs)

    async def put(self, key: str, value: bytes, lease: int = 0) -> int:
        """The revision of the write."""
        body = {"key": key_bytes(key), "value": value, "lease": lease}
        return int((await self._ask("kv/put", body, PutReply)).header.revision)

    async def delete(self, key: str, *, prefix: bool = False) -> int:
        """How many keys were deleted, all in one revision. ``prefix``: every key that begins so."""
        body = {"key": key_bytes(key)}
        if prefix:
            body = {"key": key_bytes(key) or b"\0", "range_end": prefix_end(key_bytes(key))}
        return int((await self._ask("kv/deleterange", body, DeleteReply)).deleted)

    async def compact(self, revision: int) -> None:
        await self._ask("kv/compaction", {"revision": revision}, PutReply)

    async def grant(self, ttl_s: int) -> int:
        """A new lease."""
        return int((await self._ask("lease/grant", {"TTL": ttl_s}, LeaseReply)).ID)

    async def keep_alive(self, lease: int) -> int:
        """Seconds that the lease has now; 0: it is gone."""
        return int((await self._ask("lease/keepalive", {"ID": lease}, LeaseStream)).result.TTL)

    async def revoke(self, lease: int) -> None:
        """End a lease; its keys go with it."""
        await self._ask("lease/revoke", {"ID": lease}, LeaseReply)

    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[WatchReply, None]:
        """What happens to keys with a prefix from a revision on; the first reply says ``created``. Never just ends."""
        start, end = key_bytes(prefix), prefix_end(key_bytes(prefix))
        body = {"create_request": {"key": start or b"\0", "range_end": end, "start_revision": revision}}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=ANSWER_S)
        try:
            answer = await self._post("watch", body, timeout)
            async with answer:
                if answer.status != 200:
                    raise _refusal(answer.status, await answer.read())
                lines = Lines()
                async for data in answer.content.iter_any():
                    for line in lines.feed(data):
                        yield _watch_reply(line)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EtcdError(words(error)) from None
        raise EtcdError("closed the connection")

    async def _ask(self, path: str, body: Any, reply: type[_Reply], timeout_s: float = ANSWER_S) -> _Reply:
        try:
            return await self._ask_once(path, body, reply, timeout_s)
        except EtcdError as error:
            if error.code != _UNAUTHENTICATED or not self._token:
                raise
            self._token = ""  # it has expired: once more with a new one
        return await self._ask_once(path, body, reply, timeout_s)

    async def _ask_once(self, path: str, body: Any, reply: type[_Reply], timeout_s: float) -> _Reply:
        try:
            answer = await self._post(path, body, aiohttp.ClientTimeout(total=timeout_s))
            async with answer:
                data = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EtcdError(words(error, timeout_s)) from None
        if answer.status != 200:
            raise _refusal(answer.status, data)
        return _decode(data, reply)

    async def _post(self, path: str, body: Any, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=_tls(self._settings) if self.endpoint.startswith("https") else True)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        if self._settings.username is not None and not self._token and path != "auth/authenticate":
            login = {"name": self._settings.username, "password": _password(self._settings)}
            self._token = (await self._ask_once("auth/authenticate", login, TokenReply, ANSWER_S)).token
        headers = {"Content-Type": "application/json", **({"Authorization": self._token} if self._token else {})}
        url = f"{self.endpoint}/v3/{path}"
        # No redirects: they would carry the password to whoever they name.
        return await self._session.post(
            url, data=msgspec.json.encode(body), headers=headers, timeout=timeout, allow_redirects=False
        )


def key_bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def _decode(data: bytes, reply: type[_Reply]) -> _Reply:
    try:
        return msgspec.json.decode(data, type=reply)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise EtcdError("answers with something else than etcd's JSON; is this etcd's client port?") from None


def _watch_reply(line: bytes) -> WatchReply:
    said = _decode(line, WatchLine)
    if said.result is None:
        raise EtcdError(said.error.message if said.error is not None else "has ended the watch")
    return said.result


def _refusal(status: int, data: bytes) -> EtcdError:
    try:
        said = msgspec.json.decode(data, type=ErrorReply)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = ErrorReply()
    if not said.message:
        return EtcdError(f"answers with HTTP status {status}; is this etcd's client port (version 3.4 or later)?")
    message = said.message.removeprefix("etcdserver: ")
    hint = next((hint for words, hint in _HINTS.items() if words in message), "")
    return EtcdError(f"refuses: {message}{hint}", said.code, again=said.code == _COMPACTED)


_HINTS = {
    "user name is empty": "; it wants a username and a password_file",
    "invalid user ID or password": "; correct username or password_file",
    "permission denied": "; grant this user read permission for the prefix",
}


def words(error: Exception, timeout_s: float = ANSWER_S) -> str:
    """A failed connection or request, for people."""
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=reason):
            why = getattr(reason, "verify_message", "") or str(reason)
            said = f"shows a certificate that is refused ({why}); check ca_file, the certificate's names and dates"
        case aiohttp.ClientConnectorDNSError():
            said = "has a name that cannot be resolved"
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            reason = getattr(error, "os_error", error)
            said = f"does not speak TLS with us ({getattr(reason, 'reason', None) or reason})"
        case aiohttp.ClientConnectorError(os_error=reason) if reason.errno == errno.ECONNREFUSED:
            said = "refuses the connection; is etcd running there?"
        case aiohttp.ClientConnectorError(os_error=reason):
            said = f"cannot be reached: {reason.strerror or reason}"
        case aiohttp.ClientOSError(__cause__=ssl.SSLError(reason=reason)):
            alert = str(reason).rpartition("ALERT_")[2].replace("_", " ").lower()
            said = f"does not accept us by TLS ({alert}); it wants a certificate that it trusts: cert_file and key_file"
        case TimeoutError():
            said = f"does not answer within {timeout_s:g} s"
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | ConnectionError():
            said = "closed the connection"
        case _:
            said = f"cannot be used: {error or type(error).__name__}"
    return said


def _tls(settings: EtcdSource) -> ssl.SSLContext:
    """Read anew at each connection attempt, so that renewed files count."""
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except OSError as error:  # ssl.SSLError is one
        files = ", ".join(filter(None, (settings.ca_file, settings.cert_file, settings.key_file)))
        raise EtcdError(f"cannot be asked: {error.strerror or error} ({files})") from None
    return context


def _password(settings: EtcdSource) -> str:
    if settings.password_file is None:
        return ""
    try:
        return Path(settings.password_file).read_text(encoding="utf-8").strip("\r\n")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise EtcdError(f"cannot be asked: {settings.password_file} cannot be read: {why}") from None
