"""`midway verify`: judge completions in a file."""

from __future__ import annotations

import gzip
import json
import sys
import time
import zlib
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from midway.cli.saying import stop
from midway.wording import plural

if TYPE_CHECKING:
    from midway.domains import Verifier
    from midway.records import Question, Verdict

_COLUMNS = (
    "id, domain and completion, and for math: answer; choice: choices, answer_index; code: test, test_list or tests"
)


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the file; without a question, `problem` says why it cannot be read."""

    number: int
    name: Any
    question: Question | None = None
    text: str = ""
    truncated: bool = False
    problem: str = ""
    columns: dict[str, Any] = field(default_factory=dict)
    """The row as it was read."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """How rows are read: what the file calls midway's columns, the domain of rows that name none, and questions from another file."""

    columns: Mapping[str, str] = field(default_factory=dict)
    domain: str | None = None
    questions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Rows with the gold, by id and by text."""

    def named(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the row under midway's names, with its question's gold. Raises KeyError for a column or question that is not there."""
        named = dict(row)
        for name, column in self.columns.items():
            if column not in row:
                raise KeyError(f"no column '{column}' (for {name})")
            named[name] = row[column]
        if self.questions:
            key = named.get("question_id", named.get("question"))
            if str(key) not in self.questions:
                raise KeyError(f"its question {str(key)[:60]!r} is not in the file of questions")
            named = {**self.questions[str(key)], **{k: v for k, v in named.items() if k not in ("domain",) or v}}
        if self.domain is not None:
            named.setdefault("domain", self.domain)
        return named


def _open(path: Path) -> BinaryIO:
    if str(path) == "-":
        return sys.stdin.buffer
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _fail(message: str) -> typer.Exit:
    return stop(message)


def _completion(row: dict[str, Any]) -> str:
    """The completion: text, or a conversation whose last message counts."""
    value = row["completion"]
    if isinstance(value, list) and value and isinstance(value[-1], dict) and "content" in value[-1]:
        value = value[-1]["content"]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError(f"completion must be text, not {'null' if value is None else type(value).__name__}")
    return str(value)


def _rows(file: BinaryIO, reading: _Reading) -> Iterator[_Row]:
    """Every line that is not blank, one at a time."""
    from midway.domains import question_of

    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        name: Any = None
        row: dict[str, Any] = {}
        try:
            read = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            if not isinstance(read, dict):
                raise TypeError("not a JSON object")
            row = read
            name = row.get("id", row.get("task_id"))
            cut = bool(row.get("truncated")) or row.get("finish_reason") == "length"
            named = reading.named(row)
            question = question_of({"domain": named["domain"], **named})
            yield _Row(number, name, question, _completion(named), cut, columns=row)
        except KeyError as error:
            missing = str(error.args[0])
            problem = missing if " " in missing else f"no column '{missing}'"
            yield _Row(number, name, problem=problem, columns=row)
        except (AttributeError, OverflowError, RecursionError, TypeError, ValueError) as error:
            yield _Row(number, name, problem=f"{error}"[:300], columns=row)


def _reading(columns: str | None, domain: str | None, questions: Path | None) -> _Reading:
    """Return how rows are read. Ends the process for what cannot be used."""
    from midway.questions import QuestionError
    from midway.questions.rows import read_file
    from midway.registry import has, names

    pairs = [pair.partition("=") for pair in (columns or "").split(",") if pair.strip()]
    if wrong := next(
        (name for name, equals, column in pairs if not (name.strip() and equals and column.strip())), None
    ):
        raise _fail(f"--columns: write NAME=COLUMN, such as completion=output,answer=gold (there is {wrong!r})")
    if domain is not None and not has("domains", domain):
        raise _fail(f"--domain {domain}: there is no such domain; there are {', '.join(names('domains'))}")
    known: dict[str, Mapping[str, Any]] = {}
    if questions is not None:
        try:
            for _, row in read_file(questions):
                for key in (row.get("id"), row.get("question_id"), row.get("question")):
                    if key is not None:
                        known[str(key)] = {k: v for k, v in row.items() if k not in ("id", "completion")}
        except QuestionError as error:
            raise _fail(str(error)) from None
    return _Reading({name.strip(): column.strip() for name, _, column in pairs}, domain, known)


def _with_cases(question: Question, text: str, truncated: bool) -> tuple[Verdict, dict[str, Any]]:
    """The verdict, and the outcome of every input/output case."""
    from midway.records import Judgement, Verdict
    from midway.verifier.programs.judge import case_results
    from midway.verifier.programs.sandbox import SandboxUnavailable

    try:
        found = case_results(question, text, truncated=truncated)
    except SandboxUnavailable as error:
        return Verdict(Judgement.UNJUDGED, None, f"no-sandbox: {error}"[:300]), {}
    return found.verdict(), {"score": found.score, "cases": [case.status for case in found.cases]}


def verify_rows(verifier: Verifier, rows: Iterator[_Row], cases: bool = False) -> Iterator[tuple[_Row, dict[str, Any]]]:
    """Yield every row with its verdict as a dictionary, in input order; an unreadable row is `unjudged: bad-row`."""
    from midway.domains import WINDOW
    from midway.records import Judgement, Verdict

    waiting: deque[tuple[_Row, Future[Any]]] = deque()
    with ThreadPoolExecutor(verifier.workers) as threads:  # starts none before the first task

        def start(row: _Row) -> Future[Any]:
            if row.question and cases and row.question.tests and row.question.tests.io:
                return threads.submit(_with_cases, row.question, row.text, row.truncated)
            if row.question:
                return verifier.submit(row.question, row.text, truncated=row.truncated)
            done: Future[Any] = Future()
            done.set_result(Verdict(Judgement.UNJUDGED, None, f"bad-row: line {row.number}: {row.problem}"))
            return done

        def first() -> tuple[_Row, dict[str, Any]]:
            row, future = waiting.popleft()
            value = future.result()
            verdict, extra = value if isinstance(value, tuple) else (value, {})
            return row, {
                "verdict": str(verdict.judgement), "extracted": verdict.extracted, "reason": verdict.reason, **extra
            }  # fmt: skip

        for row in rows:
            waiting.append((row, start(row)))
            while waiting and (len(waiting) > WINDOW or waiting[0][1].done()):
                yield first()
        while waiting:
            yield first()


def _line(row: dict[str, Any]) -> bytes:
    """One row of output; what is no valid Unicode is escaped."""
    try:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(row).encode() + b"\n"


def _explained(row: _Row, verdict: dict[str, Any]) -> str:
    """How one row was read, for a person."""
    from midway.registry import domain

    lines = [f"line {row.number} ({row.name}): {verdict['verdict']}, {verdict['reason']}"]
    if row.question:
        lines += domain(row.question.domain).explain(row.question, row.text, truncated=row.truncated)
    return "\n  ".join(lines).encode("utf-8", "replace").decode()


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""

    @app.command()
    def verify(
        file: Path = typer.Argument(
            ..., metavar="FILE.jsonl", help=f"One JSON object a line: {_COLUMNS}. `-` is standard input."
        ),
        columns: str | None = typer.Option(
            None,
            "--columns",
            metavar="NAME=COLUMN,...",
            help="What the file calls them: completion=output,answer=gold.",
        ),
        domain: str | None = typer.Option(None, "--domain", help="The domain of rows that name none, such as math."),
        questions: Path | None = typer.Option(
            None,
            "--questions",
            metavar="FILE",
            help="A file with the golds; rows name theirs by question_id or question.",
        ),
        join: bool = typer.Option(False, "--join", help="Write the whole row with the verdict, not the verdict alone."),
        out: Path | None = typer.Option(None, "--out", help="Write the verdicts here instead of to standard output."),
        workers: int | None = typer.Option(None, "--workers", min=1, help="Processes. Default: processors, at most 8."),
        require_sandbox: bool = typer.Option(
            False, "--require-sandbox", help="Refuse to run programs where there is no full sandbox (bubblewrap)."
        ),
        cases: bool = typer.Option(
            False, "--cases", help="Run every input/output case of a program; add each one's outcome and the score."
        ),
        explain: bool = typer.Option(
            False, "--explain", help="Print how each text was read, instead of JSON lines (--out still gets those)."
        ),
    ) -> None:
        """Judge completions: correct, wrong, or unjudged, with the extracted answer and the reason.

        Writes JSON lines `id, verdict, extracted, reason` in the order of the input, and a summary to standard error.
        Exit code 0 when every row was judged or honestly not judged, whatever the verdicts; 2 when a row cannot be
        read.
        """
        from midway.domains import Verifier
        from midway.verifier.programs.sandbox import SandboxUnavailable, require

        if not file.is_file() and str(file) != "-":
            raise _fail(f"there is no file {file}")
        reading = _reading(columns, domain, questions)
        if out and out.exists() and str(file) != "-" and out.samefile(file):
            raise _fail(f"--out {out} is the file that is read; give it another name")
        if require_sandbox:
            try:
                require()
            except SandboxUnavailable as error:
                raise _fail(str(error)) from None
        started, counts, reasons, bad = time.monotonic(), Counter[str](), Counter[str](), list[_Row]()
        with ExitStack() as stack:
            try:
                lines = stack.enter_context(_open(file))
                sink = stack.enter_context(out.open("wb")) if out else sys.stdout.buffer
            except OSError as error:
                raise _fail(str(error)) from None
            verifier = stack.enter_context(Verifier(workers, require_sandbox=require_sandbox))
            try:
                for row, verdict in verify_rows(verifier, _rows(lines, reading), cases):
                    counts[verdict["verdict"]] += 1
                    reasons[verdict["reason"].split(":")[0].split(" (")[0]] += verdict["verdict"] != "correct"
                    if row.question is None:
                        bad.append(row)
                    if explain:
                        typer.echo(_explained(row, verdict))
                    if out or not explain:
                        sink.write(_line({**row.columns, **verdict} if join else {"id": row.name, **verdict}))
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise _fail(f"{file} cannot be read to its end: {error}") from None
            sink.flush()
        total, seconds = sum(counts.values()), time.monotonic() - started
        parts = ", ".join(f"{counts[k]} {k}" for k in ("correct", "wrong", "unjudged"))
        typer.echo(f"{plural(total, 'row')}: {parts}; {seconds:.1f} s", err=True)
        for reason, count in reasons.most_common(12):
            if count:
                typer.echo(f"  {reason}: {count}", err=True)
        if bad:
            first = f"first line {bad[0].number}: {bad[0].problem}"
            raise _fail(f"{plural(len(bad), 'row')} of {file} cannot be read, {first}. A row needs {_COLUMNS}.")
