"""``python -m netctl.speaker.relay GATEWAY.json PEER``: started by ExaBGP, never by hand."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from functools import partial

from netctl.ipc.io import UnixStreams
from netctl.model.errors import NetctlError
from netctl.model.io import SystemClock
from netctl.speaker.io import ExabgpPipes, load, record_relay
from netctl.speaker.shell import RelayShell


async def _run(gateway_path: str, peer_name: str) -> None:
    gateway, peer = load(gateway_path, peer_name)
    pipes = ExabgpPipes(gateway, peer, gateway_path)
    clock, streams = SystemClock(), UnixStreams()
    record = partial(record_relay, gateway, peer)
    shell = RelayShell(gateway, peer, clock=clock, streams=streams, exabgp=pipes, pid=os.getpid(), listening=record)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, shell.stop)
    await shell.run()


def main(argv: list[str]) -> int:
    """Exit codes: 0 ExaBGP ended or SIGTERM, 2 wrong arguments, 3 the environment lacks something."""
    if len(argv) != 2:
        print("usage: python -m netctl.speaker.relay GATEWAY.json PEER", file=sys.stderr)
        return 2
    # A table is millions of small objects without cycles; collecting would stop us for seconds.
    gc.disable()
    try:
        asyncio.run(_run(*argv))
    except NetctlError as error:
        print(f"{error.message}; {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # the reading thread may sit in read(2)
