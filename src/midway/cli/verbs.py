"""The verbs by what a person is about to do, each with an example: what `midway --help` shows."""

from __future__ import annotations

from typing import Any

import typer

START, LOOK, DATA, PARTS, ADVANCED = "Start", "Look at a run", "Data", "Parts", "Advanced"
VERBS: dict[str, tuple[str, str]] = {
    "demo": (START, "midway demo"),
    "check": (START, "midway check my.yaml"),
    "probe": (START, "midway probe smollm2 --questions gsm8k"),
    "run": (START, "midway run my.yaml pools.guided.samples=8"),
    "status": (LOOK, "midway status demo"),
    "view": (LOOK, "midway view demo"),
    "show": (LOOK, "midway show demo"),
    "report": (LOOK, "midway report demo --control unguided"),
    "compare": (LOOK, "midway compare runs/a runs/b --out a-and-b"),
    "data": (DATA, "midway data my.yaml --to trl --out my-data"),
    "verify": (DATA, "midway verify answers.jsonl --domain math"),
    "export": (DATA, "midway export demo --to sharegpt"),
    "list": (PARTS, "midway list recipes"),
    "heuristics": (PARTS, "midway heuristics list"),
    "models": (PARTS, "midway models get smollm2"),
    "serve": (ADVANCED, "midway serve my.yaml -- midway run my.yaml"),
    "theory": (ADVANCED, "midway theory P1"),
    "lab": (ADVANCED, "midway lab world -n 3"),
}
"""In the order in which they are shown: (what it is for, an example)."""


def arrange(app: typer.Typer) -> None:
    """Put the verbs of an app in order, under their headings, with their examples. A verb that is not in VERBS comes last."""
    order = list(VERBS)
    found: Any
    for found in (*app.registered_commands, *app.registered_groups):
        name = found.name or getattr(getattr(found, "callback", None), "__name__", "")
        if name not in VERBS:
            continue
        found.rich_help_panel, example = VERBS[name]
        found.epilog = f"Example: {example}"
        inner = getattr(found, "typer_instance", None)
        text = inner.info.help if inner is not None else found.help or getattr(found.callback, "__doc__", "")
        first = " ".join(str(text).partition("\n\n")[0].split())
        found.short_help = f"{first}\n{example}"
    app.registered_commands.sort(
        key=lambda c: (
            order.index(name) if (name := c.name or getattr(c.callback, "__name__", "")) in order else len(order)
        )
    )
