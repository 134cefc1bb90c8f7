"""Files and Hub sets of one's own: midway's names, mapped to the columns that are there.

When things go wrong: an unknown name in `columns`, a column that does not exist or an unknown option raises QuestionError with
what is there; a row without question or gold raises RowError, which the loader counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from midway.questions.base import Convert, QuestionError, Row, RowError, at, has, pick, pick_text
from midway.questions.gold import after_hashes, in_words, last_boxed, number_text, option_index, option_list
from midway.recipe.schema import near
from midway.records import CodeTests, Domain

COMMON = ("question", "solution", "id", "level", "subject", "tolerance", "meta")
FIELDS: Mapping[Domain, tuple[str, ...]] = {
    "math": (*COMMON, "answer"),
    "choice": (*COMMON, "narrative", "choices", "answer_index"),
    "code": (*COMMON, "prompt", "entry_point", "test", "test_list", "setup", "io", "inputs", "reference", "atol"),
}
"""Midway's names by domain."""

OPTIONS = ("gold", "skip_bad")
GOLDS: Mapping[str, Callable[[str], str]] = {"as-is": str.strip, "boxed": last_boxed, "hashes": after_hashes}


def own_convert(domain: Domain, columns: Mapping[str, str], options: Mapping[str, Any], where: str) -> Convert:
    """Return the converter of a set of one's own. Raises QuestionError for unknown names in `columns` and `options`."""
    for name in columns:
        if name not in FIELDS[domain]:
            raise QuestionError(
                f"{where}: columns.{name} is nothing that a {domain} question has{near(name, FIELDS[domain])}"
            )
    for name in options:
        if name not in OPTIONS:
            raise QuestionError(f"{where}: unknown option {name!r}; a set of your own has {' and '.join(OPTIONS)}")
    form = options.get("gold", "as-is")
    if form not in GOLDS:
        raise QuestionError(f"{where}: options.gold is {form!r}{near(str(form), list(GOLDS))}")
    if form != "as-is" and domain != "math":
        raise QuestionError(f"{where}: options.gold is for math questions, these are {domain}")

    def column(name: str) -> str:
        return columns.get(name, name)

    def optional(row: Row, name: str) -> Any:
        value = at(row, column(name))
        return None if value == "" else value

    def gold(row: Row) -> dict[str, Any]:
        if domain == "math":
            answer = pick(row, column("answer"), what="answer")
            if isinstance(answer, bool | list | dict):
                raise RowError(f"no answer: `{column('answer')}` holds {type(answer).__name__}, not text or a number")
            return {"answer": GOLDS[form](str(answer)) if isinstance(answer, str) else number_text(answer)}
        if domain == "choice":
            choices = option_list(pick(row, column("choices"), what="choices"))
            name = (
                "answer" if "answer_index" not in columns and not has(row, "answer_index") else column("answer_index")
            )
            index = pick(row, name if has(row, name) else column("answer_index"), what="answer")
            return {"choices": choices, "answer_index": option_index(index, choices)}
        return {"tests": _tests({name: optional(row, name) for name in FIELDS["code"]})}

    def convert(row: Row) -> dict[str, Any]:
        text = pick_text(row, column("question"), what="question")
        narrative = optional(row, "narrative") if domain == "choice" else None
        given = optional(row, "meta")
        if given is not None and not isinstance(given, Mapping):
            raise RowError(f"`{column('meta')}` holds {type(given).__name__}, not an object")
        meta = {str(k): v for k, v in (given or {}).items() if v is not None}
        meta |= {
            name: value for name in ("level", "subject", "tolerance") if (value := optional(row, name)) is not None
        }
        if "tolerance" in meta:
            try:
                meta["tolerance"] = float(meta["tolerance"])
            except (TypeError, ValueError):
                raise RowError(f"tolerance {meta['tolerance']!r} is no number") from None
        solution = optional(row, "solution")
        return {
            "text": f"{narrative.strip()}\n\n{text}" if isinstance(narrative, str) and narrative.strip() else text,
            "solution": in_words(str(solution)) if solution is not None else None,
            "name": "" if optional(row, "id") is None else str(optional(row, "id")),
            "meta": meta,
            **gold(row),
        }

    return convert


def _tests(given: Mapping[str, Any]) -> CodeTests:
    kinds = [name for name in ("test", "test_list", "io", "inputs") if given[name]]
    if len(kinds) != 1:
        raise RowError(f"no answer: exactly one of test, test_list, io, inputs is needed, there {_are(kinds)}")
    common: dict[str, Any] = {
        "prompt": given["prompt"] or "",
        "entry_point": given["entry_point"] or "",
        "setup": given["setup"] or "",
    }
    kind = kinds[0]
    if kind in ("test", "inputs") and not common["entry_point"]:
        raise RowError(f"no answer: `{kind}` needs `entry_point`, the name of the function")
    if kind == "test":
        return CodeTests(**common, test=str(given["test"]))
    if kind == "test_list":
        tests = given["test_list"]
        return CodeTests(**common, test_list=(tests,) if isinstance(tests, str) else tuple(str(t) for t in tests))
    if kind == "io":
        pairs = tuple(_pair(p) for p in given["io"])
        return CodeTests(**common, io=pairs)
    if not given["reference"]:
        raise RowError("no answer: `inputs` needs `reference`, the program whose results are expected")
    return CodeTests(
        **common,
        inputs=tuple(list(call) for call in given["inputs"]),
        reference=str(given["reference"]),
        atol=float(given["atol"] or 0),
    )


def _are(kinds: Sequence[str]) -> str:
    return f"are {', '.join(kinds)}" if kinds else "is none"


def _pair(value: Any) -> tuple[str, str]:
    if isinstance(value, Mapping):
        value = [value.get("input"), value.get("output")]
    if not isinstance(value, list | tuple) or len(value) != 2 or any(v is None for v in value):
        raise RowError("no answer: `io` is a list of pairs [input, output]")
    return str(value[0]), str(value[1])
