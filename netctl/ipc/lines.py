"""Lines: bytes in, lines out; no I/O. Of the endless answers of others: watches send one JSON object a line."""

from __future__ import annotations


class Lines:
    """Cuts a stream of bytes at its line ends. A line may be as long as memory lasts: deleting 100,000 keys in one
    transaction is one line, and each byte of it is copied once."""

    def __init__(self) -> None:
        self._open: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their ends; empty ones are left out."""
        first, *rest = data.split(b"\n")
        self._open.append(first)
        if not rest:
            return []
        whole = [b"".join(self._open), *rest[:-1]]
        self._open = [rest[-1]]
        return [line for line in whole if line]
