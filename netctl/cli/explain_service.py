"""What ``netctl explain SERVICE`` shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netctl.cli.output import Column, View

_INSTANCES = [
    Column("name", "instance"),
    Column("cloud"),
    Column("address"),
    Column("state"),
    Column("verdict", "checks"),
    Column("detail"),
]
_CLUSTERS = [
    Column("name", "cluster"),
    Column("answers"),
    Column("pending", "written"),
    Column("why"),
    Column("error"),
]


def service_views(answers: list[dict[str, Any]]) -> Iterator[View]:
    """What controllers say of a service; those of one lab (or host) who see the same instances are shown together."""
    groups: list[list[dict[str, Any]]] = []
    for answer in answers:
        same = next((group for group in groups if _seen(group[0]) == _seen(answer)), None)
        if same is None:
            groups.append([answer])
        else:
            same.append(answer)
    for group in groups:
        yield from _views(group, ", ".join(answer["label"] or answer["controller"] for answer in group))


def _seen(answer: dict[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in answer.items() if key not in {"label", "controller", "clusters"}}
    return {**told, "lab": answer["label"].partition("/")[0]}


def _views(group: list[dict[str, Any]], who: str) -> Iterator[View]:
    answer = group[0]
    if answer.get("error"):
        yield View([], [], title=f"{who}: {answer['error']}")
        return
    hold = f"held: {answer['hold']}" if answer.get("hold") else ""
    if answer["instances"]:
        rows = [{**instance, "state": _state(instance)} for instance in answer["instances"]]
        yield View(rows, _INSTANCES, f"{who}: {answer['service']}, by {_sources(answer['sources'])}", hold)
    else:
        yield View([], [], title=f"{who}: {answer['service']} has no instance that can be used")
    if answer.get("skipped"):
        yield View(answer["skipped"], ["source", "key", Column("reason", "skipped, because")])
    if clusters := _clusters(group):
        yield View(clusters, _CLUSTERS)


def _clusters(group: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each cluster once where all see it alike; the leader's words, to which a standby only adds who writes."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for answer in group:
        for cluster in answer["clusters"]:
            key = (cluster["name"], *cluster["answers"], cluster["pending"], cluster["error"])
            if key not in rows or len(cluster["why"]) < len(rows[key]["why"]):
                rows[key] = {**cluster, "pending": "not yet" if cluster["pending"] else "yes"}
    return sorted(rows.values(), key=lambda row: str(row["name"]))


def _state(instance: dict[str, Any]) -> str:
    """How it stands in the registry."""
    if instance["held"]:
        return "held"
    if not instance["listed"]:
        return "gone"
    return "listed" if instance["healthy"] else "unhealthy"


def _sources(sources: list[dict[str, Any]]) -> str:
    """Who lists it, with the state of a source that cannot be read now."""
    words = [s["name"] if s.get("state", "synced") == "synced" else f"{s['name']} ({s['state']})" for s in sources]
    return ", ".join(words) or "no source"
