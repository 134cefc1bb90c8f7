"""Sets with a short answer: grade-school word problems, contests, university problems.

Promises: a row as published on the Hub and the same row in midway's own form (columns id, question, answer, solution, meta) give
the same question. Column names and ids are those of the Hub in 2026; when they differ, the loader names the columns it found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from midway.questions.base import Convert, KnownSet, NoGold, Part, Row, RowError, at, pick, pick_text
from midway.questions.gold import after_hashes, in_words, last_boxed, number_text, without_dollars, without_unit


def in_own_form(row: Row) -> bool:
    """Return whether a row has midway's own columns (a local folder) and not the publisher's."""
    return isinstance(row.get("meta"), Mapping) and "question" in row and "id" in row


def row_name(row: Row, *names: str) -> str:
    """Return the publisher's id of a row, or nothing."""
    for name in ("id", *names):
        if row.get(name) not in (None, ""):
            return str(row[name])
    return ""


def _own(row: Row) -> dict[str, Any]:
    meta = {k: v for k, v in row["meta"].items() if v is not None}
    if "error" in meta:
        meta["tolerance"] = _tolerance(meta["error"])
    solution = row.get("solution")
    return {
        "text": pick_text(row, "question", what="question"),
        "answer": str(pick(row, "answer", what="answer")),
        "solution": in_words(solution) if isinstance(solution, str) and solution.strip() else None,
        "name": row_name(row),
        "meta": meta,
    }


def maths(
    question: tuple[str, ...],
    answer: tuple[str, ...],
    gold: Callable[[Any], str] = number_text,
    solution: tuple[str, ...] = (),
    meta: Mapping[str, str] | None = None,
    ids: tuple[str, ...] = (),
) -> Convert:
    """Return the converter of a set whose question, answer and solution stand in columns of their own."""

    def convert(row: Row) -> dict[str, Any]:
        if in_own_form(row):
            return _own(row)
        words = next((v for v in (at(row, s) for s in solution) if isinstance(v, str) and v.strip()), None)
        return {
            "text": pick_text(row, *question, what="question"),
            "answer": gold(pick(row, *answer, what="answer")),
            "solution": in_words(words) if words else None,
            "name": row_name(row, *ids),
            "meta": {k: row[column] for k, column in (meta or {}).items() if row.get(column) not in (None, "")},
        }

    return convert


def _tolerance(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise RowError(f"tolerance {value!r} is no number") from None


def _boxed(value: Any) -> str:
    return last_boxed(str(value))


def _hashes(value: Any) -> str:
    return after_hashes(str(value))


def _plain(value: Any) -> str:
    return without_dollars(str(value))


def _math(row: Row) -> dict[str, Any]:
    """MATH: level `Level 5` -> 5, `type` -> subject."""
    fields = maths(("problem",), ("solution",), _boxed, ("solution",), {"subject": "type"})(row)
    level = re.search(r"\d", str(row.get("level", "")))
    if level and not in_own_form(row):
        fields["meta"]["level"] = int(level.group())
    return fields


def _svamp(row: Row) -> dict[str, Any]:
    if in_own_form(row):
        return _own(row)
    body, question = pick_text(row, "Body", what="question"), pick_text(row, "Question", what="question")
    return {
        "text": f"{body.strip()} {question.strip()}"
        if body.strip()[-1] in ".?!"
        else f"{body.strip()}. {question.strip()}",
        "answer": number_text(pick(row, "Answer", what="answer")),
        "name": row_name(row, "ID"),
        "meta": {"type": row["Type"]} if row.get("Type") else {},
    }


def _asdiv(row: Row) -> dict[str, Any]:
    if in_own_form(row):
        return _own(row)
    raw = pick_text(row, "answer", what="answer")
    body, question = pick_text(row, "body", what="question"), pick_text(row, "question", what="question")
    return {
        "text": f"{body.strip()} {question.strip()}",
        "answer": without_unit(raw),
        "name": row_name(row),
        "meta": {"answer_raw": raw, **({"type": row["solution_type"]} if row.get("solution_type") else {})},
    }


_DAPO_HEAD = "Solve the following math problem step by step."
_DAPO_TAIL = 'Remember to put your answer on its own line after "Answer:".'


def _dapo(row: Row) -> dict[str, Any]:
    """The deduplicated copy has prompt and solution (the answer); the original has chat messages and a ground truth."""
    if in_own_form(row):
        return _own(row)
    prompt = pick(row, "prompt", what="question")
    text = prompt if isinstance(prompt, str) else pick_text(row, "prompt.0.content", what="question")
    if text.startswith(_DAPO_HEAD) and "\n\n" in text:
        text = text.partition("\n\n")[2].removesuffix(_DAPO_TAIL).strip()
    if not text.strip():
        raise RowError("no question: `prompt` holds only blanks")
    answer = number_text(pick(row, "solution", "reward_model.ground_truth", what="answer"))
    index = at(row, "extra_info.index")
    return {"text": text, "answer": answer, "name": str(index) if index else "", "meta": {}}


def _gsm_plus(row: Row) -> dict[str, Any]:
    if in_own_form(row):
        return _own(row)
    answer = row.get("answer", "")
    if answer is None or str(answer).strip() in ("None", "N/A"):
        raise NoGold("published without an answer (perturbation `critical thinking`)")
    return maths(("question",), ("answer",), number_text, ("solution",), {"perturbation": "perturbation_type"})(row)


def _symbolic(row: Row) -> dict[str, Any]:
    """`id` is the template's: a question is a template and an instance."""
    meta = {"template": "original_id", "instance": "instance"}
    fields = maths(("question",), ("answer",), _hashes, ("answer",), meta)(row)
    if not in_own_form(row) and row.get("instance") is not None:
        fields["name"] = f"gsm_symbolic-{row.get('original_id', row.get('id'))}-{row['instance']}"
    return fields


def _olympiad(row: Row) -> dict[str, Any]:
    if in_own_form(row):
        return _own(row)
    context, final = row.get("context"), pick(row, "final_answer", what="answer")
    solution = row.get("solution")
    if isinstance(solution, list):
        solution = solution[0] if solution else None
    text = pick_text(row, "question", what="question")
    meta = {
        k: row[k] for k in ("subfield", "answer_type", "is_multiple_answer", "unit") if row.get(k) not in (None, "")
    }
    if row.get("error") not in (None, ""):
        meta["tolerance"] = _tolerance(row["error"])
    return {
        "text": f"{context.strip()}\n\n{text}" if isinstance(context, str) and context.strip() else text,
        "answer": _plain(", ".join(str(a) for a in final) if isinstance(final, list | tuple) else final),
        "solution": solution,
        "name": row_name(row),
        "meta": meta,
    }


def _aime(value: Any) -> str:
    text = str(value).strip()
    return str(int(text)) if text.isdigit() else text


def _one(config: str | None = None, **splits: Part) -> dict[str, dict[str, Part]]:
    return {
        "": {
            name: part if part.config else Part(part.split, part.files, part.rows, config)
            for name, part in splits.items()
        }
    }


def _split(split: str | None, rows: int | None, *files: str) -> Part:
    return Part(split, files or ((split,) if split else ()), rows)


MATH_SETS: tuple[KnownSet, ...] = (
    KnownSet(
        "gsm8k", "GSM8K, grade-school word problems", "math", "openai/gsm8k", "MIT",
        "the number after `####`, commas removed",
        _one("main", train=_split("train", 7473), test=_split("test", 1319)),
        lambda row: _own(row) if in_own_form(row) else maths(("question",), ("answer",), _hashes, ("answer",))(row),
        few_shot=("gsm8k", "train"), columns=("question", "answer"),
    ),
    KnownSet(
        "math", "MATH, high-school contests (Hendrycks)", "math", "DigitalLearningGmbH/MATH-lighteval",
        "MIT (repository); problem texts from contests on AoPS", "the last `\\boxed{}` of the solution",
        _one("default", train=_split("train", 7500), test=_split("test", 5000)), _math,
        few_shot=("math", "train"), columns=("problem", "solution", "level", "type"),
        note="test contains MATH-500; the Hub took the original down after a rights notice, this is a copy",
    ),
    KnownSet(
        "math500", "MATH-500, a subset of MATH test", "math", "HuggingFaceH4/MATH-500", "MIT", "`answer` as published",
        _one(test=_split("test", 500)),
        maths(("problem",), ("answer",), str, ("solution",), {"subject": "subject", "level": "level"}, ("unique_id",)),
        few_shot=("math", "train"), columns=("problem", "answer", "solution", "subject", "level", "unique_id"),
    ),
    KnownSet(
        "dapo-math-17k", "DAPO-Math-17k, contest problems with whole-number answers, for RL", "math",
        "open-r1/DAPO-Math-17k-Processed", "Apache-2.0", "`solution`, which holds the answer alone",
        {
            name: {"train": Part("train", ("train",) if name == "all" else (name,), rows, name)}
            for name, rows in (("all", 17398), ("en", 14116), ("cn", 3282))
        },
        _dapo, columns=("prompt", "solution"),
        note="without the instruction around the problem; rows of BytedTsinghua-SIA/DAPO-Math-17k are read too",
    ),
    KnownSet(
        "amc23", "AMC 12, 2023", "math", "math-ai/amc23", "none stated; problems (c) MAA", "`answer`",
        _one(test=_split("test", 40)), maths(("question", "problem"), ("answer",), meta={"url": "url"}),
        columns=("question", "answer"),
    ),
    KnownSet(
        "aime24", "AIME I and II, 2024", "math", "HuggingFaceH4/aime_2024", "none stated; problems (c) MAA",
        "`answer` without leading zeros", _one(test=_split("train", 30, "test")),
        maths(("problem",), ("answer",), _aime, ("solution",), {"url": "url"}), columns=("problem", "answer", "solution"),
    ),
    KnownSet(
        "aime25", "AIME I and II, 2025", "math", "math-ai/aime25", "Apache-2.0 (copy); problems (c) MAA",
        "`answer` without leading zeros", _one(test=_split("test", 30)), maths(("problem",), ("answer",), _aime),
        columns=("problem", "answer"),
    ),
    KnownSet(
        "olympiadbench", "OlympiadBench: open-ended, maths, English, text only", "math", "Hothan/OlympiadBench", "Apache-2.0",
        "`final_answer`, several joined by commas, one outer pair of `$` removed; `error` is the tolerance",
        _one("OE_TO_maths_en_COMP", test=_split("train", 674, "test")), _olympiad,
        columns=("question", "final_answer", "solution", "context", "error"),
    ),
    KnownSet(
        "minerva_math", "Minerva's university problems (OCWCourses)", "math", "math-ai/minervamath", "CC BY-NC-SA 4.0",
        "`answer`", _one(test=_split("test", 272)), maths(("question", "problem"), ("answer",), _plain, ("solution",)),
        columns=("question", "answer"),
    ),
    KnownSet(
        "svamp", "SVAMP, one-step word problems with traps", "math", "ChilleD/SVAMP", "MIT", "`Answer` (145.0 -> 145)",
        _one(train=_split("train", 700), test=_split("test", 300)), _svamp, columns=("Body", "Question", "Answer"),
    ),
    KnownSet(
        "svamp_embedded", "SVAMP as it comes with midway, split by a hash of the id", "math", "arkilpatel/SVAMP", "MIT", "`answer`",
        _one(train=Part(None, ("train",), 709), test=Part(None, ("test",), 291)), _svamp, columns=("question", "answer"),
        note="all 1,000 published problems; its split is not the Hub copy's 700/300, so never train on one and test on the other",
    ),
    KnownSet(
        "asdiv", "ASDiv, diverse word problems", "math", "EleutherAI/asdiv", "CC BY-NC 4.0",
        "`answer` without the unit in brackets", _one(test=_split("validation", 2305, "all")), _asdiv,
        columns=("body", "question", "answer"), note="221 answers are no plain numbers (pairs, ratios, times, words)",
    ),
    KnownSet(
        "mawps", "MAWPS, word problems of older sets", "math", "MU-NLPC/Calc-mawps", "MIT (copy)", "`result`",
        {
            "": {"test": Part("test", ("addsub", "multiarith", "singleeq", "singleop"), 520)},
            **{
                name: {"test": Part(None, (name,), rows)}
                for name, rows in (("addsub", 395), ("multiarith", 600), ("singleeq", 508), ("singleop", 562))
            },
        },
        maths(("question",), ("result", "result_float")), columns=("question", "result"),
        note="the Hub's test split is not the four parts of a local folder: do not compare the two numbers",
    ),
    KnownSet(
        "gsm_hard", "GSM-Hard: GSM8K test with large numbers", "math", "reasoning-machines/gsm-hard", "MIT",
        "`target` (9.0 -> 9)", _one(test=_split("train", 1319, "test")), maths(("input",), ("target",)),
        few_shot=("gsm8k", "train"), columns=("input", "target"),
    ),
    KnownSet(
        "gsm_symbolic", "GSM-Symbolic: GSM8K templates with other names and numbers", "math", "apple/GSM-Symbolic",
        "CC BY-NC-ND 4.0", "the number after `####`",
        {name: {"test": Part("test", (name,), rows, name)} for name, rows in (("main", 5000), ("p1", 5000), ("p2", 2500))},
        _symbolic,
        few_shot=("gsm8k", "train"), columns=("question", "answer", "original_id", "instance"),
        note="50 instances of each of 100 templates: cluster by meta.template",
    ),
    KnownSet(
        "gsm_plus", "GSM-Plus: GSM8K test, perturbed", "math", "qintongli/GSM-Plus", "CC BY-SA 4.0", "`answer`",
        _one(test=_split("test", 10552), testmini=_split("testmini", 2400)), _gsm_plus,
        few_shot=("gsm8k", "train"), columns=("question", "answer", "solution", "perturbation_type"),
        note="rows published without an answer (`critical thinking`) are left out and counted",
    ),
    KnownSet(
        "college_math", "CollegeMath (MathScale)", "math", "di-zhang-fdu/College_Math_Test",
        "per book: CC BY, CC BY-NC-SA, GFDL", "`answer`, one outer pair of `$` removed", _one(test=_split("test", 2818)),
        maths(("question",), ("answer",), _plain, (), {"topic": "data_topic", "book": "data_source"}),
        columns=("question", "answer"),
    ),
)  # fmt: skip
