"""What `midway show` prints: the samples of a question in two arms, one after the other, safe for terminals.

Promises: no control code of a text reaches the terminal: what cannot be seen is written as its name, `<ESC>`, `<U+202E>`. A tab and a line
end stay. When things go wrong: RunError with the nearest names.
"""

from __future__ import annotations

import shutil
import textwrap
import unicodedata
from typing import TYPE_CHECKING, Any

import typer

from midway.records import UserError

if TYPE_CHECKING:
    from midway.view.viewed import Viewed

NAMES = {0: "NUL", 7: "BEL", 8: "BS", 13: "CR", 27: "ESC", 127: "DEL"}
LISTED = 20
"""Questions that are listed where none is asked for."""


def visible(text: str) -> str:
    """Return a text in which every character that a terminal obeys, or that nobody sees, is written as its name."""
    return "".join(_shown(c) for c in text)


def _shown(c: str) -> str:
    if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
        return c
    return f"<{NAMES.get(ord(c)) or f'U+{ord(c):04X}'}>"


def show_question(run: str, question: str, left: str, right: str, samples: int) -> None:
    """Print a question with `samples` samples of each of two arms; without a question, list some."""
    from midway.results import open_run
    from midway.view.viewed import Viewed

    viewed = Viewed(open_run(run).path)
    if not question:
        _list(viewed)
        return
    benchmark, id_ = _find(viewed, question)
    from midway.view.question import question as read
    from midway.view.viewed import Params

    values = {"benchmark": benchmark, "id": id_}
    for name, asked in (("left", left), ("right", right)):
        if asked:
            values[name] = _side(viewed, benchmark, asked)
    data = read(viewed, Params(values))
    q, width = data["question"], min(shutil.get_terminal_size().columns, 120)
    typer.echo(f"{benchmark}: {visible(q.get('name') or '')}  {q['id']}")
    typer.echo(_wrapped(q["text"] or "(the run does not keep its text)", width, ""))
    for n, choice in enumerate(q.get("choices") or ()):
        typer.echo(_wrapped(f"({chr(65 + n)}) {choice}", width, "  "))
    typer.echo(f"gold: {visible(str(q['gold']))}" if q["gold"] is not None else "gold: unknown")
    for name in ("left", "right"):
        _print_side(data[name], samples, width)


def _print_side(side: dict[str, Any], samples: int, width: int) -> None:
    rows = side["samples"]
    right = sum(row["judgement"] == "correct" for row in rows)
    judged = sum(row["judgement"] in ("correct", "wrong") for row in rows)
    typer.echo(f"\n== {side['key']}: {right} right of {judged} judged")
    if side.get("missing"):
        typer.echo("   no samples yet")
    for row in rows[:samples]:
        about = [row["judgement"] or "not judged yet", visible(row["reason"] or "")]
        about.append(
            f"read as {visible(row['extracted'])!s:.80}" if row["extracted"] is not None else "no answer was read"
        )
        about.append(f"{row['completion_tokens']} tokens" + (", cut off" if row["finish"] == "length" else ""))
        if ways := row["labels"] or row["ways"]:
            about.append(" + ".join(ways))
        typer.echo(f"-- #{row['index']}: {'; '.join(part for part in about if part)}")
        typer.echo(_wrapped("".join(text for text, _ in row["pieces"]), width, "   "))
    if len(rows) > samples:
        typer.echo(f"   and {len(rows) - samples} more: -n {len(rows)}")


def _wrapped(text: str, width: int, indent: str) -> str:
    lines = [
        piece
        for line in visible(text).split("\n")
        for piece in (textwrap.wrap(line, width - len(indent), drop_whitespace=False, replace_whitespace=False) or [""])
    ]
    return "\n".join(indent + line for line in lines)


def _find(viewed: Viewed, asked: str) -> tuple[str, str]:
    """Return (benchmark, id) of the one question whose id or name is, or begins with, what was asked for."""
    near: list[tuple[str, str, str]] = []
    for benchmark in viewed.run.benchmarks:
        known = viewed.questions(benchmark).select("id", "name").rows()
        known = known or [(id_, "") for id_ in viewed.grid(benchmark)["question_id"].unique().sort().to_list()]
        for id_, name in known:
            if asked in (id_, name):
                return benchmark, id_
            if id_.startswith(asked) or (name or "").startswith(asked):
                near.append((benchmark, id_, name or id_))
    if len(near) == 1:
        return near[0][:2]
    if near:
        some = ", ".join(visible(name) for _, _, name in near[:6])
        raise UserError(f"{asked!r} begins {len(near)} questions of {viewed.name}: {some} ...; write more of one")
    raise UserError(f"{viewed.name} has no benchmark question {asked!r}; `midway show {viewed.name}` lists some")


def _side(viewed: Viewed, benchmark: str, asked: str) -> str:
    """Return ARM.PHASE.SEED of what was given of it."""
    arms = viewed.run.arms
    keys = [ev.key for ev in viewed.evaluations(benchmark)]
    if asked in keys:
        return asked
    final = f"{asked}.{arms[asked].final_phase}." if asked in arms else f"{asked}."
    for start in (final, f"{asked}."):
        if found := next((key for key in keys if key.startswith(start)), None):
            return found
    raise UserError(f"{asked!r} has no samples on {benchmark}; there are {', '.join(keys)}")


def _list(viewed: Viewed) -> None:
    """List the questions on which the treatment is furthest below its control."""
    from midway.view.questions import asked_of, chosen, table_of
    from midway.view.viewed import Params

    for benchmark in viewed.run.benchmarks:
        asked = asked_of(viewed, Params({"benchmark": benchmark}))
        rows = chosen(table_of(viewed, asked), asked)
        control = asked.control.name if asked.control else "nothing"
        typer.echo(f"{benchmark}: {rows.height} questions, by {asked.arm.name} minus {control}, in points")
        for row in rows.head(LISTED).iter_rows(named=True):
            diff = "   n/a" if row["diff"] is None else f"{100 * row['diff']:+6.0f}"
            name = visible(row["name"] or row["id"])
            typer.echo(f"  {diff}  {name:<32.32} {visible(' '.join((row['text'] or '').split()))[:70]}")
