"""A modelled checker: it knows the truth about its cloud's instances, tells it late, and dies like a program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from netctl.health.targets import place_of
from netctl.ipc.io import Connection, connect
from netctl.ipc.messages import ALIVE_S, CheckerCloud, CheckTarget, CheckTargets, Hello, Verdict, Verdicts
from netctl.model.errors import PeerError
from netctl.model.naming import InstanceId
from netctl.model.ports import Streams

LOOK_S = 0.2
RISE_FALL = 2
"""So many looks with the same result make a verdict."""
_PAUSE_S = 0.3
_SIGN_OF_LIFE_S = 1.0


class SimChecker:
    """``lives``: whether somebody answers at a place (``10.1.0.5:80``)."""

    def __init__(
        self, name: str, cloud: str, streams: Streams, controllers: tuple[str, ...], lives: Callable[[str], bool]
    ) -> None:
        self._hello = Hello("checker", name, 1, alive_s=ALIVE_S)
        self._cloud = cloud
        self._streams = streams
        self._controllers = controllers
        self._lives = lives
        self._targets: dict[str, dict[InstanceId, CheckTarget]] = {address: {} for address in controllers}
        self._said: dict[str, dict[InstanceId, tuple[str, bool]]] = {address: {} for address in controllers}
        self._looked: dict[str, tuple[bool, int]] = {}
        """Place → what was seen there, how often in a row."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look())
            for address in self._controllers:
                tasks.create_task(self._follow(address))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            places = dict.fromkeys(place_of(t) for targets in self._targets.values() for t in targets.values())
            seen: dict[str, tuple[bool, int]] = {}
            for place in places:
                lives, (before, times) = self._lives(place), self._looked.get(place, (True, 0))
                seen[place] = (lives, times + 1 if lives == before else 1)
            self._looked = seen

    async def _follow(self, address: str) -> None:
        while True:
            try:
                connection = await connect(self._streams, address, self._hello)
                await self._converse(address, connection)
            except (ConnectionError, PeerError):
                pass
            self._targets[address].clear()
            self._said[address].clear()
            await asyncio.sleep(_PAUSE_S)

    async def _converse(self, address: str, connection: Connection) -> None:
        await connection.send(CheckerCloud(self._cloud))
        talker = asyncio.get_running_loop().create_task(self._talk(address, connection))
        try:
            while isinstance(message := await connection.receive(), CheckTargets):
                targets = self._targets[address]
                if message.full:
                    targets.clear()
                for gone in message.removed:
                    targets.pop(gone, None)
                    self._said[address].pop(gone, None)
                targets.update({(target.service, target.instance): target for target in message.targets})
        finally:
            talker.cancel()
            connection.close()

    async def _talk(self, address: str, connection: Connection) -> None:
        said = self._said[address]
        silent_s = 0.0
        while True:
            fresh = []
            for instance, target in self._targets[address].items():
                place = place_of(target)
                lives, times = self._looked.get(place, (True, 0))
                if times >= RISE_FALL and said.get(instance) != (place, lives):
                    said[instance] = place, lives
                    fresh.append(Verdict(*instance, lives, place, "answers" if lives else "does not answer"))
            if fresh or silent_s >= _SIGN_OF_LIFE_S:
                await connection.send(Verdicts(tuple(fresh)))
                silent_s = 0.0
            await asyncio.sleep(LOOK_S)
            silent_s += LOOK_S
