"""What every benchmark record holds: machine, versions, raw samples and their spread."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "local"


def facts() -> dict[str, Any]:
    """Where and with what a benchmark ran."""
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "versions": {
            name: version(name)
            for name in ("toolflow-synth", "aiohttp", "msgspec", "jsonschema-rs", "uvloop")
        },
    }


def peak_mb() -> float:
    """The most memory this process has held, in MiB.

    Linux counts it anew for a program; getrusage tells no less than what the parent held when it began.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def spread(samples: Sequence[float]) -> dict[str, Any]:
    """Samples with their median and extremes."""
    return {
        "median": statistics.median(samples),
        "min": min(samples),
        "max": max(samples),
        "samples": list(samples),
    }


def write(name: str, results: Mapping[str, Any]) -> Path:
    """Write a record to ``results/local`` and print where."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"benchmark": name, "facts": facts(), "results": results}, indent=2) + "\n")
    print(f"written: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return path
