"""What ``netctl status`` shows of the naming half: controllers, what they hold back, clusters, sources, checkers.

Two controllers see the same catalog: what both say is shown once, with the names of those who say it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from netctl.cli.output import Column, View
from netctl.cli.status_gateways import ago

Row = dict[str, Any]


def naming_views(controllers: list[Row], checkers: list[Row], now: float, *, wide: bool = False) -> Iterator[View]:
    """The tables of controllers and checkers, holds first after the overview. ``now``: seconds since the epoch;
    ``wide``: with every window of a budget."""
    controllers = [{**c, "controller": c["label"] or c["controller"]} for c in controllers]
    checkers = [{**c, "checker": c["label"] or c["checker"]} for c in checkers]
    if controllers:
        yield View([_overview(c) for c in controllers], _OVERVIEW)
    alive = [c for c in controllers if c["answers"]]
    yield from hold_views(merged(alive, "holds", ("id",)), now)
    panic = merged([{**c, "panic": [{"service": s} for s in c.get("panic", ())]} for c in alive], "panic", ("service",))
    yield from _view(panic, [Column("service", "nothing is healthy anywhere"), "controllers"])
    yield from _view([_cluster(c, now, wide=wide) for c in each(alive, "clusters")], _CLUSTERS)
    yield from _view([_since(s, now) for s in each(alive, "sources")], _SOURCES)
    if checkers:
        yield View([_checker(c) for c in checkers], _CHECKERS)
    # A controller's view of a checker matters where the checker cannot be asked itself, or does not reach it.
    unseen = [c for c in each(alive, "checkers") if not checkers or not c["connected"]]
    yield from _view([_since(c, now) for c in unseen], _CONNECTED)
    yield from _view(merged(alive, "failing", ("service", "instance")), ["service", "instance", "cloud", "detail"])
    yield from _objects(alive)


def _objects(alive: list[Row]) -> Iterator[View]:
    where = ["cluster", "resource", "name"]
    foreign = merged(alive, "foreign", tuple(where))
    yield from _view(foreign, [*where, Column("reason", "not netctl's, left alone")])
    refused = merged(alive, "refused", tuple(where))
    yield from _view(refused, [*where, Column("reason", "refused by the cluster")])
    skipped = merged(alive, "skipped", ("source", "key"))
    more = max((int(c.get("skipped_total", 0)) for c in alive), default=0) - len(skipped)
    note = f"and {more} more entries are skipped" if more > 0 else ""
    yield from _view(skipped, ["source", "key", Column("reason", "skipped, because")], note)


def hold_views(holds: list[Row], now: float) -> Iterator[View]:
    """What waits for an operator, and how to let it go on."""
    note = "netctl holds approve ID lets it go; a hold ends by itself when its instances are listed again"
    if holds:
        yield View([_since(hold, now) for hold in holds], _HOLDS, note=note, below="reason")


def each(controllers: Sequence[Row], key: str) -> Iterator[Row]:
    """The rows under ``key`` of each controller, with its name."""
    for controller in controllers:
        for row in controller.get(key, ()):
            yield {**row, "controller": controller["controller"]}


def merged(controllers: Sequence[Row], key: str, by: tuple[str, ...]) -> list[Row]:
    """The rows under ``key`` of all controllers, those alike in ``by`` once (within a lab); ``controllers`` names who
    says so, the first one's words are taken."""
    found: dict[tuple[Any, ...], Row] = {}
    for controller in controllers:
        lab = controller["label"].partition("/")[0]
        for row in controller.get(key, ()):
            same = found.setdefault((lab, *(row.get(part) for part in by)), {**row, "controllers": []})
            same["controllers"].append(controller["controller"])
    return list(found.values())


def _view(rows: list[Row], columns: Sequence[Column | str], note: str = "") -> Iterator[View]:
    if rows:
        yield View(rows, columns, note=note)


_OVERVIEW = [
    Column("controller"),
    Column("state"),
    Column("leads"),
    Column("services", right=True),
    Column("instances", right=True),
    Column("held", "holds", right=True),
    Column("ill", "failing", right=True),
    Column("connected", "checkers"),
    Column("skipped_total", "skipped", right=True),
    Column("pid", wide=True),
    Column("socket", wide=True),
    Column("error"),
]


def _overview(controller: Row) -> Row:
    if not controller["answers"]:
        return {**controller, "state": "gone"}
    checkers, clusters = controller.get("checkers", ()), controller.get("clusters", ())
    return {
        **controller,
        "state": "ok" if controller.get("steady") else "unsteady",
        "leads": [c["name"] for c in clusters if c["state"] == "leading"] or "nothing",
        "held": len(controller.get("holds", ())),
        "ill": len(controller.get("failing", ())),
        "connected": f"{sum(bool(c['connected']) for c in checkers)}/{len(checkers)}" if checkers else "none",
    }


_HOLDS = [
    Column("id", "hold"),
    Column("service"),
    Column("cluster"),
    Column("kind"),
    Column("instances"),
    Column("since"),
    Column("controllers", wide=True),
]
_CLUSTERS = [
    Column("controller"),
    Column("name", "cluster"),
    Column("cloud"),
    Column("state"),
    Column("leader"),
    Column("epoch", wide=True, right=True),
    Column("services", right=True),
    Column("slices", right=True),
    Column("pending", right=True),
    Column("writes_total", "writes", wide=True, right=True),
    Column("used", "budget used"),
    Column("since", wide=True),
    Column("reason"),
]


def _cluster(cluster: Row, now: float, *, wide: bool) -> Row:
    """With the window of its budget that is nearest to its limit, or all that are used."""
    used = [b for b in cluster.get("budget", ()) if b["used"]]
    if used and not wide:
        used = [max(used, key=lambda b: b["used"] / max(1, b["limit"]))]
    words = [f"{b['used']}/{b['limit']} in {_window(b['window_s'])}" for b in used]
    return {**_since(cluster, now), "used": words or "none"}


def _window(seconds: int) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % length == 0 and seconds != 86400:
            return f"{seconds // length}{unit}"
    return "24h" if seconds == 86400 else f"{seconds}s"


_SOURCES = [
    Column("controller"),
    Column("name", "source"),
    Column("kind"),
    Column("state"),
    Column("entries", right=True),
    Column("skipped", right=True),
    Column("revision", wide=True, right=True),
    Column("since"),
    Column("reason"),
]
_CONNECTED = [
    Column("controller"),
    Column("name", "checker"),
    Column("cloud"),
    Column("connected"),
    Column("targets", right=True),
    Column("failing", right=True),
    Column("since"),
]
_CHECKERS = [
    Column("checker"),
    Column("cloud"),
    Column("state"),
    Column("reaches", "controllers"),
    Column("targets", right=True),
    Column("ill", "failing", right=True),
    Column("runs_total", "runs", wide=True, right=True),
    Column("late_total", "late", wide=True, right=True),
    Column("pid", wide=True),
    Column("socket", wide=True),
    Column("error"),
]


def _checker(checker: Row) -> Row:
    if not checker["answers"]:
        return {**checker, "state": "gone"}
    controllers = checker.get("controllers", ())
    away = [f"{c['address']}: {c['reason'] or 'not connected'}" for c in controllers if not c["connected"]]
    return {
        **checker,
        "state": "unsteady" if away else "ok",
        "reaches": f"{len(controllers) - len(away)}/{len(controllers)}",
        "ill": len(checker.get("failing", ())),
        "error": "; ".join(away),
    }


def _since(row: Row, now: float) -> Row:
    since = row.get("since_wall")
    return {**row, "since": ago(max(0.0, now - since)) if since else ""}
