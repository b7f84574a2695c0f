"""Frames: bytes in, messages out; no I/O."""

from __future__ import annotations

import msgspec

from netctl.ipc.messages import Message
from netctl.model.errors import PeerError

MAX_FRAME = 16 * 1024 * 1024
"""Longest accepted frame in bytes; a longer length means that the other end does not speak this protocol."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """One message as one frame."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


class FrameReader:
    """Collects bytes and gives out whole messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """All messages completed by ``data``, in order.

        Raises PeerError (``frame_too_long``, ``frame_undecodable``); the connection is then of no further use.
        """
        buffer = self._buffer
        buffer += data
        messages: list[Message] = []
        start = 0
        while len(buffer) - start >= 4:
            length = int.from_bytes(buffer[start : start + 4], "big")
            if length > MAX_FRAME:
                raise PeerError("frame_too_long", f"{length} bytes announced, {MAX_FRAME} allowed")
            if len(buffer) - start - 4 < length:
                break
            try:
                messages.append(_decoder.decode(memoryview(buffer)[start + 4 : start + 4 + length]))
            except (msgspec.DecodeError, ValueError, RecursionError) as error:
                raise PeerError("frame_undecodable", str(error)) from None
            start += 4 + length
        if start:
            del buffer[:start]
        return messages
