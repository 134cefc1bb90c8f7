"""`midway --help`: verbs under what a person is about to do, each with an example that exists."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import Any

import pytest

from midway.cli import app
from midway.cli.verbs import VERBS


def test_every_verb_stands_under_a_heading_with_an_example() -> None:
    env = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "midway", "--help"], capture_output=True, text=True, env=env, check=True
    )
    lines = [line.strip("│ ╭╮─╰╯") for line in done.stdout.splitlines()]
    groups = list(dict.fromkeys(group for group, _ in VERBS.values()))
    places = [lines.index(group) for group in groups]
    assert places == sorted(places), "start, look, data, parts, advanced"
    shown = {c.name or getattr(c.callback, "__name__", "") for c in app.registered_commands if not c.hidden}
    shown |= {group.name for group in app.registered_groups}
    assert shown == set(VERBS), "a new verb needs a heading and an example: cli/verbs.py"
    for verb, (group, example) in VERBS.items():
        at = next(n for n, line in enumerate(lines) if line.split(" ")[0] == verb)
        below = max(place for place in places if place < at)
        assert lines[below] == group
        assert example in lines[at:], verb


@pytest.mark.parametrize("verb", VERBS)
def test_an_example_is_understood(verb: str) -> None:
    """Its verb is this one, its words are parsed: every option it has is there, no argument is missing."""
    import typer.main

    program, *words = shlex.split(VERBS[verb][1])
    assert program == "midway" and words[0] == verb
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    assert command.make_context(name, words).command is command
