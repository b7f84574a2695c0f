"""What we announce to one peer: the wanted set against what ExaBGP was told → command lines.

ExaBGP keeps what it was told over the loss of a session and sends it again on the next one by itself; so a line is
needed only for a change. After a helper's death its successor asks for what is announced (``told``).

While the session is down only withdrawals are passed on, so that nothing unwanted is announced for a moment when it
comes up; announcements wait: a queued one would make ExaBGP ignore ``reload``, which is how it is told to try again.
"""

from __future__ import annotations

from collections.abc import Iterable

from netctl.ipc.messages import AnnouncedRoute
from netctl.model.prefix import Prefix, format_prefix

PER_LINE = 500
"""Prefixes in one command: five times as fast as one each."""

_UNKNOWN = AnnouncedRoute(prefix=b"")


class Announcer:
    """The wanted and the told set for one neighbour."""

    def __init__(self, neighbour: str, next_hop: str) -> None:
        self._neighbour = neighbour
        self._next_hop = next_hop
        self._told: dict[Prefix, AnnouncedRoute] = {}
        self._wanted: dict[Prefix, AnnouncedRoute] | None = None

    def __len__(self) -> int:
        return len(self._told)

    def told(self, prefix: Prefix) -> None:
        """ExaBGP announces this prefix already, with attributes that we do not know."""
        self._told.setdefault(prefix, _UNKNOWN)

    def want(self, routes: Iterable[AnnouncedRoute]) -> None:
        """The full set from now on."""
        self._wanted = {route.prefix: route for route in routes}

    def lines(self, *, up: bool) -> list[str]:
        """Commands that are due: new and changed ones first (only while ``up``), withdrawals last.

        Nothing at all until ``want`` was called once: what an earlier helper told ExaBGP stays.
        """
        wanted, told = self._wanted, self._told
        if wanted is None:
            return []
        gone = [prefix for prefix in told if prefix not in wanted]
        for prefix in gone:
            del told[prefix]
        groups: dict[str, list[Prefix]] = {}
        if up:
            for prefix, route in wanted.items():
                if told.get(prefix) != route:
                    groups.setdefault(self._attributes(route), []).append(prefix)
                    told[prefix] = route
        lines = [line for words, prefixes in groups.items() for line in self._lines("announce", words, prefixes)]
        return lines + self._lines("withdraw", f"next-hop {self._next_hop}", gone)

    def _attributes(self, route: AnnouncedRoute) -> str:
        words = [f"next-hop {self._next_hop}"]
        if route.as_path:
            words.append(f"as-path [ {' '.join(map(str, route.as_path))} ]")
        if route.med is not None:
            words.append(f"med {route.med}")
        for keyword, colons in (("community", 1), ("large-community", 2)):
            values = [text for text in route.communities if text.count(":") == colons]
            if values:
                words.append(f"{keyword} [ {' '.join(values)} ]")
        return " ".join(words)

    def _lines(self, verb: str, attributes: str, prefixes: list[Prefix]) -> list[str]:
        texts = [format_prefix(prefix) for prefix in prefixes]
        command = f"neighbor {self._neighbour} {verb} attributes {attributes} nlri "
        return [command + " ".join(texts[start : start + PER_LINE]) for start in range(0, len(texts), PER_LINE)]
