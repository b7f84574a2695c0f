"""The tools of rules that span several keys.

They work on the plain data, so that they find their problems beside those of shape; what has the wrong type is somebody
else's problem and skipped here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from netctl.config.problem import Loc, Problem, show_value
from netctl.config.reader import Document
from netctl.config.shape import nearest

SOCKET_PATH_BYTES = 107
"""Longest path of a unix socket: ``sun_path`` holds 108 bytes with its NUL (linux/un.h)."""
DEFAULT_RUNTIME_DIR = "/run/netctl"


@dataclass
class Rules:
    """The data of a file, read without caring for its shape, and the problems found in it."""

    document: Document
    found: list[tuple[Loc, Problem]] = field(default_factory=list)

    def add(
        self, loc: Loc, what: str, *, key: bool = False, allowed: str = "", meant: str = "", value: bool = True
    ) -> None:
        shown = show_value(self.get(loc)) if value and not key else ""
        self.found.append((loc, self.document.problem(loc, what, key=key, value=shown, allowed=allowed, meant=meant)))

    def get(self, loc: Loc) -> Any:
        """The value at ``loc``, None when there is none."""
        value: Any = self.document.data
        for part in loc:
            if isinstance(part, int):
                value = value[part] if isinstance(value, list) and part < len(value) else None
            else:
                value = value.get(part) if isinstance(value, dict) else None
        return value

    def text(self, *loc: str | int) -> str:
        value = self.get(loc)
        return value if isinstance(value, str) else ""

    def number(self, *loc: str | int) -> int | None:
        value = self.get(loc)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def each(self, *loc: str | int) -> Iterator[Loc]:
        """The places of a list's entries."""
        value = self.get(loc)
        for index in range(len(value) if isinstance(value, list) else 0):
            yield (*loc, index)

    def line(self, loc: Loc) -> int:
        return self.document.place(loc)[0]

    def unique(self, locs: list[Loc], what: Callable[[Loc], str]) -> None:
        """Complain about every text that stands at an earlier place already."""
        first: dict[str, Loc] = {}
        for loc in locs:
            text = self.text(*loc)
            if text and text in first:
                self.add(loc, f"{what(loc)} in line {self.line(first[text])} already")
            first.setdefault(text, loc)

    def known(self, loc: Loc, reference: tuple[str, str, str], known: Sequence[str], pattern: str) -> None:
        """Complain about a reference to what the file does not have. A reference is (what is written before the name,
        noun, name); of the ``known`` names those that do not match ``pattern`` are not suggested."""
        prefix, noun, name = reference
        if not name or name in known:
            return
        names = [word for word in dict.fromkeys(known) if re.fullmatch(pattern, word)]
        near = nearest(name, names)
        allowed = ", ".join(prefix + word for word in names[:12]) or f"nothing: the file has no {noun}s"
        what = f"no {noun} is called {name!r}"
        self.add(loc, what, value=False, allowed=allowed, meant=prefix + near if near else "")

    def runtime_dir(self, default: str, longest: str) -> None:
        """Every socket in runtime_dir must have a possible path; ``longest`` is the longest file name among them."""
        folder = self.text("runtime_dir") or default
        room = SOCKET_PATH_BYTES - len(longest) - 1
        if len(folder.encode("utf-8", "surrogatepass")) > room:
            what = f"is too long: {longest} in it would be no valid socket"
            self.add(("runtime_dir",), what, allowed=f"at most {room} bytes")
