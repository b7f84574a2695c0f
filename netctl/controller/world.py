"""What a cluster asks of what all clusters share."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol

from netctl.model.kube import Plan
from netctl.model.naming import Instance
from netctl.sync.want import Wanted

if TYPE_CHECKING:
    from netctl.controller.cluster import Cluster


class World(Protocol):
    """``decide.Controller``, as ``cluster.Cluster`` sees it."""

    def ready_to_write(self) -> bool:
        """Every source and every cluster has spoken once, be it that it cannot be read or keeps silent."""

    def service_names(self) -> Collection[str]:
        """Those that are to be served."""

    def wanted(self, service: str, cluster: Cluster) -> Wanted | None:
        """What the service shall look like there, None: it shall not be there."""

    def plan(self, service: str, cluster: Cluster, wanted: Wanted | None) -> Plan:
        """What is to be written for that."""

    def settled(self, service: str) -> None:
        """The service is as it shall be in one more cluster."""

    def leaving(self, service: str, cluster: Cluster, names: Collection[str]) -> dict[str, Instance]:
        """These instances as the cluster serves them."""

    def restored(self, services: Collection[str]) -> None:
        """The guard has learned of holds (or approvals) of these that somebody else has stored."""
