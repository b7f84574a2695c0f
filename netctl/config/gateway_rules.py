"""What a gateway file's keys demand of each other: names that exist, values that differ, one of two.

Works on the plain data, so that it finds its problems beside those of shape; what has the wrong type is somebody else's
problem and skipped here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from netctl.config.gateway_file import DEFAULT_INTERVAL_MS, NAME_PATTERN
from netctl.config.problem import Loc, Problem, show_value
from netctl.config.reader import Document
from netctl.config.shape import nearest
from netctl.model.prefix import Prefix, parse_prefix

KINDS = ("provider", "fabric")
SOCKET_PATH_BYTES = 107
"""Longest path of a unix socket: ``sun_path`` holds 108 bytes with its NUL (linux/un.h)."""
DEFAULT_RUNTIME_DIR = "/run/netctl"


def check_rules(document: Document) -> list[tuple[Loc, Problem]]:
    """Every broken rule, with its place in the data."""
    rules = _Rules(document)
    for rule in (_peers, _runtime_dir, _clouds, _announce, _checks):
        rule(rules)
    return rules.found


@dataclass
class _Rules:
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


def _peers(rules: _Rules) -> None:
    peers = list(rules.each("peers"))
    rules.unique([(*peer, "name") for peer in peers], lambda _: "a peer has this name")
    rules.unique([(*peer, "address") for peer in peers], lambda _: "a peer has this address")
    locals_ = {rules.text(*peer, "local"): (*peer, "local") for peer in peers}
    for peer in peers:
        address, name, kind = rules.text(*peer, "address"), rules.text(*peer, "name"), rules.text(*peer, "kind")
        if address and address == rules.text(*peer, "local"):
            rules.add((*peer, "address"), "is this gateway's own address (local); it must be the peer's")
        elif address in locals_ and address:
            rules.add((*peer, "address"), f"is this gateway's own address (line {rules.line(locals_[address])})")
        asn = rules.number(*peer, "asn")
        if kind == "provider" and asn is not None and asn == rules.number("asn"):
            rules.add((*peer, "asn"), "is this gateway's own AS number; a provider has another")
        if name in KINDS and (kind != name or sum(rules.text(*p, "kind") == name for p in peers) > 1):
            rules.add((*peer, "name"), "is the word for a kind; only the one peer of that kind may be called so")


def _runtime_dir(rules: _Rules) -> None:
    folder = rules.text("runtime_dir") or f"{DEFAULT_RUNTIME_DIR}/{rules.text('gateway')}"
    names = [rules.text(*peer, "name")[:32] for peer in rules.each("peers")]
    longest = max(["liveness.sock", *(f"speaker-{name}.sock" for name in names)], key=len)
    room = SOCKET_PATH_BYTES - len(longest) - 1
    if len(folder.encode("utf-8", "surrogatepass")) > room:
        rules.add(
            ("runtime_dir",), f"is too long: {longest} in it would be no valid socket", allowed=f"at most {room} bytes"
        )


def _clouds(rules: _Rules) -> None:
    clouds = list(rules.each("clouds"))
    for place in [("cloud",), *((*cloud, "name") for cloud in clouds)]:
        if rules.text(*place) in {"any", "world"}:
            rules.add(place, "has a meaning of its own in netctl; call the cloud otherwise")
    rules.unique([(*cloud, "name") for cloud in clouds], lambda _: "a cloud has this name")
    for cloud in clouds:
        name = rules.text(*cloud, "name")
        if name and name == rules.text("cloud"):
            rules.add((*cloud, "name"), "is this gateway's own cloud; only remote ones stand here")
    _unique_prefixes(rules, [loc for cloud in clouds for loc in rules.each(*cloud, "prefixes")], "is a cloud's")


def _unique_prefixes(rules: _Rules, locs: list[Loc], what: str) -> None:
    """A prefix twice. (One within another is fine: the longest match decides.)"""
    first: dict[Prefix, Loc] = {}
    for loc in locs:
        if (prefix := _parse(rules.text(*loc))) is None:
            continue
        if prefix in first:
            rules.add(loc, f"{what} in line {rules.line(first[prefix])} already")
        first.setdefault(prefix, loc)


def _parse(text: str) -> Prefix | None:
    try:
        return parse_prefix(text)
    except ValueError:
        return None


def _announce(rules: _Rules) -> None:
    entries = list(rules.each("announce"))
    _unique_prefixes(rules, [(*entry, "prefix") for entry in entries], "is announced")
    peers = [rules.text(*peer, "name") for peer in rules.each("peers")]
    kinds = {rules.text(*peer, "kind") for peer in rules.each("peers")}
    checks = rules.get(("checks",))
    known = {
        "peer": [*peers, *(kind for kind in KINDS if kind in kinds)],
        "check": [str(name) for name in checks] if isinstance(checks, dict) else [],
        "path": ["any", *(rules.text(*cloud, "name") for cloud in rules.each("clouds"))],
    }
    for entry in entries:
        targets = list(rules.each(*entry, "to"))
        rules.unique(targets, lambda _: "stands")
        for target in targets:
            _known(rules, target, ("", "peer", rules.text(*target)), known["peer"])
        conditions = list(rules.each(*entry, "when"))
        rules.unique(conditions, lambda _: "stands")
        for condition in conditions:
            kind, colon, name = rules.text(*condition).partition(":")
            if colon and kind in known:
                _known(rules, condition, (f"{kind}:", kind, name), known[kind])
        if "provider" not in kinds and rules.get((*entry, "to")) is None and peers:
            rules.add(entry, "goes to all providers, and there is none; say 'to'", value=False)


_NOUN = {"peer": "peer", "check": "check", "path": "cloud"}


def _known(rules: _Rules, loc: Loc, reference: tuple[str, str, str], known: list[str]) -> None:
    """A reference is (what is written before the name, kind, name)."""
    prefix, kind, name = reference
    if name and name not in known:
        known = [word for word in dict.fromkeys(known) if re.fullmatch(NAME_PATTERN, word)]
        near = nearest(name, known)
        allowed = ", ".join(prefix + word for word in known[:12]) or f"nothing: the file has no {_NOUN[kind]}s"
        rules.add(
            loc,
            f"no {_NOUN[kind]} is called {name!r}",
            value=False,
            allowed=allowed,
            meant=prefix + near if near else "",
        )


def _checks(rules: _Rules) -> None:
    checks = rules.get(("checks",))
    for name in checks if isinstance(checks, dict) else ():
        check: Loc = ("checks", name)
        body = rules.get(check)
        if not isinstance(body, dict):
            continue
        given = [key for key in ("http", "tcp") if body.get(key) is not None]
        if len(given) != 1:
            what = "has both http and tcp" if given else "has neither http nor tcp"
            rules.add(check, what, key=True, allowed="exactly one of http: URL and tcp: HOST:PORT")
        timeout, interval = rules.number(*check, "timeout_ms"), rules.number(*check, "interval_ms")
        if timeout is not None and timeout > (interval or DEFAULT_INTERVAL_MS):
            rules.add((*check, "timeout_ms"), f"is longer than interval_ms ({interval or DEFAULT_INTERVAL_MS})")
