"""What a controller file's keys demand of each other; the checker file's few rules are here too."""

from __future__ import annotations

import re
from posixpath import normpath
from typing import Any

from netctl.config.controller_file import (
    DEFAULT_INTERVAL_MS,
    LATER_SOURCES,
    SECONDS,
    SERVICE_PATTERN,
)
from netctl.config.fields import NAME_PATTERN
from netctl.config.problem import Loc, Problem
from netctl.config.reader import Document
from netctl.config.rules import DEFAULT_RUNTIME_DIR, Rules

MAX_WINDOW_S = 30 * 86400
_LOOPBACK = re.compile(r"(127\.[0-9.]+|\[::1\]|localhost):[0-9]+")
_WINDOW = re.compile(r"([1-9][0-9]{0,5})([smhd])")


def check_controller_rules(document: Document) -> list[tuple[Loc, Problem]]:
    """Every broken rule of a controller file, with its place in the data."""
    rules = Rules(document)
    rules.runtime_dir(f"{DEFAULT_RUNTIME_DIR}/controller", "controller.sock.new")
    for rule in (_sources, _clusters, _dns, _removals, _services, _checkers):
        rule(rules)
    return rules.found


def check_checker_rules(document: Document) -> list[tuple[Loc, Problem]]:
    """Every broken rule of a checker file, with its place in the data."""
    rules = Rules(document)
    rules.runtime_dir(f"{DEFAULT_RUNTIME_DIR}/checker-{rules.text('checker')[:32]}", "checker.sock.new")
    _cloud(rules, ("cloud",))
    controllers = list(rules.each("controllers"))
    rules.unique(controllers, lambda _: "stands")
    if rules.get(("tls",)) is None:
        for controller in controllers:
            _loopback(rules, controller)
    return rules.found


def window_s(text: str) -> int | None:
    """``5m`` → 300; None when it is no such text."""
    match = _WINDOW.fullmatch(text)
    return int(match[1]) * SECONDS[match[2]] if match else None


def _sources(rules: Rules) -> None:
    sources = list(rules.each("sources"))
    rules.unique([(*source, "name") for source in sources], lambda _: "a source has this name")
    seen: dict[Any, Loc] = {}
    for source in sources:
        body = rules.get(source)
        if not isinstance(body, dict):
            continue
        _cloud(rules, (*source, "cloud"))
        given = [kind for kind in ("etcd", "file") if body.get(kind) is not None]
        if len(given) != 1 and not any(body.get(kind) is not None for kind in LATER_SOURCES):
            what = "has both etcd and file" if given else "has neither etcd nor file"
            rules.add(source, what, value=False, allowed="exactly one of etcd: {endpoints: ...} and file: {path: ...}")
        for kind in given:
            if (reads := _reads(rules, source, kind)) is None:
                continue
            if (first := seen.setdefault(reads, source)) != source:
                rules.add((*source, kind), f"reads what the source in line {rules.line(first)} reads", value=False)
        _etcd(rules, (*source, "etcd"))


def _reads(rules: Rules, source: Loc, kind: str) -> Any:
    """What a source reads, so that two can be compared."""
    if kind == "file":
        path = rules.text(*source, "file", "path")
        return normpath(path) if path else None
    endpoints = frozenset(rules.text(*loc).rstrip("/") for loc in rules.each(*source, "etcd", "endpoints"))
    return (endpoints, rules.text(*source, "etcd", "prefix") or "/vm/") if endpoints else None


def _etcd(rules: Rules, etcd: Loc) -> None:
    body = rules.get(etcd)
    if not isinstance(body, dict):
        return
    endpoints = list(rules.each(*etcd, "endpoints"))
    rules.unique(endpoints, lambda _: "stands")
    _together(rules, etcd, "cert", "key")
    _together(rules, etcd, "username", "password_file")
    for endpoint in endpoints:
        if rules.text(*endpoint).startswith("http://") and any(body.get(key) for key in ("ca", "cert", "key")):
            rules.add(endpoint, "is not encrypted, but ca, cert or key is given", allowed="https://HOST:PORT")


def _together(rules: Rules, loc: Loc, one: str, other: str) -> None:
    has = [key for key in (one, other) if rules.get((*loc, key)) is not None]
    if len(has) == 1:
        missing = other if has == [one] else one
        rules.add((*loc, has[0]), f"needs {missing} beside it", key=True)


def _clusters(rules: Rules) -> None:
    clusters = list(rules.each("clusters"))
    rules.unique([(*cluster, "name") for cluster in clusters], lambda _: "a cluster has this name")
    seen: dict[tuple[str, str, str], Loc] = {}
    for cluster in clusters:
        _cloud(rules, (*cluster, "cloud"))
        path = rules.text(*cluster, "kubeconfig")
        writes = (
            normpath(path),
            rules.text(*cluster, "context"),
            rules.text(*cluster, "namespace") or "vm",
        )
        if path and (first := seen.setdefault(writes, cluster)) != cluster:
            what = (
                f"is the namespace that the cluster in line {rules.line(first)} is; name another namespace or context"
            )
            rules.add((*cluster, "kubeconfig"), what)
    names = [rules.text(*cluster, "name") for cluster in clusters]
    rules.known(("management",), ("", "cluster", rules.text("management")), names, NAME_PATTERN)


def _cloud(rules: Rules, loc: Loc) -> None:
    if rules.text(*loc) in {"any", "world"}:
        rules.add(loc, "has a meaning of its own in netctl; call the cloud otherwise")


def _clouds(rules: Rules) -> list[str]:
    return [cloud for loc in rules.each("clusters") if (cloud := rules.text(*loc, "cloud"))]


def _dns(rules: Rules) -> None:
    servers = rules.get(("dns", "servers"))
    for cloud in servers if isinstance(servers, dict) else ():
        rules.known(("dns", "servers", cloud), ("", "cluster's cloud", cloud), _clouds(rules), NAME_PATTERN)
        rules.unique(list(rules.each("dns", "servers", cloud)), lambda _: "stands")


def _removals(rules: Rules) -> None:
    removals = rules.get(("guards", "removals"))
    seen: dict[int, Loc] = {}
    for text in removals if isinstance(removals, dict) else ():
        loc: Loc = ("guards", "removals", text)
        if (seconds := window_s(text)) is None:
            continue
        if seconds > MAX_WINDOW_S:
            rules.add(loc, "is too long", key=True, allowed="at most 30d")
        if (first := seen.setdefault(seconds, loc)) != loc:
            rules.add(loc, f"is as long as {first[-1]}", key=True)


def _services(rules: Rules) -> None:
    _check(rules, ("check",))
    services = rules.get(("services",))
    clouds = set(_clouds(rules))
    for name in services if isinstance(services, dict) else ():
        service: Loc = ("services", name)
        _check(rules, (*service, "check"))
        if name in clouds and re.fullmatch(SERVICE_PATTERN, name):
            rules.add(service, "is a cloud's name, whose names end with it; call the service otherwise", key=True)


def _check(rules: Rules, check: Loc) -> None:
    body = rules.get(check)
    if not isinstance(body, dict):
        return
    given = [key for key in ("tcp", "http") if body.get(key) is not None]
    if len(given) != 1:
        what = "has both tcp and http" if given else "has neither tcp nor http"
        rules.add(check, what, key=True, allowed="exactly one of tcp: true and http: /PATH, or the word none")
    timeout, interval = rules.number(*check, "timeout_ms"), rules.number(*check, "interval_ms")
    if timeout is not None and timeout > (interval or DEFAULT_INTERVAL_MS):
        rules.add((*check, "timeout_ms"), f"is longer than interval_ms ({interval or DEFAULT_INTERVAL_MS})")


def _checkers(rules: Rules) -> None:
    listen = rules.text("checkers", "listen")
    if listen and rules.get(("checkers", "tls")) is None:
        _loopback(rules, ("checkers", "listen"))
    if listen and listen == rules.text("metrics_listen"):
        rules.add(("metrics_listen",), f"is where checkers connect (line {rules.line(('checkers', 'listen'))})")


def _loopback(rules: Rules, loc: Loc) -> None:
    address = rules.text(*loc)
    if address and _LOOPBACK.fullmatch(address) is None:
        what = "is no loopback address, so tls is needed"
        rules.add(loc, what, allowed="tls: {ca: FILE, cert: FILE, key: FILE}, or 127.0.0.1:PORT")
