"""A completion is hostile input: a script, 100,000 characters without a space, NUL, terminal codes, marks that turn the writing round."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from midway.cli.samples import show_question
from midway.records import UserError
from midway.view import ViewServer
from midway.view.viewed import Runs

HARMFUL = ("\x1b", "\x00", "\x9b", "\u202e", "\u200b")
NAMED = ["ESC", "ESC", "NUL", "U+202E", "U+202C", "U+200B", "U+009B"]
"""What stands on the page instead, in the order of the text."""


@pytest.fixture(scope="module")
def hurt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run with a hostile question and two hostile samples of it, and its id."""
    from view_runs import add_hostile, unpack  # type: ignore[import-not-found]

    path = unpack(tmp_path_factory.mktemp("hostile"))
    return path, add_hostile(path)


@pytest.fixture(scope="module")
def server(hurt: tuple[Path, str]) -> Iterator[ViewServer]:
    found = ViewServer(Runs([hurt[0]]))
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


@pytest.mark.parametrize("width", [400, 1400])
def test_a_hostile_text_is_shown_as_text(page: Any, server: ViewServer, hurt: tuple[Path, str], width: int) -> None:
    from view_runs import HOSTILE, LONG

    page.size(width)
    page.open(f"{server.url}#/run/small/question?id={hurt[1]}")
    assert page.texts("[data-side=right] .text .hidden-char") == NAMED
    shown = page.text("[data-side=right] .text")
    for name in dict.fromkeys(NAMED):
        shown = shown.replace(name, "\ufffd")
    assert shown == "".join("\ufffd" if ord(c) in (0x1B, 0, 0x202E, 0x202C, 0x200B, 0x9B) else c for c in HOSTILE)
    assert page.texts("[data-side=right] .text")[1] == LONG
    assert page.texts("[data-side=right] .text .answer")[:1] == ["7"] or page.text("[data-side=right] .text .answer")
    for rest in ("/questions", "/verifier?show=longest", f"/question?id={hurt[1]}"):
        page.open(f"{server.url}#/run/small{rest}")
        assert page.overflow() == 0, rest
    assert page.js("window.hacked === undefined && !document.querySelector('#page script, #page img')")
    assert "<script>window.hacked" in page.text(".question")


def test_the_terminal_gets_no_control_code(hurt: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    show_question(str(hurt[0]), hurt[1], "base", "", 2)
    said = capsys.readouterr().out
    assert not any(code in said for code in HARMFUL)
    assert "<ESC>[31mred<ESC>[0m null:<NUL>: turned:<U+202E>esrever" in said.replace("\n   ", "")
    assert "== base.base.0" in said and "== polya.after-rl.0" in said
    assert max(len(line) for line in said.splitlines()) <= 120


def test_a_question_is_found_by_its_name_or_its_beginning(
    hurt: tuple[Path, str], midway: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    listed = midway("show", hurt[0]).stdout
    name = next(line.split()[1] for line in listed.splitlines() if "lab-test-" in line)
    show_question(str(hurt[0]), name, "", "", 1)
    assert name in capsys.readouterr().out
    with pytest.raises(UserError, match="write more of one"):
        show_question(str(hurt[0]), "lab-test", "", "", 1)
    with pytest.raises(UserError, match=r"polya\.after-rl\.0"):
        show_question(str(hurt[0]), name, "", "polly", 1)
