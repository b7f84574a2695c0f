"""Reads certificate files, again when they have changed."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from netctl.model.controller import TlsSettings
from netctl.model.errors import EnvironmentLackError


class Contexts:
    """The TLS context of the files as they are now."""

    def __init__(self, tls: TlsSettings, note: Callable[[str], None]) -> None:
        self._tls = tls
        self._note = note
        self._seen: object = None
        self._made: tuple[ssl.SSLContext, ssl.SSLContext] | None = None

    def get(self, *, server: bool) -> ssl.SSLContext:
        """Raises EnvironmentLackError naming the file, when none of its versions was usable."""
        seen = [_version(path) for path in (self._tls.ca_file, self._tls.cert_file, self._tls.key_file)]
        if self._made is None or seen != self._seen:
            try:
                self._made = _make_context(self._tls, server=False), _make_context(self._tls, server=True)
            except EnvironmentLackError as error:
                if self._made is None:
                    raise
                self._note(f"{error.message}: {error.hint}; until then the earlier certificate is used")
            self._seen = seen
        return self._made[server]


def _version(path: str) -> tuple[int, int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _make_context(tls: TlsSettings, *, server: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_TICKET
    if server:
        context.num_tickets = 0
    for path in (tls.ca_file, tls.cert_file, tls.key_file):
        try:
            Path(path).read_bytes()
        except OSError as error:
            raise EnvironmentLackError(f"cannot read {path}: {error.strerror}", "see `tls` in the file") from None
    try:
        context.load_verify_locations(tls.ca_file)
    except ssl.SSLError:
        raise EnvironmentLackError(f"{tls.ca_file}: no certificate in PEM form", "give the CA's there") from None
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: "")
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            raise EnvironmentLackError(
                f"{tls.key_file} is not the key of {tls.cert_file}", "give the two that belong together"
            ) from None
        raise EnvironmentLackError(
            f"{tls.cert_file}, {tls.key_file}: no certificate and unencrypted key in PEM form", "issue them anew"
        ) from None
    return context
