"""``toolflow tools``: catalogues on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolflow.cli.options.catalogues import LimitTools, Paths, SkipInvalid
from toolflow.cli.options.output import AsJson, ShowAll, check_output, open_console, print_json, say_written
from toolflow.cli.options.panels import examples
from toolflow.errors import UsageError
from toolflow.exit_codes import USAGE

if TYPE_CHECKING:
    from toolflow.catalog.load import LoadReport
    from toolflow.catalog.source import Source
    from toolflow.catalog.tool import Tool

_REFUSALS_SHOWN = 20
_TOOLS_SHOWN = 100
_EXAMPLES_SHOWN = 3

app = typer.Typer(help="Read, list and check tool catalogues.", no_args_is_help=True)


@app.command(
    "import",
    epilog=examples(
        "toolflow tools import my_tools.json more/ -o tools.jsonl.gz",
        "toolflow tools import --mcp-stdio 'npx some-server' --python my_package.my_module -o live.jsonl",
    ),
)
def import_(
    paths: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders or http(s) addresses, in any known format.", metavar="PATH"),
    ] = None,
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File to write; compressed if it ends in .gz.", metavar="FILE"),
    ],
    mcp_stdio: Annotated[
        list[str] | None,
        typer.Option(
            help="Start an MCP server and take its tools; may be repeated.", metavar='"COMMAND ARGS"'
        ),
    ] = None,
    mcp_url: Annotated[
        list[str] | None,
        typer.Option(help="Take the tools of an MCP server over HTTP; may be repeated.", metavar="URL"),
    ] = None,
    mcp_timeout: Annotated[
        float, typer.Option(min=0.1, help="Longest time that an MCP server may take.", metavar="SECONDS")
    ] = 30.0,
    python: Annotated[
        list[str] | None,
        typer.Option(
            help="Import Python code and take its functions as tools; may be repeated. The code is run.",
            metavar="MODULE[:FUNCTION]",
        ),
    ] = None,
    limit_tools: LimitTools = None,
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Turn catalogues of any known format into one file of canonical JSONL.

    Known formats, told by content: canonical JSONL; OpenAI function JSON
    (ToolEyes, τ-bench and dialogues with tools, too); OpenAPI 2 and 3, in JSON
    or YAML; MCP tools/list results (LiveMCPBench, too); RapidAPI (ToolBench);
    BFCL; ACEBench; Seal-Tools; ToolAlpaca; T-Eval; TaskBench; MetaTool;
    Schema-Guided Dialogue.
    """
    from toolflow.catalog.load import load_catalogue
    from toolflow.catalog.write import write_canonical

    sources = [*(paths or ()), *_live_sources(mcp_stdio or (), mcp_url or (), mcp_timeout, python or ())]
    if not sources:
        raise UsageError("nothing to import", hint="Give a PATH, --mcp-stdio, --mcp-url or --python.")
    check_output(output)
    report = load_catalogue(sources, skip_invalid=skip_invalid, limit=limit_tools)
    write_canonical(report.catalogue, output)
    if as_json:
        print_json(_counts(report) | {"output": str(output), "content_hash": report.catalogue.content_hash})
        return
    say_written(f"{_many(len(report.catalogue), 'tool')} written to {output}", output)
    _print_notes(report)


@app.command(
    "list",
    epilog=examples(
        "toolflow tools list --search weather",
        "toolflow tools list tools.jsonl --category travel --json",
    ),
)
def list_(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, folders or http(s) addresses; without any, the sample catalogue.", metavar="PATH"
        ),
    ] = None,
    *,
    category: Annotated[str | None, typer.Option(help="Only tools of this category.", metavar="NAME")] = None,
    search: Annotated[
        str | None, typer.Option(help="Only tools with this text in name or description.", metavar="TEXT")
    ] = None,
    show_all: ShowAll = False,
    as_json: AsJson = False,
) -> None:
    """List the tools of catalogues.

    With --json, the tools come as an array that "toolflow tools import" reads.
    """
    from toolflow.catalog.load import load_catalogue, load_sample

    catalogue = load_catalogue(paths).catalogue if paths else load_sample()
    tools = [tool for tool in catalogue if _is_wanted(tool, category, search)]
    if as_json:
        print_json([tool.to_canonical() for tool in tools])
        return
    _print_table(tools if show_all else tools[:_TOOLS_SHOWN])
    shown = "" if show_all or len(tools) <= _TOOLS_SHOWN else f", {_TOOLS_SHOWN} shown (--all shows the rest)"
    origin = "" if paths else " of the sample catalogue"
    typer.echo(f"{len(tools):,} of {len(catalogue):,} tools{origin}{shown}")


@app.command(
    epilog=examples(
        "toolflow tools check my_tools.json",
    )
)
def check(paths: Paths, *, show_all: ShowAll = False, as_json: AsJson = False) -> None:
    """Read catalogues to the end and tell what is wrong with them.

    Exit code 2 if entries were refused, as from every command that reads them; warnings do not count.
    """
    from toolflow.catalog.load import load_catalogue

    report = load_catalogue(paths, skip_invalid=True, allow_empty=True)
    if as_json:
        print_json(_counts(report) | _findings(report))
    else:
        _print_check(report, show_all=show_all)
    if report.skipped:
        raise typer.Exit(USAGE)


def _live_sources(
    commands: Sequence[str], urls: Sequence[str], timeout_seconds: float, targets: Sequence[str]
) -> Iterator[Source]:
    """What is no file: MCP servers and Python code."""
    if commands or urls:
        from toolflow.catalog.mcp_client import http_source, stdio_source

        yield from (stdio_source(command, timeout_seconds=timeout_seconds) for command in commands)
        yield from (http_source(url, timeout_seconds=timeout_seconds) for url in urls)
    if targets:
        from toolflow.catalog.callables import tools_from_python
        from toolflow.catalog.catalogue import canonical_line
        from toolflow.catalog.source import Source

        for target in targets:
            yield Source(target, content=b"".join(map(canonical_line, tools_from_python(target))))


def _is_wanted(tool: Tool, category: str | None, search: str | None) -> bool:
    if category is not None and (tool.category or "").casefold() != category.casefold():
        return False
    return search is None or search.casefold() in f"{tool.name}\n{tool.description}".casefold()


def _counts(report: LoadReport) -> dict[str, Any]:
    return {
        "tools": len(report.catalogue),
        "files": len(report.files),
        "formats": report.formats,
        "skipped": len(report.skipped),
        "repeats": report.repeats,
        "renamed": len(report.renamed),
        "ignored": len(report.ignored),
    }


def _findings(report: LoadReport) -> dict[str, Any]:
    tools = report.catalogue.tools
    return {
        "refused": [
            {
                "file": refusal.place.file,
                "line": refusal.place.line,
                "tool": refusal.tool,
                "field": refusal.field,
                "message": refusal.message,
            }
            for refusal in report.skipped
        ],
        "renames": report.renamed,
        "ignored_files": report.ignored,
        "no_description": [tool.name for tool in tools if not tool.description.strip()],
        "no_returns": [tool.name for tool in tools if tool.returns is None],
        "function_names": {
            tool.name: tool.function_name for tool in tools if tool.function_name != tool.name
        },
        "content_hash": report.catalogue.content_hash,
    }


def _print_check(report: LoadReport, *, show_all: bool) -> None:
    typer.echo(f"{_many(len(report.catalogue), 'tool')} in {_many(len(report.files), 'file')}")
    _print_notes(report)
    shown = report.skipped if show_all else report.skipped[:_REFUSALS_SHOWN]
    for refusal in shown:
        typer.echo(f"  {refusal}")
    if len(shown) < len(report.skipped):
        typer.echo(f"  … and {len(report.skipped) - len(shown):,} more (--all shows them)")
    findings = _findings(report)
    sent = [f"{name} → {function_name}" for name, function_name in findings["function_names"].items()]
    for warning, names in (
        ("without a description", findings["no_description"]),
        ("without a return schema", findings["no_returns"]),
        ("with a name that endpoints do not accept, sent under another", sent),
    ):
        if names:
            examples = _examples(names, show_all=show_all)
            typer.echo(f"warning: {_many(len(names), 'tool')} {warning}: {examples}")


def _examples(names: Sequence[str], *, show_all: bool) -> str:
    from toolflow.text import one_line

    shown = names if show_all else names[:_EXAMPLES_SHOWN]
    rest = ["…"] if len(shown) < len(names) else []
    return ", ".join([*(one_line(name, 160) for name in shown), *rest])


def _print_notes(report: LoadReport) -> None:
    formats = ", ".join(f"{name} {count:,}" for name, count in report.formats.items())
    if formats:
        typer.echo(f"  by format: {formats}")
    for note, count in (
        ("entries refused", len(report.skipped)),
        ("entries dropped as repeats", report.repeats),
        ("tools renamed because their names were taken", len(report.renamed)),
        ("files ignored because they are in no known format", len(report.ignored)),
    ):
        if count:
            typer.echo(f"  {note}: {count:,}")


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _print_table(tools: Iterable[Tool]) -> None:
    from rich.table import Table
    from rich.text import Text

    from toolflow.text import one_line

    console = open_console()
    table = Table(box=None, header_style="bold", expand=True, pad_edge=False)
    table.add_column("name", no_wrap=True, max_width=max(console.width // 3, 20))
    table.add_column("category", no_wrap=True, max_width=max(console.width // 8, 10))
    table.add_column("parameters", no_wrap=True, ratio=1)
    table.add_column("returns", no_wrap=True)
    table.add_column("description", no_wrap=True, ratio=2)
    for tool in tools:
        parameters = ", ".join(name if name in tool.required else f"{name}?" for name in tool.properties)
        table.add_row(
            Text(one_line(tool.name, console.width)),
            Text(one_line(tool.category or "", console.width)),
            Text(one_line(parameters, console.width)),
            "yes" if tool.returns is not None else "",
            Text(one_line(tool.description, console.width)),
        )
    console.print(table)
