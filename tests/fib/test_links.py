"""Which messages about links mean that a link has changed."""

from __future__ import annotations

import asyncio
import subprocess

from netctl.fib.io import NetlinkKernel
from tests.fib.test_overflow import Events, in_namespace

BRIDGED = """
ip link add bridge0 type bridge
ip link set left master bridge0
ip link set left nomaster
ip link set left mtu 1400
"""


def test_a_link_that_leaves_a_bridge_is_not_down() -> None:
    async def scenario() -> None:
        kernel = NetlinkKernel()
        events = Events(kernel)
        await asyncio.to_thread(subprocess.run, ["sh", "-ec", BRIDGED], check=True)
        await events.until(lambda event: event.link is not None and event.link.mtu == 1400)
        assert [event.link.up for event in events.seen if event.link and event.link.name == "left"].count(False) == 0
        kernel.close()

    in_namespace(scenario)
