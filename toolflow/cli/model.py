"""``toolflow model``: small real models that run on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolflow.cli.options.output import AsJson, print_json
from toolflow.cli.options.panels import examples

if TYPE_CHECKING:
    from toolflow.llm.embedded.model_files import KnownModel

app = typer.Typer(
    help="Fetch and list small real models that run on this machine, without a server or a key.\n\n"
    "They prove the real path; their text is too weak to train on.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="A name that 'toolflow model list' shows.", metavar="NAME")]


@app.command(
    epilog=examples(
        "toolflow model fetch smollm2",
    )
)
def fetch(name: Name, *, as_json: AsJson = False) -> None:
    """Download a model's file with pip, check it and keep it in the cache.

    The cache is TOOLFLOW_CACHE, or toolflow in the user's cache folder. pip's settings (index, proxy) hold.
    Then: toolflow synth --model NAME, which needs ToolFlow's extra named embedded.
    """
    from rich.console import Console
    from rich.text import Text

    from toolflow.llm.embedded.model_files import fetch as fetch_file
    from toolflow.llm.embedded.model_files import known_model

    with Console(stderr=True).status("") as status:
        target = fetch_file(name, progress=lambda step: status.update(Text(step)))
    model = known_model(name)
    if as_json:
        print_json(_facts(model))
        return
    typer.echo(f"{name} is at {target}")
    typer.echo(model.about)
    if not _has_extra():
        typer.echo("To run it: pip install 'toolflow-synth[embedded]'")
    typer.echo(f"Try: toolflow synth -n 2 --model {name}")


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List the models that can be fetched, and where their files are.

    Any other GGUF file works too: toolflow synth --model FILE.gguf
    """
    from toolflow.llm.embedded.model_files import KNOWN_MODELS

    models = list(KNOWN_MODELS.values())
    if as_json:
        print_json([_facts(model) for model in models])
        return
    for model in models:
        state = str(model.path) if model.fetched else f"not fetched (toolflow model fetch {model.name})"
        typer.echo(f"{model.name}   {model.size / 1e6:.0f} MB   {model.licence}   {state}")
        typer.echo(f"  {model.about}")


@app.command()
def path(name: Name) -> None:
    """Print the path of a fetched model's file, and nothing else."""
    from toolflow.llm.embedded.model_files import known_model, resolve_model

    typer.echo(str(resolve_model(known_model(name).name)))


def _facts(model: KnownModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "fetched": model.fetched,
        "path": str(model.path),
        "size": model.size,
        "licence": model.licence,
        "about": model.about,
    }


def _has_extra() -> bool:
    import importlib.util

    return importlib.util.find_spec("xllamacpp") is not None
