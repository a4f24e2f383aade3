"""``toolflow provider``: the rehearsal model as an OpenAI-compatible server."""

from __future__ import annotations

from typing import Annotated

import typer


def provider(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = 8089,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Anything but loopback lets other machines in.")
    ] = "127.0.0.1",
    mistakes: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of replies that hold a mistake such as a model makes.",
            metavar="RATE",
        ),
    ] = None,
) -> None:
    """Serve the rehearsal model over HTTP, for trying out a run without a key and without cost.

    The server speaks OpenAI's chat completions; point --base-url of another command at the printed address.
    It asks for no key. Ctrl-C stops it.
    """
    from toolflow.llm.providers.rehearsal import RehearsalProvider
    from toolflow.llm.server import serve
    from toolflow.runtime.loop import run

    rehearsal = RehearsalProvider() if mistakes is None else RehearsalProvider(mistakes=mistakes)
    run(serve(rehearsal, host=host, port=port, ready=_announce))


def _announce(base_url: str) -> None:
    typer.echo(f"Serving the rehearsal model at {base_url} (Ctrl-C stops)")
