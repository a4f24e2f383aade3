"""``toolflow explain``: one dialogue of a run, for a reader."""

from __future__ import annotations

from toolflow.cli.options.output import AsJson, open_console, print_json
from toolflow.cli.options.panels import examples
from toolflow.cli.options.runs import DialogueName, RunFolder

EXAMPLES = examples(
    "toolflow explain runs/paid",
    "toolflow explain runs/paid 17 --json",
)


def explain(
    run: RunFolder,
    dialogue: DialogueName = None,
    as_json: AsJson = False,
) -> None:
    """Show one dialogue: its tools and plan, what was said, each LLM call and its cost, why it was dropped.

    Works for accepted, rejected, failed and unfinished dialogues, also while the run goes on. Nothing is
    asked of a model: the dialogue is played again from the journal.
    """
    import asyncio

    from toolflow.rework.explanation import explain as explain_dialogue
    from toolflow.rework.explanation import find_index
    from toolflow.rework.replay import Rework
    from toolflow.view.transcript import render_explanation

    with Rework(run) as rework:
        document = asyncio.run(explain_dialogue(rework, find_index(rework, dialogue)))
    if as_json:
        print_json(document)
    else:
        open_console().print(render_explanation(document))
