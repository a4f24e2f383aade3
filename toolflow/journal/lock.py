"""The lock of a run directory: one process at a time, whatever becomes of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

from toolflow.errors import RunDirectoryError
from toolflow.journal.lines import unusable


@contextlib.contextmanager
def locked(folder: Path) -> Generator[None]:
    """Hold a run directory; the kernel lets go when the process dies, however it dies.

    Args:
        folder: The run directory; it is there.

    Raises:
        RunDirectoryError: Another process is using it, or it cannot be locked.
        OSError: The lock file cannot be made.
    """
    try:
        import fcntl  # noqa: PLC0415  not on every platform
    except ImportError:
        yield
        return
    with (folder / ".lock").open("a+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = (file.read(20) or b"").decode("ascii", "replace").strip()
            raise RunDirectoryError(
                f"{folder} is in use by another process" + (f" (PID {holder})" if holder else ""),
                hint="Wait for it to end, or choose another folder with -o RUN.",
            ) from None
        except OSError as error:
            raise RunDirectoryError(
                f"{folder} cannot be locked: {error.strerror or error}",
                hint="File systems over a network often cannot be, and a journal is not safe there: choose a "
                "folder on a local disk with -o RUN.",
            ) from error
        with contextlib.suppress(OSError):  # it only helps the reader, and the disk may be full
            file.truncate(0)
            file.write(b"%d\n" % os.getpid())
        yield


def require_free(folder: Path) -> None:
    """Refuse a run directory that another process is using.

    Raises:
        RunDirectoryError: One is, or the folder cannot be locked.
    """
    try:
        with locked(folder):
            return
    except OSError as error:
        raise unusable(folder, error) from error
