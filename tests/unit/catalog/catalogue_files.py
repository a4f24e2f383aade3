"""Writes small catalogues for the tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_lines(folder: Path, *lines: Any, name: str = "tools.jsonl") -> Path:
    """Write values as JSONL and give the path."""
    path = folder / name
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


def write_document(folder: Path, value: Any, name: str = "tools.json") -> Path:
    """Write one value as an indented JSON document and give the path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
    return path
