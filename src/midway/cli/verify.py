"""`midway verify`: judge completions in a file."""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    from midway.records import Question

_COLUMNS = (
    "id, domain and completion, and for math: answer; choice: choices, answer_index; code: test, test_list or tests"
)


def _open(path: Path) -> TextIO:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _fail(message: str) -> typer.Exit:
    typer.echo(f"midway verify: {message}", err=True)
    return typer.Exit(2)


def question_of(row: dict[str, Any]) -> Question:
    """Return the question that a row of the file describes. Raises KeyError, TypeError or ValueError if it does not."""
    from midway.records import Question
    from midway.verify.code import tests_of

    text, domain = str(row.get("question") or ""), row["domain"]
    meta = {k: row[k] for k in ("tolerance", "time_limit") if row.get(k)}
    if domain == "math":
        return Question("math", text, answer=str(row["answer"]), meta=meta)
    if domain == "choice":
        return Question("choice", text, choices=tuple(map(str, row["choices"])), answer_index=int(row["answer_index"]))
    if domain == "code":
        return Question("code", text, tests=tests_of(row), meta=meta)
    raise ValueError(f"domain must be math, choice or code, not {domain!r}")


def _rows(file: TextIO, bad: dict[int, str]) -> Iterator[tuple[int, Any, Question | None, str, bool]]:
    """Line number, id, question (None for a row that cannot be read; `bad` then says why), completion, truncated."""
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        name: Any = None
        try:
            row = json.loads(line)
            name = row.get("id", row.get("task_id"))
            text = str(row["completion"])
            cut = bool(row.get("truncated")) or row.get("finish_reason") == "length"
            question = question_of(row)
        except KeyError as error:
            bad[number] = f"no column {error}" if error.args and " " not in str(error.args[0]) else str(error.args[0])
            yield number, name, None, "", False
        except (AttributeError, TypeError, ValueError) as error:
            bad[number] = str(error)
            yield number, name, None, "", False
        else:
            yield number, name, question, text, cut


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""

    @app.command()
    def verify(
        file: Path = typer.Argument(..., metavar="FILE.jsonl", help=f"One JSON object a line: {_COLUMNS}."),
        out: Path | None = typer.Option(None, "--out", help="Write the verdicts here instead of to standard output."),
        workers: int | None = typer.Option(None, "--workers", min=1, help="Processes. Default: processors, at most 8."),
        require_sandbox: bool = typer.Option(
            False, "--require-sandbox", help="Refuse to run programs where there is no full sandbox (bubblewrap)."
        ),
    ) -> None:
        """Judge completions: correct, wrong, or unjudged, with the extracted answer and the reason.

        Writes JSON lines `id, verdict, extracted, reason` in the order of the input, and a summary to standard error.
        Exit code 0 when every row was judged or honestly not judged, whatever the verdicts; 2 when a row cannot be
        read.
        """
        from midway.verify import Verifier
        from midway.verify.sandbox import SandboxUnavailable, require

        if not file.is_file():
            raise _fail(f"there is no file {file}")
        started, counts, reasons, bad = time.monotonic(), Counter[str](), Counter[str](), dict[int, str]()
        with ExitStack() as stack:
            lines = stack.enter_context(_open(file))
            sink = stack.enter_context(out.open("w", encoding="utf-8")) if out else sys.stdout
            verifier = stack.enter_context(Verifier(workers, require_sandbox=require_sandbox))
            if require_sandbox:
                try:
                    require()
                except SandboxUnavailable as error:
                    raise _fail(str(error)) from None
            for name, verdict in verify_rows(verifier, _rows(lines, bad), bad):
                counts[verdict["verdict"]] += 1
                reasons[verdict["reason"].split(":")[0].split(" (")[0]] += verdict["verdict"] != "correct"
                print(json.dumps({"id": name, **verdict}, ensure_ascii=False), file=sink)
        total, seconds = sum(counts.values()), time.monotonic() - started
        parts = ", ".join(f"{counts[k]} {k}" for k in ("correct", "wrong", "unjudged"))
        typer.echo(f"{total} rows: {parts}; {seconds:.1f} s", err=True)
        for reason, count in reasons.most_common(12):
            if count:
                typer.echo(f"  {reason}: {count}", err=True)
        if bad:
            first, why = next(iter(bad.items()))
            raise _fail(f"{len(bad)} rows of {file} cannot be read, first line {first}: {why}. A row needs {_COLUMNS}.")


def verify_rows(
    verifier: Any, rows: Iterator[tuple[int, Any, Question | None, str, bool]], bad: dict[int, str]
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield `(id, verdict as a row)` in input order; a row without a question is `unjudged: bad-row`."""
    from itertools import tee

    from midway.records import Question

    left, right = tee(rows)
    empty = Question("math", "")
    verdicts = verifier.verify_batch((q or empty, text, cut) for _, _, q, text, cut in left)
    for (number, name, question, _, _), verdict in zip(right, verdicts, strict=True):
        reason = verdict.reason if question else f"bad-row: line {number}: {bad[number]}"
        yield name, {"verdict": str(verdict.judgement), "extracted": verdict.extracted, "reason": reason}
