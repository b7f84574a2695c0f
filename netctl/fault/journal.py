"""The undo journal: one JSON document for each drill, closed when nothing of its faults is left. Pure."""

from __future__ import annotations

import zlib

import msgspec
from msgspec import Struct

from netctl.fault.faults import Before, Fault, RegistryBefore


class Journal(Struct, frozen=True):
    """What was or will be done, and by when it ends.

    ``deadline_ns`` is CLOCK_MONOTONIC; namespaces do not outlive a boot, so neither does a fault.
    ``before`` has one entry per fault once captured (None where there is nothing to restore).
    """

    id: str
    drill: str
    lab: str
    runner_pid: int
    deadline_ns: int
    created_wall: float
    faults: tuple[Fault, ...]
    before: tuple[Before, ...] = ()
    open: bool = True
    closed_by: str = ""


class DamagedJournalError(Exception):
    """The document is torn or altered: what it said cannot be trusted."""


def encode(journal: Journal) -> bytes:
    """A line with the checksum (CRC-32), then the document, for people to read too."""
    body = msgspec.json.format(msgspec.json.encode(journal), indent=2)
    return b"%08x\n" % zlib.crc32(body) + body + b"\n"


def decode(data: bytes) -> Journal:
    """Raises DamagedJournalError."""
    checksum, newline, rest = data.partition(b"\n")
    body = rest.removesuffix(b"\n")
    if not newline or checksum != b"%08x" % zlib.crc32(body):
        raise DamagedJournalError("checksum does not fit")
    try:
        return msgspec.json.decode(body, type=Journal)
    except msgspec.DecodeError as error:
        raise DamagedJournalError(str(error)) from None


SUFFIX = ".journal"
SAVED = ".saved"
"""A second copy, of a journal that keeps what could be found nowhere else."""


def keeps_content(journal: Journal) -> bool:
    """Whether the undo needs what only the journal knows."""
    return journal.open and any(isinstance(before, RegistryBefore) for before in journal.before)


def document_name(identifier: str) -> str:
    return identifier + SUFFIX
