"""Where logs go: JSON lines on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog


class Unfailing:
    """Where a log line cannot be written (full disk, reader gone) it is lost, and whoever wrote it goes on."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()


def _monotonic_ms(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["monotonic_ms"] = round(time.monotonic_ns() / 1e6, 3)
    return event


def configure_logging(program: str, name: str) -> structlog.typing.FilteringBoundLogger:
    """Set structlog up for this process; returns a logger bound to the program and its name."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _monotonic_ms,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", Unfailing(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger().bind(program=program, name=name)
    return logger
