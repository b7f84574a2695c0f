"""Reads configuration files."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from netctl.config.checker import parse_checker
from netctl.config.controller import parse_controller
from netctl.config.gateway import parse_gateway
from netctl.config.problem import ConfigError, Problem
from netctl.config.reader import MAX_BYTES
from netctl.model.controller import Checker, Controller, TlsSettings
from netctl.model.gateway import Gateway


def load_gateway(path: str | Path) -> Gateway:
    """The gateway file at ``path``, validated. Raises ConfigError (exit code 2) with every problem in it."""
    return parse_gateway(read_text(path), str(path))


def load_controller(path: str | Path) -> Controller:
    """The controller file at ``path``, validated; its paths are absolute, its identity is set. Raises ConfigError."""
    folder = str(Path(path).absolute().parent)
    return parse_controller(read_text(path), str(path), folder=folder, hostname=os.uname().nodename)


def load_checker(path: str | Path) -> Checker:
    """The checker file at ``path``, validated; its paths are absolute. Raises ConfigError."""
    return parse_checker(read_text(path), str(path), folder=str(Path(path).absolute().parent))


def absent_files(settings: Controller | Checker) -> list[str]:
    """The files that the settings name and that are not there now: they may come later, so that is no mistake."""
    if isinstance(settings, Checker):
        named = _tls_files(settings.tls)
    else:
        etcds = [source.etcd for source in settings.sources if source.etcd is not None]
        named = [
            *(source.file.path for source in settings.sources if source.file is not None),
            *(file for etcd in etcds for file in (etcd.ca_file, etcd.cert_file, etcd.key_file, etcd.password_file)),
            *(cluster.kubeconfig for cluster in settings.clusters),
            *_tls_files(settings.checkers.tls if settings.checkers is not None else None),
        ]
    return [path for path in dict.fromkeys(named) if path is not None and not Path(path).exists()]


def _tls_files(tls: TlsSettings | None) -> list[str | None]:
    return [tls.ca_file, tls.cert_file, tls.key_file] if tls is not None else []


def read_text(path: str | Path) -> str:
    """The text of a file. Raises ConfigError when it cannot be read, is no regular file, too long, or not UTF-8."""
    source = str(path)
    try:
        # Not blocking: a FIFO without a writer must not hang the command.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        kind = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(kind):
            os.close(descriptor)
            what = "is a directory; name the file in it" if stat.S_ISDIR(kind) else "is no regular file"
            raise _whole(source, what)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _whole(source, f"cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise _whole(ascii(source), "is no possible file name") from None
    return _decode(data, source)


def read_standard_input() -> str:
    """The text that standard input holds, as of a file called ``-``. Raises ConfigError as ``read_text`` does."""
    try:
        return _decode(sys.stdin.buffer.read(MAX_BYTES + 1), "-")
    except OSError as error:
        raise _whole("-", f"cannot be read: {error.strerror or error}") from None


def _decode(data: bytes, source: str) -> str:
    if len(data) > MAX_BYTES:
        raise _whole(source, f"is longer than {MAX_BYTES // 1024} KiB; that is no configuration file")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = len(data[data.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")) + 1
        what = f"byte 0x{data[error.start]:02x} is not UTF-8; that is no text file, or one in another encoding"
        raise ConfigError(source, [Problem(line, column, "", what, source=source)]) from None


def _whole(source: str, what: str) -> ConfigError:
    return ConfigError(source, [Problem(0, 0, "", what, source=source)])
