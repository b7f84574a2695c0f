"""``python -m netctl.lab.embedded CONFIG.json``."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress

from netctl.lab.embedded.router import EmbeddedRouter
from netctl.lab.embedded.settings import load
from netctl.model.errors import NetctlError


async def _run(path: str) -> None:
    running = asyncio.create_task(EmbeddedRouter(load(path)).run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running


def main(argv: list[str]) -> int:
    """Exit codes: 0 SIGTERM, 2 wrong arguments or file, 3 the environment lacks something."""
    if len(argv) != 1:
        print("usage: python -m netctl.lab.embedded CONFIG.json", file=sys.stderr)
        return 2
    try:
        asyncio.run(_run(argv[0]))
    except NetctlError as error:
        print(f"{error.message}; {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
