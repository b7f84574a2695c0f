"""An etcd's keys below a prefix, over its JSON gateway (etcd 3.4 and later).

A key that had a lease is put back under that lease alone: when it has ended meanwhile, so has what the key stood for,
or whoever registered has done so anew. What is there again is left as it is.
"""

from __future__ import annotations

import errno
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any

from netctl.fault.faults import RegistryBefore, RegistryKey, RegistryWipe
from netctl.model.errors import EnvironmentLackError
from netctl.model.netns.io import network_namespace

_WITHIN_S = 3.0
_PAGE = 1000
_BATCH = 100
"""Puts in one transaction; etcd takes 128."""
Answer = dict[str, Any]


class RefusedByEtcdError(Exception):
    """etcd answers with an error."""


class Etcd:
    """One connection."""

    def __init__(self, link: HTTPConnection, where: str) -> None:
        self._link = link
        self._where = where

    def ask(self, path: str, body: Answer) -> Answer:
        """Raises RefusedByEtcdError, or OSError when it does not answer."""
        try:
            self._link.request("POST", f"/v3/{path}", json.dumps(body), {"Content-Type": "application/json"})
            response = self._link.getresponse()
            said = response.read()
        except HTTPException as error:
            raise OSError(errno.EPROTO, f"etcd {self._where}: {error}") from None
        if response.status != 200:
            raise RefusedByEtcdError(f"etcd {self._where}: {path}: {said[:200].decode('utf-8', 'replace').strip()}")
        answer: Answer = json.loads(said)
        return answer


@contextmanager
def connected(fault: RegistryWipe) -> Iterator[Etcd]:
    """Raises OSError when it cannot be reached."""
    link = HTTPConnection(fault.endpoint, timeout=_WITHIN_S)
    with network_namespace(fault.netns):
        link.connect()
    try:
        yield Etcd(link, fault.endpoint)
    finally:
        link.close()


def capture(fault: RegistryWipe) -> RegistryBefore:
    """Raises EnvironmentLackError when it cannot be read, or holds nothing."""
    try:
        with connected(fault) as etcd:
            before = _read(etcd, fault.prefix.encode())
    except (OSError, RefusedByEtcdError) as error:
        raise EnvironmentLackError(
            f"the registry {fault.endpoint} cannot be read: {error}", "netctl lab status"
        ) from None
    if not before.keys:
        raise EnvironmentLackError(
            f"the registry {fault.endpoint} holds nothing below {fault.prefix}", "netctl sources shows what it holds"
        )
    return before


def wipe(fault: RegistryWipe, before: RegistryBefore) -> None:
    """Delete what was saved: refused when anything has changed since. Raises OSError."""
    prefix = fault.prefix.encode()
    span = {"key": _text(prefix), "range_end": _text(_end(prefix))}
    unchanged = {**span, "target": "MOD", "result": "LESS", "mod_revision": str(before.revision + 1)}
    body = {"compare": [unchanged], "success": [{"request_delete_range": span}]}
    try:
        with connected(fault) as etcd:
            if not etcd.ask("kv/txn", body).get("succeeded"):
                raise OSError(errno.EAGAIN, "the registry has changed since it was saved: try again")
    except RefusedByEtcdError as error:
        raise OSError(errno.EPROTO, str(error)) from None


def put_back(fault: RegistryWipe, before: RegistryBefore) -> list[str]:
    """Put back what is missing; what could not be, in words."""
    try:
        with connected(fault) as etcd:
            missing = _missing(etcd, fault, before)
            for first in range(0, len(missing), _BATCH):
                _put(etcd, missing[first : first + _BATCH])
            left = _missing(etcd, fault, before) if missing else []
    except (OSError, RefusedByEtcdError) as error:
        return [f"the registry {fault.endpoint} is not what it was: {error}"]
    return [f"{entry.key.decode(errors='replace')} is missing in the registry {fault.endpoint}" for entry in left]


def _missing(etcd: Etcd, fault: RegistryWipe, before: RegistryBefore) -> list[RegistryKey]:
    there = {entry.key for entry in _read(etcd, fault.prefix.encode()).keys}
    return [entry for entry in before.keys if entry.key not in there and _may_be_put(etcd, entry)]


def _read(etcd: Etcd, prefix: bytes) -> RegistryBefore:
    """Page by page, all from one revision."""
    keys: list[RegistryKey] = []
    body: Answer = {"key": _text(prefix), "range_end": _text(_end(prefix)), "limit": str(_PAGE)}
    while True:
        answer = etcd.ask("kv/range", body)
        revision = int(body.get("revision") or answer["header"]["revision"])
        keys += [
            RegistryKey(b64decode(kv["key"]), b64decode(kv.get("value", "")), int(kv.get("lease", 0)))
            for kv in answer.get("kvs", [])
        ]
        if not answer.get("more"):
            return RegistryBefore(revision, tuple(keys))
        body |= {"key": _text(keys[-1].key + b"\0"), "revision": str(revision)}


def _may_be_put(etcd: Etcd, entry: RegistryKey) -> bool:
    """Whether its lease lives, if it had one."""
    # A lease that has ended has the TTL -1.
    return entry.lease == 0 or int(etcd.ask("lease/timetolive", {"ID": str(entry.lease)}).get("TTL", -1)) > 0


def _put(etcd: Etcd, entries: Sequence[RegistryKey]) -> None:
    """All at once if none of them is there by now, else each that is not."""
    body = {
        "compare": [
            {"key": _text(e.key), "target": "CREATE", "result": "EQUAL", "create_revision": "0"} for e in entries
        ],
        "success": [
            {"request_put": {"key": _text(e.key), "value": _text(e.value), "lease": str(e.lease)}} for e in entries
        ],
    }
    try:
        done = bool(etcd.ask("kv/txn", body).get("succeeded"))
    except RefusedByEtcdError:  # a lease has ended just now
        done = False
    if not done and len(entries) > 1:
        for entry in entries:
            _put(etcd, [entry])


def _end(prefix: bytes) -> bytes:
    """The first key that does not begin with the prefix; ``\\0``: there is none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else b"\0"


def _text(data: bytes) -> str:
    return b64encode(data).decode()
