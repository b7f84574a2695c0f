"""One HTTP request to an API server: the session, the credentials, and what is said when nobody can be reached."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from netctl.kube import answers
from netctl.kube.auth.io import Access, Credentials
from netctl.model.controller import ClusterSettings
from netctl.model.kube import DeniedError, KubeError, UnreachableError


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait for what, in seconds."""

    connect_s: float = 2.0
    request_s: float = 5.0
    lease_s: float = 1.0
    list_s: float = 30.0
    watch_s: float = 180.0
    """How long the server should keep a watch; the actual time is drawn between this and the double."""
    grace_s: float = 10.0
    """A watch that neither brought anything for its whole time and this, nor was ended, is dead. (No bookmark can be
    counted on: the API server sends none for objects that it has not seen change. A connection whose other end is gone
    is noticed sooner, by the kernel.)"""


class _DistrustedError(UnreachableError):
    """The API server's certificate was refused."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request."""

    method: str
    path: str
    params: Mapping[str, str]
    body: bytes | None
    timeout: aiohttp.ClientTimeout


class Transport:
    """``where`` begins each message. The session is opened with the first request."""

    def __init__(self, cluster: ClusterSettings, limits: Limits) -> None:
        self.where = f"cluster {cluster.name}"
        self.credentials = Credentials(cluster)
        self._cluster = cluster
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def close(self) -> None:
        """Idempotent."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def request(self, call: Call) -> aiohttp.ClientResponse:
        """The answer's beginning. Raises UnreachableError when surely nothing was sent; aiohttp's errors otherwise.

        401, like a certificate that cannot be trusted, says that nothing was done: so where credentials or authority
        are others now, it is asked once more, also for writes.
        """
        access = await self.credentials.access()
        try:
            response = await self._request_as(access, call)
            if response.status != 401 or not self.credentials.differ(access):
                return response
            response.release()
        except _DistrustedError:
            if not self.credentials.differ(access):
                raise
        return await self._request_as(await self.credentials.access(), call)

    async def _request_as(self, access: Access, call: Call) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", "User-Agent": "netctl"}
        if access.authorization:
            headers["Authorization"] = access.authorization
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        try:
            return await self._opened().request(
                call.method,
                access.url + call.path,
                params=call.params,
                data=call.body,
                headers=headers,
                timeout=call.timeout,
                ssl=access.tls if access.tls is not None else True,
                server_hostname=access.server_name,
                proxy=access.proxy,
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            distrusted = isinstance(error, aiohttp.ClientConnectorCertificateError)
            kind = _DistrustedError if distrusted else UnreachableError
            raise kind(f"{self.where}: {self._cannot_connect(access, error)}") from None
        except (aiohttp.InvalidURL, ValueError) as error:
            raise UnreachableError(f"{self.where}: {access.url}: {reason(error)}") from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise UnreachableError(f"{self.where}: closed")
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0, socket_factory=_socket)
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session

    async def refused(self, response: aiohttp.ClientResponse, where: str, *, writing: bool) -> KubeError:
        """The error that an answer of 400 and more means."""
        error = answers.error(
            response.status,
            await response.read(),
            where,
            writing=writing,
            retry_after=response.headers.get("Retry-After"),
        )
        if response.status == 401:
            return DeniedError(f"{self.where}: not accepted (401): {self.credentials.refusal()}", 401)
        if response.status == 403:
            hint = f"give the user of {self._cluster.kubeconfig} that right in namespace {self._cluster.namespace}"
            return DeniedError(f"{error}; {hint}", 403)
        return error

    def _cannot_connect(self, access: Access, error: Exception) -> str:
        url, kubeconfig = access.url, self._cluster.kubeconfig
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return f"{url} does not answer within {self._limits.connect_s:g} s"
        cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = cause.verify_message
            if "expired" in why:
                return f"the certificate of {url} has expired: renew it on the API server"
            return f"the certificate of {url} is not to be trusted ({why}): see certificate-authority in {kubeconfig}"
        if isinstance(cause, ConnectionRefusedError):
            return f"{url} refuses connections: no API server runs there (server in {kubeconfig})"
        return f"cannot connect to {url}: {reason(cause)}"


def reason(error: Exception) -> str:
    """What an exception says, in one line."""
    strerror = getattr(error, "strerror", None)
    return answers.one_line(str(strerror or error) or type(error).__name__)


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A connection whose other end is gone is noticed in some 5 s, also where nothing is sent (watches)."""
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    for level, option, value in (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5000),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    ):
        sock.setsockopt(level, option, value)
    return sock
