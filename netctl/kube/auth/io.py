"""How to reach a cluster and as whom: its kubeconfig, read with the ``kubernetes`` library.

Tokens (given, in a file, of an exec plugin, OIDC), client certificates, and the ServiceAccount of a pod. Everything is
read again when one of its files has changed and before it expires.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kubernetes.aio.config import exec_provider, kube_config
from kubernetes.aio.config.incluster_config import SERVICE_CERT_FILENAME, SERVICE_TOKEN_FILENAME

from netctl.kube.answers import expiry_of, one_line
from netctl.model.controller import ClusterSettings
from netctl.model.kube import DeniedError, KubeError, UnreachableError

_LOADER: Any = kube_config.KubeConfigLoader
_MERGER: Any = kube_config.KubeConfigMerger
_EXEC: Any = exec_provider.ExecProvider

IN_CLUSTER = "in-cluster"
"""A kubeconfig of this name that does not exist as a file means: the ServiceAccount of this pod."""
_EXEC_TIMEOUT_S = 30.0
_LOOK_AT_FILES_EVERY_S = 1.0
_REFUSED_AGAIN_S = 2.0
_RENEW_BEFORE_S = 60.0
"""Credentials are read again this long before they expire, but not more often than each second."""


@dataclass(frozen=True, slots=True)
class Access:
    """Everything a request needs. ``authorization`` is a header's value, "" for none; never show it."""

    url: str
    tls: ssl.SSLContext | None
    authorization: str = field(default="", repr=False)
    server_name: str | None = None
    proxy: str | None = None
    expires_wall: float | None = None
    """When the token ends; None: it does not say."""
    files: tuple[str, ...] = ()


class Credentials:
    """The access to one cluster, kept fresh."""

    def __init__(self, cluster: ClusterSettings) -> None:
        self._cluster = cluster
        self._access: Access | None = None
        self._stamps: dict[str, tuple[int, int, int]] = {}
        self._looked_s = 0.0
        self._read_s = 0.0
        self._reading = asyncio.Lock()

    async def access(self) -> Access:
        """Raises UnreachableError for a kubeconfig that is of no use, DeniedError for credentials it cannot give."""
        known = self._access
        if known is not None and not self._is_stale(known):
            return known
        async with self._reading:
            if self._access is not None and self._access is not known:
                return self._access  # another request has read it meanwhile
            try:
                self._access = await _read(self._cluster)
            except KubeError:
                if known is None or self._access is None or _has_ended(known):
                    raise
                return known  # a file that is being edited, a plugin that is away: what we have is still good
            self._stamps = _stamps(self._access.files)
            self._looked_s = self._read_s = time.monotonic()
            return self._access

    def differ(self, access: Access) -> bool:
        """That access was refused: whether it is worth another attempt, with what is read then. A plugin is not asked
        again within two seconds: many requests may be refused at once."""
        if self._access is not access:
            return True
        if _stamps(access.files) == self._stamps and time.monotonic() - self._read_s < _REFUSED_AGAIN_S:
            return False
        self._access = None
        return True

    def refusal(self) -> str:
        """What to do about an answer 401, in words."""
        access = self._access
        if access is not None and _has_ended(access):
            ended = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(access.expires_wall))
            return f"the token in {self._cluster.kubeconfig} expired at {ended}: put a new one there"
        return (
            f"its token or client certificate is expired or not of this cluster: renew it in {self._cluster.kubeconfig}"
        )

    def _is_stale(self, access: Access) -> bool:
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_AT_FILES_EVERY_S:
            return False
        self._looked_s = now_s
        if access.expires_wall is not None and time.time() > access.expires_wall - _RENEW_BEFORE_S:
            return True
        return _stamps(access.files) != self._stamps


def _has_ended(access: Access) -> bool:
    return access.expires_wall is not None and access.expires_wall <= time.time()


async def _read(cluster: ClusterSettings) -> Access:
    kubeconfig = cluster.kubeconfig
    if _means_in_cluster(Path(kubeconfig)):
        return _in_cluster(cluster)
    with _explained(cluster, f"cannot use {kubeconfig}"):
        loader = _load(kubeconfig, cluster.context)
    with _explained(cluster, f"{kubeconfig}: no credentials", DeniedError):
        async with asyncio.timeout(_EXEC_TIMEOUT_S):
            given = await _credentials(loader)
    with _explained(cluster, f"cannot use {kubeconfig}"):
        return _access(loader, kubeconfig, given)


def _means_in_cluster(kubeconfig: Path) -> bool:
    return kubeconfig.name == IN_CLUSTER and not kubeconfig.exists()


def _load(kubeconfig: str, context: str | None) -> Any:
    Path(kubeconfig).read_bytes()  # the library only warns of a file that is missing or that it may not read
    return _LOADER(_MERGER(kubeconfig).config, active_context=context, config_base_path=None)


@dataclass(frozen=True, slots=True)
class _Given:
    """What the user section gave: a header's value, or certificate and key as PEM, and when it ends."""

    authorization: str = ""
    certificate: str = ""
    key: str = ""
    expires_wall: float | None = None


async def _credentials(loader: Any) -> _Given:
    user = loader._user
    if user is None or "exec" not in user:
        await loader._load_authentication()
        return _Given(" ".join(getattr(loader, "token", "").split()))
    # Not by the library's own method, which logs what went wrong and goes on without credentials.
    status = await _EXEC(user["exec"]).run()
    expires = status.get("expirationTimestamp")
    expires_wall = datetime.fromisoformat(expires).timestamp() if expires else None
    if status.get("token"):
        return _Given(f"Bearer {status['token']}", expires_wall=expires_wall)
    if not (status.get("clientCertificateData") and status.get("clientKeyData")):
        raise ValueError("the exec plugin gave neither a token nor a certificate with its key")
    return _Given("", status["clientCertificateData"], status["clientKeyData"], expires_wall)


def _access(loader: Any, kubeconfig: str, given: _Given) -> Access:
    cluster: dict[str, Any] = loader._cluster.value
    user: dict[str, Any] = loader._user.value if loader._user is not None else {}
    folder = Path(kubeconfig).parent
    url = _checked_url(cluster)
    tls = None
    if url.startswith("https:"):
        tls = _tls(_text(cluster, "certificate-authority", folder))
        certificate = given.certificate or _text(user, "client-certificate", folder)
        key = given.key or _text(user, "client-key", folder)
        if certificate or key:
            _add_certificate(tls, certificate, key)
    expires_wall = given.expires_wall or expiry_of(given.authorization.removeprefix("Bearer "))
    names = (
        (cluster, "certificate-authority"),
        *((user, n) for n in ("client-certificate", "client-key", "tokenFile")),
    )
    files = [str(folder / source[name]) for source, name in names if source.get(name)]
    server_name, proxy = cluster.get("tls-server-name"), cluster.get("proxy-url")
    return Access(url, tls, given.authorization, server_name, proxy, expires_wall, (kubeconfig, *files))


def _add_certificate(tls: ssl.SSLContext, certificate: str, key: str) -> None:
    if not (certificate and key):
        raise ValueError("a client certificate needs both client-certificate and client-key")
    with _in_memory(certificate) as certificate_file, _in_memory(key) as key_file:
        try:
            tls.load_cert_chain(certificate_file, key_file)
        except (OSError, ssl.SSLError) as error:
            raise ValueError(f"client certificate and key do not fit each other, or are none ({error})") from None


def _text(source: dict[str, Any], name: str, folder: Path) -> str:
    """What NAME-data gives, or the file NAME, relative to the kubeconfig; "" without either."""
    if source.get(f"{name}-data"):
        return base64.b64decode(source[f"{name}-data"], validate=True).decode()
    return (folder / source[name]).read_text() if source.get(name) else ""


def _checked_url(cluster: dict[str, Any]) -> str:
    url = str(cluster.get("server", "")).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError(f"server is {url!r}, which is no https:// URL")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError(f"server is {url!r}: without TLS only this machine's own addresses are allowed")
    if cluster.get("insecure-skip-tls-verify"):
        raise ValueError("insecure-skip-tls-verify is set, and netctl always verifies: give certificate-authority")
    return url


def _tls(authority: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=authority or None)
    except ssl.SSLError as error:
        raise ValueError(f"certificate-authority holds no certificate ({error})") from None


def _in_cluster(cluster: ClusterSettings) -> Access:
    with _explained(cluster, "cannot use this pod's ServiceAccount"):
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
        if not host or not port:
            raise ValueError("KUBERNETES_SERVICE_HOST and _PORT are not set: this is no pod; name a kubeconfig file")
        token = Path(SERVICE_TOKEN_FILENAME).read_text().strip()
        tls = _tls(Path(SERVICE_CERT_FILENAME).read_text())
        url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        files = (SERVICE_TOKEN_FILENAME, SERVICE_CERT_FILENAME)
        return Access(url, tls, f"Bearer {token}", expires_wall=expiry_of(token), files=files)


@contextmanager
def _explained(
    cluster: ClusterSettings, what: str, kind: type[UnreachableError] | type[DeniedError] = UnreachableError
) -> Iterator[None]:
    """Whatever the library raises becomes one line."""
    try:
        yield
    except TimeoutError:
        raise kind(f"cluster {cluster.name}: {what}: the exec plugin took over {_EXEC_TIMEOUT_S:.0f} s") from None
    except FileNotFoundError as error:
        raise kind(f"cluster {cluster.name}: {what}: {error.filename} does not exist") from None
    except OSError as error:
        raise kind(f"cluster {cluster.name}: {what}: {error.strerror or error}") from None
    except (AttributeError, TypeError, KeyError):
        raise kind(f"cluster {cluster.name}: {what}: it is no well-formed kubeconfig") from None
    except Exception as error:  # the library's, of many kinds
        raise kind(f"cluster {cluster.name}: {what}: {one_line(str(error))}") from None


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """A file that is on no disk: ssl wants paths."""
    descriptor = os.memfd_create("netctl-pem", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _stamps(files: tuple[str, ...]) -> dict[str, tuple[int, int, int]]:
    stamps = {}
    for name in files:
        try:
            stat = Path(name).stat()
        except OSError:
            continue
        stamps[name] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return stamps
