"""Remove what a lab has on disk, also while somebody still writes there."""

from __future__ import annotations

import errno
import shutil
import time
from contextlib import suppress
from pathlib import Path

_WITHIN_S = 30.0
_FILES_LAST = ("lock",)
_WRITTEN_MEANWHILE = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)


def remove(state_dir: Path) -> None:
    """Remove STATE, the lock last: a ``down`` that is killed here is finished by the next one.

    A drill's runner, which lives outside the lab, may not have noticed yet: what it writes anew goes too.
    Raises OSError.
    """
    deadline = time.monotonic() + _WITHIN_S
    while left := [path for path in state_dir.iterdir() if path.name not in _FILES_LAST]:
        for path in left:
            try:
                _remove_one(path)
            except OSError as error:
                if error.errno not in _WRITTEN_MEANWHILE or time.monotonic() > deadline:
                    raise
    (state_dir / "lock").unlink(missing_ok=True)
    with suppress(OSError):  # somebody builds the next one already
        state_dir.rmdir()
    with suppress(OSError):  # other labs
        state_dir.parent.rmdir()


def _remove_one(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
