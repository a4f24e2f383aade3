"""Where ToolFlow keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``TOOLFLOW_CACHE``, or ``toolflow`` in the user's cache folder; it may not exist yet."""
    own = os.environ.get("TOOLFLOW_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "toolflow"
