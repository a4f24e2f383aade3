"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, content: Iterable[bytes], *, unfinished: str = ".tmp") -> None:
    """Write a file so that readers see the old content or the new, never a part.

    A symbolic link stays, and the file that it leads to is replaced. What is no regular file, such as a pipe
    or ``/dev/stdout``, cannot be replaced: it is written to as it is.

    Args:
        path: The file; its folder has to be there.
        content: Its parts, in order.
        unfinished: Behind the name of the file while it is written. It is to differ where several processes
            may write the same one.

    Raises:
        OSError: It cannot be written; an old file is then as it was, and nothing is left beside it.
    """
    if path.parent == Path("/dev") or (path.exists() and not path.is_file()):
        with path.open("ab") as stream:
            stream.writelines(content)
        return
    target = path.resolve() if path.is_symlink() else path
    beside = target.with_name(target.name + unfinished)
    try:
        with beside.open("wb") as file:
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except BaseException:
        with suppress(OSError):  # there may be no such folder
            beside.unlink()
        raise
