"""Every neighbour's table → what to install and what to announce to whom. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from netctl.ipc.messages import AnnouncedRoute, Message, Routes, SessionState, Withdrawn
from netctl.lab.embedded.settings import Settings
from netctl.model.prefix import Prefix

Path = tuple[int, ...]


@dataclass(slots=True)
class _Neighbour:
    asn: int
    paths: dict[Prefix, Path] = field(default_factory=dict)
    sessions: int = 0
    ignored: int = 0
    """Messages of this session and earlier ones are stale: BFD has declared the neighbour Down since."""


class Rib:
    """The routes of one router."""

    def __init__(self, settings: Settings) -> None:
        self._asn = settings.asn
        self._own = settings.prefixes()
        self._neighbours = {n.name: _Neighbour(n.asn) for n in settings.neighbours}

    def learn(self, name: str, message: Message) -> bool:
        """Take a speaker's message; whether it may have changed anything."""
        neighbour = self._neighbours[name]
        match message:
            case SessionState():
                if message.state == "up" and message.sessions == neighbour.sessions:
                    return False
                neighbour.sessions = message.sessions
                neighbour.paths.clear()
            case Routes() if neighbour.sessions > neighbour.ignored:
                neighbour.paths.update(dict.fromkeys(_split(message.prefixes), message.as_path))
            case Withdrawn():
                for prefix in _split(message.prefixes):
                    neighbour.paths.pop(prefix, None)
            case _:
                return False
        return True

    def bfd_down(self, name: str) -> None:
        """Forget the neighbour's routes until a new session brings them again."""
        neighbour = self._neighbours[name]
        neighbour.ignored = neighbour.sessions
        neighbour.paths.clear()

    def speaker_lost(self, name: str) -> None:
        """The speaker died; its successor counts sessions from the start."""
        self._neighbours[name] = _Neighbour(self._neighbours[name].asn)

    def best(self) -> dict[Prefix, tuple[str, Path]]:
        """Prefix → the neighbour with the shortest AS path (the first named of several) and that path."""
        best: dict[Prefix, tuple[str, Path]] = {}
        for name, neighbour in self._neighbours.items():
            for prefix, path in neighbour.paths.items():
                if prefix not in best or len(path) < len(best[prefix][1]):
                    best[prefix] = (name, path)
        return best

    def announcements(self, name: str) -> tuple[AnnouncedRoute, ...]:
        """To this neighbour: our own prefixes, and what others sent whose path does not hold its AS already."""
        own = [AnnouncedRoute(prefix) for prefix in self._own]
        asn = self._neighbours[name].asn
        passed_on = [
            AnnouncedRoute(prefix, as_path=(self._asn, *path))
            for prefix, (source, path) in self.best().items()
            if source != name and asn not in path and prefix not in self._own
        ]
        return (*own, *passed_on)


def _split(keys: bytes) -> list[Prefix]:
    return [keys[start : start + 5] for start in range(0, len(keys), 5)]
