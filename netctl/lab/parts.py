"""Where the programs are that Debian has not got (CoreDNS, Kubernetes) and those of the names half that it has.

``tools/parts.sh`` builds the former, once, and links them into ``$NETCTL_CACHE/bin`` (default ``~/.cache/netctl``).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from netctl.model.errors import EnvironmentLackError

BUILT: dict[str, str] = {
    "coredns": "NETCTL_COREDNS",
    "kube-apiserver": "NETCTL_KUBE_APISERVER",
    "kube-controller-manager": "NETCTL_KUBE_CONTROLLER_MANAGER",
}
"""Programs that are built here → the variable that names one's own instead."""
PACKAGED: dict[str, str] = {"etcd": "etcd-server", "haproxy": "haproxy"}
"""Programs of Debian → their packages."""


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """``NETCTL_CACHE``, else ``netctl`` in XDG_CACHE_HOME or ``~/.cache``."""
    if environ.get("NETCTL_CACHE"):
        return Path(environ["NETCTL_CACHE"]).absolute()
    base = environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "netctl"


def find_part(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The program, from its variable, KUBEBUILDER_ASSETS, the cache, or PATH.

    Raises EnvironmentLackError naming what is missing and how to get it; also when a variable names no program.
    """
    variable = BUILT.get(name)
    if variable and environ.get(variable):
        return _program(Path(environ[variable]), variable)
    if name.startswith("kube") and environ.get("KUBEBUILDER_ASSETS"):
        asset = Path(environ["KUBEBUILDER_ASSETS"], name)
        if name == "kube-apiserver" or os.access(asset, os.X_OK):  # they often come without the controller manager
            return _program(asset, "KUBEBUILDER_ASSETS")
    if variable:
        built = cache_dir(environ) / "bin" / name
        if os.access(built, os.X_OK):
            return built.resolve()
        raise EnvironmentLackError(
            f"{name} is not built yet (no {built})", f"make parts builds it once, or set {variable}=PROGRAM"
        )
    path = environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    found = shutil.which(name, path=path)
    if found is None:
        raise EnvironmentLackError(f"{name} is not installed", f"apt-get install {PACKAGED.get(name, name)}")
    return Path(found)


def missing_parts(environ: Mapping[str, str] = os.environ) -> list[EnvironmentLackError]:
    """One error for each part of the names half that is not there."""
    errors = []
    for name in (*BUILT, *PACKAGED):
        try:
            find_part(name, environ)
        except EnvironmentLackError as error:
            errors.append(error)
    return errors


def _program(path: Path, variable: str) -> Path:
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise EnvironmentLackError(f"{variable}: {path} is no program", f"correct or unset {variable}")
    return path.absolute()
