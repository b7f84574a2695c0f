"""Opens the registries of the controller file."""

from __future__ import annotations

from netctl.model.controller import SourceSettings
from netctl.model.ports import Registry
from netctl.names.etcd.io import EtcdRegistry
from netctl.names.file.io import FileRegistry


def open_registry(settings: SourceSettings) -> Registry:
    """The registry that a source means; nothing is read before ``follow``."""
    return EtcdRegistry(settings) if settings.etcd is not None else FileRegistry(settings)
