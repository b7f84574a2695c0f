"""Where the kits are: ``bgp/``, ``dns/`` and ``deploy/`` of a checkout, or the packaged copies in ``netctl/_kits``."""

from __future__ import annotations

from pathlib import Path
from string import Template

from netctl.model.errors import EnvironmentLackError

_PACKAGE = Path(__file__).resolve().parent


def kit(name: str) -> Path:
    """The folder of the kit ``bgp``, ``dns`` or ``deploy`` (only its ``kubernetes/`` is packaged); a checkout's own is
    the first choice.

    Raises EnvironmentLackError when neither exists: a broken installation.
    """
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / name).is_dir():
        return checkout / name
    packaged = _PACKAGE / "_kits" / name
    if packaged.is_dir():
        return packaged
    raise EnvironmentLackError(f"the {name} kit is missing: no {packaged}", "install netctl again")


def template(name: str, file: str) -> Template:
    """A kit's file as a template with ``$placeholders``; lines that start with ``#:`` are notes to its readers."""
    path = kit(name) / file
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise EnvironmentLackError(f"{path}: {error.strerror}", "install netctl again") from None
    return Template("".join(line for line in text.splitlines(keepends=True) if not line.startswith("#:")))
