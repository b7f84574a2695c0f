"""Kernel settings of this thread's network namespace, through /proc/sys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from netctl.fib.sysctls import Sysctl, required
from netctl.model.errors import EnvironmentLackError

_PROC_SYS = Path("/proc/sys")


def check_sysctls(interfaces: Sequence[str], gateway: str, root: Path = _PROC_SYS) -> list[str]:
    """What deviates, as ``net.ipv4.ip_forward 0 → 1``; changes nothing. ``interfaces`` are those of the peers."""
    return [_change(sysctl, found) for sysctl, found in _deviations(required(gateway, interfaces), root)]


def set_sysctls(interfaces: Sequence[str], gateway: str, root: Path = _PROC_SYS) -> list[str]:
    """Set what deviates; returns what was changed, as ``net.ipv4.ip_forward 0 → 1``.

    Raises EnvironmentLackError with the command for all that could not be set, after setting the others.
    """
    changed: list[str] = []
    for sysctl, found in _deviations(required(gateway, interfaces), root):
        if found is not None:
            try:
                root.joinpath(*sysctl.path).write_text(sysctl.accepted[0] + "\n")
            except OSError:
                continue
            changed.append(_change(sysctl, found))
    left = _deviations(required(gateway, interfaces), root)
    if missing := [sysctl.key for sysctl, found in left if found is None and not sysctl.optional]:
        raise EnvironmentLackError(
            f"this kernel or namespace has no setting {', '.join(missing)}",
            "check that the interfaces exist, that /proc/sys is mounted and that the kernel is 5.3 or later",
        )
    if wrong := [(sysctl, found) for sysctl, found in left if found is not None]:
        raise EnvironmentLackError(
            f"kernel settings that may not be changed from here: {', '.join(_change(*pair) for pair in wrong)}",
            "sysctl -w " + " ".join(f"{sysctl.key}={sysctl.accepted[0]}" for sysctl, _ in wrong),
        )
    return changed


def _change(sysctl: Sysctl, found: str | None) -> str:
    return f"{sysctl.key} is not there" if found is None else f"{sysctl.key} {found} → {sysctl.accepted[0]}"


def _deviations(wanted: Sequence[Sysctl], root: Path) -> list[tuple[Sysctl, str | None]]:
    """(setting, its value or None when there is none) of those that are not as they should be."""
    pairs = [(sysctl, _read(root.joinpath(*sysctl.path))) for sysctl in wanted]
    return [(sysctl, found) for sysctl, found in pairs if found not in sysctl.accepted]


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror or "unreadable"
