"""Samples → Prometheus text (exposition format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Sample:
    """One number. ``help`` is taken from the first sample of a name; a name ending in ``_total`` is a counter."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    help: str = ""


class _Fixed(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def render(samples: Iterable[Sample]) -> str:
    """All samples as one text, grouped by name in the order of first appearance."""
    metrics: dict[str, Metric] = {}
    for sample in samples:
        metric = metrics.get(sample.name)
        if metric is None:
            counter = sample.name.endswith("_total")
            base = sample.name.removesuffix("_total")
            metric = metrics[sample.name] = Metric(base, sample.help or base, "counter" if counter else "gauge")
        metric.add_sample(sample.name, dict(sample.labels), sample.value)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Fixed(metrics.values()))
    return generate_latest(registry).decode()


def split_labels(name: str) -> tuple[str, dict[str, str]]:
    """``"bfd_discarded{reason=ttl,peer=pa}"`` → its name and labels, as programs send them in Counters."""
    base, brace, rest = name.partition("{")
    if not brace:
        return name, {}
    pairs = (pair.partition("=") for pair in rest.rstrip("}").split(",") if pair)
    return base, {key.strip(): value.strip().strip('"') for key, _, value in pairs}
