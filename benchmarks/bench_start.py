"""How long the command takes to start, and how large the core install is.

    python -m benchmarks.bench_start [--install]

With ``--install`` a fresh virtual environment is made and the package installed into it from the checkout.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import spread, write

_UNWANTED = ("torch", "pandas", "pyarrow", "scipy", "datasets", "ray")


def start_seconds(repeats: int) -> dict[str, Any]:
    command = [str(Path(sys.executable).with_name("toolflow")), "--help"]
    samples: list[float] = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        samples.append(time.perf_counter() - began)
    return spread(samples[1:])


def install_size() -> dict[str, Any]:
    """Size of what installing the core adds to an empty environment, compiled modules included."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        python = environment / "bin" / "python"
        before = _bytes(environment)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", Path.cwd()], check=True
        )
        packages = sorted(path.name for path in environment.glob("lib/python*/site-packages/*/"))
        return {
            "added_mb": (_bytes(environment) - before) / 1e6,
            "environment_mb": _bytes(environment) / 1e6,
            "unwanted": [name for name in _UNWANTED if name in packages],
        }


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--install", action="store_true")
    arguments = parser.parse_args()
    results: dict[str, Any] = {"help_s": start_seconds(arguments.repeats)}
    print(f"toolflow --help: {results['help_s']['median']:.2f} s")
    if arguments.install:
        results["install"] = install_size()
        print(f"core install: {results['install']}")
    write("start", results)


if __name__ == "__main__":
    main()
