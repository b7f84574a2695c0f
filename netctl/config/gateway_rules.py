"""What a gateway file's keys demand of each other: names that exist, values that differ, one of two."""

from __future__ import annotations

from netctl.config.fields import NAME_PATTERN
from netctl.config.gateway_file import DEFAULT_INTERVAL_MS
from netctl.config.problem import Loc, Problem
from netctl.config.reader import Document
from netctl.config.rules import DEFAULT_RUNTIME_DIR, Rules
from netctl.model.prefix import Prefix, parse_prefix

KINDS = ("provider", "fabric")
_NOUN = {"peer": "peer", "check": "check", "path": "cloud"}


def check_rules(document: Document) -> list[tuple[Loc, Problem]]:
    """Every broken rule, with its place in the data."""
    rules = Rules(document)
    for rule in (_peers, _runtime_dir, _clouds, _announce, _checks):
        rule(rules)
    return rules.found


def _peers(rules: Rules) -> None:
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


def _runtime_dir(rules: Rules) -> None:
    names = [rules.text(*peer, "name")[:32] for peer in rules.each("peers")]
    longest = max(["liveness.sock", *(f"speaker-{name}.sock" for name in names)], key=len)
    rules.runtime_dir(f"{DEFAULT_RUNTIME_DIR}/{rules.text('gateway')}", longest)


def _clouds(rules: Rules) -> None:
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


def _unique_prefixes(rules: Rules, locs: list[Loc], what: str) -> None:
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


def _announce(rules: Rules) -> None:
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
            rules.known(target, ("", "peer", rules.text(*target)), known["peer"], NAME_PATTERN)
        conditions = list(rules.each(*entry, "when"))
        rules.unique(conditions, lambda _: "stands")
        for condition in conditions:
            kind, colon, name = rules.text(*condition).partition(":")
            if colon and kind in known:
                rules.known(condition, (f"{kind}:", _NOUN[kind], name), known[kind], NAME_PATTERN)
        if "provider" not in kinds and rules.get((*entry, "to")) is None and peers:
            rules.add(entry, "goes to all providers, and there is none; say 'to'", value=False)


def _checks(rules: Rules) -> None:
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
