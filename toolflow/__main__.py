"""The command: loads the command line, which Ctrl-C may interrupt as it may everything after it."""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``toolflow``."""
    try:
        from toolflow.cli import main as run  # noqa: PLC0415  takes a third of a second

        run()
    except KeyboardInterrupt:
        from toolflow.exit_codes import INTERRUPTED  # noqa: PLC0415  before the try, Ctrl-C would trace back

        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
