"""What several screens show alike: arms, a text in pieces, a page of a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from midway import registry
from midway.records import Question
from midway.results import Arm
from midway.rundir.layout import BASE, BEFORE_RL
from midway.verifier.span import answer_span
from midway.view.viewed import Params, Viewed

SIZE = 50
"""Rows of a page, unless a link asks for others."""
MOST = 500


def arms_of(viewed: Viewed) -> list[dict[str, Any]]:
    """Return what the page knows of each arm: name, title, whether and how it was trained, seeds, and its states, first and final."""
    return [
        {
            "name": arm.name,
            "title": arm.title,
            "midtrained": arm.midtrained,
            "rl": arm.rl,
            "seeds": list(arm.seeds),
            "before": before_of(arm),
            "after": arm.final_phase,
        }
        for arm in viewed.run.arms.values()
    ]


def before_of(arm: Arm) -> str:
    """Return the phase of an arm's state before RL."""
    return BASE if arm.final_phase == BASE else BEFORE_RL


def treatment_and_control(viewed: Viewed, params: Params) -> tuple[Arm, Arm | None]:
    """Return the arm in question and the one that it is compared with: as the link says, else as the recipe does."""
    arms, asked = viewed.run.arms, viewed.run.asked
    trained = [name for name, arm in arms.items() if not arm.fixed] or list(arms)
    arm = params.among("arm", list(arms), asked.treatment if asked.treatment in arms else trained[0])
    control = params.among("control", list(arms), asked.control if asked.control in arms else "base")
    return arms[arm], arms.get(control)


def page_of(params: Params, total: int) -> tuple[int, int, dict[str, int]]:
    """Return (offset, size, what the page shows of it)."""
    size = max(1, params.number("size", SIZE, MOST))
    page = max(1, params.number("page", 1))
    pages = max(1, -(-total // size))
    page = min(page, pages)
    return (page - 1) * size, size, {"page": page, "pages": pages, "size": size, "total": total}


def labeller_of(viewed: Viewed, source: str) -> Any:
    """Return the program that labels answers to a source's questions step by step, None where there is none."""
    name = source.partition("/")[0].partition(":")[0]
    part = registry.find("sources", name) if registry.has("sources", name) else None
    return registry.load_object(part.label) if part and part.label else None


def pieces(text: str, row: Mapping[str, Any], question: Question | None, label: Any) -> list[list[Any]]:
    """Return a text cut into [text, marks]: marks may have `answer` (it was read here), `way` and `right` (of the step it is in).

    Joined, the pieces are the text.
    """
    cuts: list[tuple[int, int, dict[str, Any]]] = []
    if label is not None and question is not None and text:
        at = 0
        for step in getattr(label(question, text), "steps", ()):
            start = text.find(step.text, at)
            if start >= 0 and step.text:
                at = start + len(step.text)
                cuts.append((start, at, {"way": step.way, "right": bool(step.right)}))
    span = answer_span(text, row.get("extracted"), row.get("reason"))
    edges = {0, len(text), *(place for start, end, _ in cuts for place in (start, end)), *(span or ())}
    order = sorted(edges)
    out: list[list[Any]] = []
    for start, end in pairwise(order):
        marks = next((dict(m) for a, b, m in cuts if a <= start and end <= b), {})
        if span and span[0] <= start and end <= span[1]:
            marks["answer"] = True
        out.append([text[start:end], marks])
    return out


def shown_question(question: Question | None, id_: str) -> dict[str, Any]:
    """Return what the page shows of a question: its text, its gold, its options."""
    if question is None:
        return {"id": id_, "text": None, "gold": None, "meta": {}}
    gold: Any = question.answer if question.answer is not None else question.gold
    tests = question.tests
    if tests is not None:
        gold = tests.test or "\n".join(tests.test_list) or "\n\n".join(f"in:\n{a}\nout:\n{b}" for a, b in tests.io)
        gold = gold or f"{len(tests.inputs)} inputs, as the reference answers:\n{tests.reference}"
    meta = {k: v for k, v in question.meta.items() if isinstance(v, str | int | float | bool)}
    return {
        "id": question.id,
        "name": question.name,
        "source": question.source,
        "domain": question.domain,
        "text": question.text,
        "choices": list(question.choices),
        "right_choice": question.answer_index,
        "gold": gold,
        "solution": question.solution,
        "meta": meta,
    }


def titles(viewed: Viewed, names: Sequence[str]) -> dict[str, str]:
    """Return the titles of heuristics; one that no catalogue here has is known by its name."""
    from midway.heuristics import load_catalogue

    folders = [folder for folder in viewed.recipe.get("prompt", {}).get("heuristics") or () if folder]
    try:
        catalogue = load_catalogue(folders)
    except (OSError, ValueError):
        catalogue = load_catalogue([])
    return {name: catalogue[name].title if name in catalogue else name.replace("-", " ") for name in names}
