"""The command: loads the command line, which Ctrl-C may interrupt as it may everything after it."""

from __future__ import annotations

import sys

from toolflow.exit_codes import INTERRUPTED


def main() -> None:
    """Run ``toolflow``."""
    try:
        from toolflow.cli import main as run  # noqa: PLC0415  takes a third of a second

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
