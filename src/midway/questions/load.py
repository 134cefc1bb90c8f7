"""From a recipe's source to questions.

Promises: the same source gives the same questions in the same order; an order that depends on nothing but the rows and `seed`. Nothing
is skipped in silence: what is dropped on purpose (repeats, rows published without an answer) is counted in the notes, and any other row
that cannot become a question is an error. When things go wrong: QuestionError, naming file and line, the columns or splits that
are there, and what to write instead.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from midway.questions import shipped
from midway.questions.base import Convert, KnownSet, NoGold, NotHere, Part, QuestionError, RowError
from midway.questions.custom import own_convert
from midway.questions.known import KNOWN, known_set
from midway.questions.rows import ENDINGS, Placed, is_file_name, read_file, read_hub
from midway.recipe.schema import SourceConfig
from midway.records import Domain, Question, content_id
from midway.registry import SourcePart, domain, find, has, names, near
from midway.wording import plural

log = logging.getLogger("midway.questions")


@dataclass(frozen=True)
class Loaded:
    """Questions, and what a reader should know about how they came about (repeats dropped, fewer than asked for ...)."""

    questions: list[Question]
    notes: list[str]


def load(source: SourceConfig, *, data: str | None = None) -> list[Question]:
    """Return the questions of a source; `data` is a local folder that is looked in before the Hub.

    Notes (see `read`) go to the log `midway.questions` as warnings. Raises QuestionError.
    """
    loaded = read(source, data=data)
    for note in loaded.notes:
        log.warning(note)
    return loaded.questions


def read(source: SourceConfig, *, data: str | None = None) -> Loaded:
    """As `load`, returning the notes as well."""
    if data is not None and not Path(data).is_dir():
        raise QuestionError(f"{data}: no such folder (the folder with benchmark files)")
    if not Path(source.source).is_file() and (part := _part(source.source)) is not None:
        found = part.load(source, data=data)
        if isinstance(found, Loaded):
            return found
        stem = source.source.replace(":", "-").replace("/", "-")
        named = [q if q.name else replace(q, name=f"{stem}-{n:05d}") for n, q in enumerate(found)]
        return _drawn(source, *_unique(source.source, named, [], published=False))
    return _drawn(source, *_unique(source.source, *_own(source, data), published=False))


def read_known(known: KnownSet, source: SourceConfig, *, data: str | None) -> Loaded:
    """Return the questions of a known set."""
    return _drawn(source, *_unique(source.source, *_known(known, source, data), published=True))


def _part(name: str) -> SourcePart | None:
    """Return the source registered under a name: `gsm8k` (`-`, `_` and upper case do not matter), or `gym:chain_sum` for `gym`."""
    known = known_set(name)
    stem = known.name if known else name.partition(":")[0]
    return find("sources", stem) if has("sources", stem) else None


def few_shot_examples(name: str, n: int = 4, *, data: str | None = None) -> list[Question]:
    """Return the first `n` rows with a solution of the published split that serves a known set for worked examples.

    Raises QuestionError for a set that has no such split.
    """
    known = known_set(name)
    if known is None or known.few_shot is None:
        has_some = [k.name for k in KNOWN.values() if k.few_shot]
        raise QuestionError(
            f"{name}: no published split with worked solutions to take examples from (there is one for {', '.join(has_some)})\n"
            "  set few_shot: 0"
        )
    where, split = known.few_shot
    questions = [q for q in load(SourceConfig(source=where, split=split), data=data) if q.solution]
    if len(questions) < n:
        raise QuestionError(
            f"{name}: {plural(n, 'example is', 'examples are')} asked for, "
            f"{where}/{split} has {plural(len(questions), 'row')} with a solution"
        )
    return questions[:n]


def worked_solution(question: Question) -> str:
    r"""Return the reference solution so that it ends in the answer: one that has no `\boxed{}` or `####` gets a last line with it.

    For worked examples and for fine-tuning on reference solutions: an answer format other than the one asked for would be learnt too.
    Raises QuestionError when the question has no solution.
    """
    if not question.solution:
        raise QuestionError(f"question {question.name or question.id} ({question.source}) has no reference solution")
    if question.answer is None or "\\boxed" in question.solution or "####" in question.solution:
        return question.solution
    return f"{question.solution.rstrip()}\nThe answer is $\\boxed{{{question.answer}}}$."


def _known(known: KnownSet, source: SourceConfig, data: str | None) -> tuple[list[Question], list[str]]:
    if source.domain not in (None, known.domain):
        raise QuestionError(f"{known.name}: its questions are {known.domain}, not {source.domain}; leave `domain` out")
    if source.columns:
        raise QuestionError(
            f"{known.name}: its columns are known; leave `columns` out, or write the Hub id (source: {known.hub}) with domain and columns"
        )
    if unknown := [name for name in source.options if name != "skip_bad"]:
        raise QuestionError(f"{known.name}: unknown option {unknown[0]!r}; this set has only skip_bad")
    if source.subset is not None and source.subset not in known.parts:
        names = [name for name in known.parts if name]
        raise QuestionError(
            f"{known.name}: there is no subset {source.subset!r}{near(source.subset, names) if names else '; it has none'}"
        )
    subsets = known.subsets() if source.subset is None else (source.subset,)
    questions: list[Question] = []
    notes: list[str] = []
    for subset in subsets:
        splits = known.parts[subset]
        if source.split not in splits:
            raise QuestionError(f"{known.name}: there is no split {source.split!r}; it has {', '.join(splits)}")
        label = "/".join(filter(None, (known.name, subset, source.split)))
        rows = _rows(known, label, splits[source.split], source.revision, data, notes)
        questions += _convert(label, known.domain, rows, known.convert, notes, source, known.hub)
    return questions, notes


def _rows(
    known: KnownSet, label: str, part: Part, revision: str | None, data: str | None, notes: list[str]
) -> list[Placed]:
    missing = ""
    if data is not None:
        folder = next(
            (f for f in (Path(data) / known.name, Path(data) / known.name.replace("-", "_")) if f.is_dir()), None
        )
        files = [_file(folder, stem) for stem in part.files] if folder else []
        found = [f for f in files if f]
        if found and len(found) == len(files):
            if revision:
                notes.append(f"{label}: revision {revision} is not used, the rows are from {found[0].parent}")
            rows = [placed for file in found for placed in read_file(file)]
            if part.only:
                rows = [(place, row) for place, row in rows if row.get("split", part.only) == part.only]
                if not rows:
                    raise QuestionError(f"{label}: no row of {found[0]} has `split: {part.only}`")
            if part.rows is not None and len(rows) != part.rows:
                notes.append(
                    f"{label}: {found[0].parent} has {plural(len(rows), 'row')}, the published split {part.rows}"
                )
            return rows
        wanted = [s for s, f in zip(part.files, files, strict=False) if not f] or part.files
        there = sorted(p.name for p in folder.iterdir()) if folder else []
        missing = f"\n  {Path(data) / known.name} has no {', '.join(wanted)}{ENDINGS[0]}" + (
            f"; there: {', '.join(there)}" if there else ""
        )
    here = shipped.files(known.name, part)
    if here and (part.split is None or (revision is None and not shipped.hub_answers())):
        if part.split is not None:
            notes.append(f"{label}: the Hub cannot be reached; the rows are those that come with midway")
        return [placed for file in here for placed in read_file(file)]
    if part.split is None:
        raise NotHere(f"{label}: not on the Hub; it comes from a local folder only (--data DIR){missing}")
    try:
        return read_hub(known.hub, part.config, part.split, revision)
    except QuestionError as error:
        raise type(error)(f"{label}: {error}{missing}") from error


def _file(folder: Path, stem: str) -> Path | None:
    return next((f for f in (folder / f"{stem}{ending}" for ending in ENDINGS) if f.is_file()), None)


def _own(source: SourceConfig, data: str | None) -> tuple[list[Question], list[str]]:
    name = source.source
    path = Path(name)
    if not path.is_file() and data is not None and (Path(data) / name).is_file():
        path = Path(data) / name
    if not path.is_dir() and not path.is_file() and data is not None and (Path(data) / name).is_dir():
        path = Path(data) / name
    folder = path.is_dir() and (
        name.count("/") != 1 or path.is_absolute()
    )  # `org/name` may be a copy of a set on the Hub
    is_file = path.is_file() or folder or is_file_name(name)
    if not is_file and name.count("/") != 1:
        known = names("sources")
        kinds = f"  give a known set (`midway list sources`), a Hub id (org/name) or a file ({', '.join(ENDINGS)})"
        raise QuestionError(f"unknown source {name!r}{near(name, known)}\n{kinds}")
    if is_file and not path.exists():
        read_file(path)  # raises, with what is there
    if source.domain is None:
        kinds = f"{', '.join(names('domains')[:-1])} or {names('domains')[-1]}"
        raise QuestionError(f"{name}: which kind of question is in it? Write domain: {kinds}")
    convert = own_convert(source.domain, source.columns, source.options, name)
    if is_file:
        if source.subset or source.revision:
            raise QuestionError(f"{path}: `subset` and `revision` are for sets on the Hub, this is a file")
        rows, label = read_file(path), path.name
    else:
        rows = read_hub(name, source.subset, source.split, source.revision)
        label = "/".join(filter(None, (name, source.subset, source.split)))
    notes: list[str] = []
    _mapped_columns(source, rows)
    questions = _convert(label, source.domain, rows, convert, notes, source, None)
    twice = [q.name for q in questions if len(set(q.choices)) < len(q.choices)]
    if twice:
        notes.append(
            f"{label}: {plural(len(twice), 'question has', 'questions have')} the same option twice (kept): {_some(twice)}"
        )
    return questions, notes


def _mapped_columns(source: SourceConfig, rows: Sequence[Placed]) -> None:
    """Raise QuestionError for a mapped column that no row has, also for one that is only optional."""
    for name, column in source.columns.items():
        head = column.split(".")[0]
        if not any(column in row or head in row for _, row in rows):
            found = _found(rows)
            raise QuestionError(
                f"{source.source}: columns.{name}: there is no column {column!r}{near(column, found)}{_columns(found)}"
            )


def _found(rows: Sequence[Placed]) -> list[str]:
    return sorted({key for _, row in rows[:1000] for key in row})


def _columns(found: Sequence[str]) -> str:
    return f"\n  columns found: {', '.join(found)}"


def _convert(
    label: str,
    domain: Domain,
    rows: Sequence[Placed],
    convert: Convert,
    notes: list[str],
    source: SourceConfig,
    hub: str | None,
) -> list[Question]:
    """Make questions of rows; `hub` is the Hub id of a known set. Raises QuestionError with the count and places of bad rows."""
    questions: list[Question] = []
    bad: list[tuple[str, RowError]] = []
    without_gold: list[NoGold] = []
    stem = label.split(".")[0] if hub is None else label
    for number, (place, row) in enumerate(rows):
        try:
            fields = convert(row)
            fields["name"] = fields.get("name") or f"{stem.replace('/', '-')}-{number:05d}"
            questions.append(Question(domain=domain, source=label, **fields))
        except NoGold as error:
            without_gold.append(error)
        except RowError as error:
            bad.append((place, error))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            bad.append((place, RowError(f"{type(error).__name__}: {error}")))
    if without_gold:
        notes.append(f"{label}: {len(without_gold)} of {plural(len(rows), 'row')} left out: {without_gold[0]}")
    if bad:
        if len(bad) == len(rows) and bad[0][1].columns:
            wrong = bad[0][1]
            way = f"map it: columns: {{{wrong.columns[0]}: YOUR_COLUMN}}"
            raise QuestionError(f"{label}: {wrong}{_columns(_found(rows))}\n  {_renamed(hub, domain) if hub else way}")
        first = "\n  ".join(f"{place}: {error}" for place, error in bad[:3])
        more = f"\n  and {len(bad) - 3} more" if len(bad) > 3 else ""
        message = f"{label}: {len(bad)} of {plural(len(rows), 'row')} cannot be used\n  {first}{more}"
        if source.options.get("skip_bad") is not True:
            raise QuestionError(f"{message}\n  correct these rows, or leave them out with options: {{skip_bad: true}}")
        notes.append(f"{message}\n  they are left out (skip_bad)")
    if not questions:
        raise QuestionError(f"{label}: none of {plural(len(rows), 'row')} is left")
    return questions


def _renamed(hub: str, domain: Domain) -> str:
    return (
        f"the set has changed, or is another one: name it (source: {hub} or the file) with domain: {domain} and columns"
    )


def _unique(
    name: str, questions: list[Question], notes: list[str], *, published: bool
) -> tuple[list[Question], list[str]]:
    """Drop repeats (same content) with a note.

    One `id` for two different questions is a QuestionError in a set of one's own; in a published set the later one gets a number.
    """
    by_id: dict[str, Question] = {}
    names: dict[str, int] = {}
    repeats: list[str] = []
    clashes: list[str] = []
    for question in questions:
        if question.id in by_id:
            repeats.append(question.name)
            continue
        count = names[question.name] = names.get(question.name, 0) + 1
        if count > 1:
            clashes.append(question.name)
            question = replace(question, name=f"{question.name}-{count}")
        by_id[question.id] = question
    if clashes:
        some = _some(list(dict.fromkeys(clashes)))
        what = f"{name}: {plural(len(clashes), 'row has', 'rows have')} the id of another, different question: {some}"
        if not published:
            raise QuestionError(f"{what}\n  give every question an id of its own, or none")
        notes.append(f"{what}; their names are numbered")
    if repeats:
        many = f"{len(repeats)} of {plural(len(questions), 'row')}"
        notes.append(f"{name}: {many} repeat another one (same text and gold) and are dropped: {_some(repeats)}")
    texts = Counter((q.text, q.choices) for q in by_id.values())
    double = [q.name for q in by_id.values() if domain(q.domain).double_text and texts[q.text, q.choices] > 1]
    if double:
        notes.append(
            f"{name}: {plural(len(double), 'question has', 'questions have')} the text of another one "
            f"but another gold (kept): {_some(double)}"
        )
    return list(by_id.values()), notes


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _drawn(source: SourceConfig, questions: list[Question], notes: list[str]) -> Loaded:
    """Take `limit` questions: which ones depends on `seed` and their content only, not on the order or number of the others."""
    limit = source.limit
    if limit is None or limit >= len(questions):
        if limit is not None and limit > len(questions):
            notes.append(
                f"{source.source}: {plural(limit, 'question is', 'questions are')} asked for, there are {len(questions)}"
            )
        return Loaded(questions, notes)
    taken = set(sorted((q.id for q in questions), key=lambda id_: content_id("draw", source.seed, id_))[:limit])
    return Loaded([q for q in questions if q.id in taken], notes)
