"""Fills the Corefiles of the ``dns/`` folder. Text in, text out; the caller writes the files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from netctl.kits import template
from netctl.model.errors import UsageError


@dataclass(frozen=True, slots=True)
class CorednsSettings:
    """One cloud's CoreDNS. ``namespaces``: the first has netctl's Services, the others are answered too
    (as ``NAME.NAMESPACE.svc.CLUSTER_DOMAIN`` only). ``others``: other cloud → its name servers, in order of preference.
    """

    zone: str
    cloud: str
    namespaces: Sequence[str]
    kubeconfig: str
    others: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ttl_s: int = 1
    cluster_domain: str = "cluster.local"
    bind: Sequence[str] = ("0.0.0.0",)
    port: int = 53
    health: str = "127.0.0.1:8080"
    """``/health`` says whether it runs."""
    ready: str = "127.0.0.1:8181"
    """``/ready`` says whether it has read the cluster once."""
    metrics: str = "127.0.0.1:9153"


def render_cloud(settings: CorednsSettings) -> str:
    """The Corefile of a cloud's CoreDNS. Raises UsageError for a value that would mean something else in the file."""
    _check(settings.zone, settings.cloud, settings.cluster_domain, settings.kubeconfig, *settings.namespaces)
    shared = {"zone": settings.zone, "port": _port(settings.port), "bind": _words(settings.bind)}
    others = [
        template("dns", "Corefile.cloud-other").substitute(shared, cloud=_word(cloud), servers=_words(servers))
        for cloud, servers in sorted(settings.others.items())
        if servers
    ]
    return template("dns", "Corefile.cloud").substitute(
        shared,
        cloud=settings.cloud,
        cluster_domain=settings.cluster_domain,
        namespace=settings.namespaces[0],
        namespaces=_words(settings.namespaces),
        kubeconfig=settings.kubeconfig,
        ttl_s=settings.ttl_s,
        health=settings.health,
        ready=settings.ready,
        metrics=settings.metrics,
        others="".join(f"\n{other}" for other in others),
    )


def render_cluster_stub(zone: str, servers: Sequence[str], port: int = 53) -> str:
    """What a cluster's own CoreDNS gets, so that its pods can ask for netctl's zone.

    ``servers``: ``ADDRESS`` or ``ADDRESS:PORT``; the first that is well is asked.
    """
    return template("dns", "Corefile.cluster-stub").substitute(
        zone=_word(zone), port=_port(port), servers=_words(servers)
    )


def render_local(
    zone: str, servers: Sequence[str], upstreams: Sequence[str], bind: str = "127.0.0.1", port: int = 53
) -> str:
    """The Corefile of a machine's own name server."""
    return template("dns", "Corefile.localdns").substitute(
        zone=_word(zone), port=_port(port), bind=_word(bind), upstreams=_words(upstreams), servers=_words(servers)
    )


def _port(port: int) -> str:
    return f":{port}"


def _words(words: Sequence[str]) -> str:
    if not words:
        raise UsageError("a Corefile needs at least one address or name here", "give one")
    return " ".join(_word(word) for word in words)


def _check(*words: str) -> None:
    for word in words:
        _word(word)


def _word(word: str) -> str:
    """One word of a Corefile: nothing that ends it, opens a block, a comment or a variable."""
    if not re.fullmatch(r"[A-Za-z0-9_./:\[\]@+-][A-Za-z0-9_./:\[\]@+,=~-]*", word):
        raise UsageError(f"{word!r} cannot stand in a Corefile", "no spaces, quotes, braces, # or $")
    return word
