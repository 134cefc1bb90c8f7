"""The data set's card: README.md with the Hub's front matter, and the funnel as a figure.

Promises: everything in it comes from the tables and settings it is given; what is not known is said to be not known. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import polars as pl
import yaml

FIGURE = "funnel.svg"
_SPDX = {
    "mit": "mit",
    "apache-2.0": "apache-2.0",
    "cc by 4.0": "cc-by-4.0",
    "cc-by-4.0": "cc-by-4.0",
    "cc by-sa 4.0": "cc-by-sa-4.0",
    "cc by-nc 4.0": "cc-by-nc-4.0",
}


@dataclass(frozen=True)
class Card:
    """What a card tells."""

    title: str
    arm: str
    seed: int
    model: str
    """Hub id or path of the model that wrote the solutions."""
    revision: str | None
    model_key: str
    """Names the exact weights; empty: not known, since a server or somebody else had them."""
    rows: int
    data: Sequence[Mapping[str, Any]]
    """The arm's sources (DataConfig as JSON)."""
    selection: Mapping[str, Any]
    pools: Mapping[str, Mapping[str, Any]]
    """Sampling and heuristics of each pool (PoolConfig as JSON)."""
    prompts: Mapping[str, str]
    """What the model saw, by name: the training prompt of one question, the guided prompts of that question."""
    sources: Sequence[tuple[str, str | None, int]]
    """Where the questions are from: name, licence (None: not known), questions."""
    funnel: pl.DataFrame
    """step, heuristic, level, count (as `selection.Selection.funnel`)."""
    diversity: Mapping[str, Any]
    removed: pl.DataFrame
    """As `selection.Selection.removed`."""
    notes: Sequence[str] = ()
    adherence: Mapping[str, Any] = field(default_factory=dict)
    """The scorer's settings, and `sentence`: whether it can tell heuristics apart."""
    files: Sequence[tuple[str, str]] = ()
    """(split, path) of each file."""
    versions: Mapping[str, str] = field(default_factory=dict)
    form: str = "trl"


def render(card: Card) -> str:
    """Return the card as Markdown."""
    parts = [f"# {card.title}", _about(card)]
    if card.notes:
        parts += ["## To be noted", "\n".join(f"- {n}" for n in card.notes)]
    parts += [
        "## Funnel",
        f"![From what was asked to what is kept]({FIGURE})",
        table(totals(card.funnel), ["step", "count", "of asked"]),
        "By heuristic:",
        _wide(card.funnel, "heuristic"),
    ]
    if card.funnel["level"].n_unique() > 1:
        parts += ["By difficulty of the question:", _wide(card.funnel, "level")]
    parts += [
        "## Diversity",
        _diversity(card.diversity),
        "## Adherence",
        _adherence(card),
        "## Decontamination",
        _leaks(card.removed),
    ]
    parts += [
        "## Generation",
        _generation(card),
        "## Prompts",
        *(_prompt(name, text) for name, text in card.prompts.items()),
    ]
    parts += ["## Licences", _licences(card), "## Format", _format(card)]
    if card.versions:
        parts.append(
            "Made with " + ", ".join(f"{name} {version}" for name, version in sorted(card.versions.items())) + "."
        )
    return (
        f"---\n{yaml.safe_dump(front_matter(card), sort_keys=False, allow_unicode=True)}---\n\n"
        + "\n\n".join(parts)
        + "\n"
    )


def front_matter(card: Card) -> dict[str, Any]:
    """Return the Hub's metadata."""
    known = {_SPDX.get((licence or "").lower()) for _, licence, _ in card.sources}
    licence = known.pop() if len(known) == 1 else None
    limits = (
        (1_000, "n<1K"),
        (10_000, "1K<n<10K"),
        (100_000, "10K<n<100K"),
        (1_000_000, "100K<n<1M"),
        (10_000_000, "1M<n<10M"),
    )
    configs = [
        {"config_name": split if len(card.files) > 1 else "default", "data_files": [{"split": "train", "path": path}]}
        for split, path in card.files
    ]
    return {
        "license": licence or "other",
        "task_categories": ["text-generation"],
        "language": ["en"],
        "size_categories": [next((name for limit, name in limits if card.rows < limit), "10M<n<100M")],
        "tags": ["midway", "synthetic", "reasoning", "mid-training"],
        **({"configs": configs} if configs else {}),
    }


def _model(card: Card) -> str:
    return f"`{card.model}`" + (f" (revision `{card.revision}`)" if card.revision else "")


def _about(card: Card) -> str:
    sources = ", ".join(
        f"`{d.get('strategy')}` of pool `{d['pool']}`" if d.get("pool") else "the reference solutions"
        for d in card.data
    )
    return (
        f"{card.rows:,} question-to-solution examples for mid-training (supervised fine-tuning before RL), written by "
        f"{_model(card)}, judged by a program and selected with "
        f"midway: arm `{card.arm}`, seed {card.seed}, {sources}. "
        + (f"Weights: `{card.model_key}`." if card.model_key else "The exact weights are not known here.")
    )


def totals(funnel: pl.DataFrame) -> list[list[Any]]:
    """Return the funnel's rows: step, count, share of what was asked."""
    sums = funnel.group_by("step", maintain_order=True).agg(pl.col("count").sum())
    asked = next((n for s, n in sums.iter_rows() if s == "asked"), 0)
    return [[step, f"{n:,}", f"{100 * n / asked:.1f} %" if asked else ""] for step, n in sums.iter_rows()]


def table(rows: Sequence[Sequence[Any]], head: Sequence[str]) -> str:
    """Return a Markdown table; numbers are aligned to the right."""
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(['---', *['---:'] * (len(head) - 1)])}|"]
    return "\n".join(lines + [f"| {' | '.join(str(c).replace('|', '&#124;') for c in row)} |" for row in rows])


def _wide(funnel: pl.DataFrame, by: str) -> str:
    steps = funnel["step"].unique(maintain_order=True).to_list()
    counts = {(key, step): n for key, step, n in funnel.group_by(by, "step").agg(pl.col("count").sum()).iter_rows()}
    keys = sorted({key for key, _ in counts})
    return table([[key or "(none)", *(f"{counts.get((key, s), 0):,}" for s in steps)] for key in keys], [by, *steps])


def _diversity(found: Mapping[str, Any]) -> str:
    def number(key: str) -> str:
        return f"{found[key]:.2f}" if found[key] == found[key] else "not known"

    rows = [
        ["questions", f"{found['questions']:,}"],
        ["solutions per question", number("per_question")],
        ["heuristics per question", number("heuristics")],
        ["Vendi score of a question's solutions (at most the number of its solutions)", number("vendi")],
        ["Vendi score of one solution of each question", number("vendi_all")],
        [
            f"distinct computations per question (of {found['questions_with_computations']:,} with any)",
            number("computations"),
        ],
    ]
    return (
        table(rows, ["", "mean"])
        + f"\n\nKernel: {found['kernel']}. Over at most {found['questions_looked_at']:,} questions."
    )


def _adherence(card: Card) -> str:
    if not card.adherence:
        return "Not scored: of a question's correct solutions the shortest come first."
    head = f"Scorer `{card.adherence.get('scorer')}`."
    return f"{head} {card.adherence.get('sentence') or 'Whether it can tell heuristics apart was not measured.'}"


def _leaks(removed: pl.DataFrame) -> str:
    leaks = removed.filter(pl.col("step") == "not leaked")
    copies = removed.filter(pl.col("reason") == "near-copy").height
    leaked = leaks["question_id"].n_unique()
    lines = [
        f"{copies:,} near-copies were dropped, and all solutions of {leaked:,} questions that stand in a benchmark."
    ]
    if not leaks.is_empty():
        shown = leaks.sort("reason", "question_id").head(20).select("question_id", "reason", "other")
        rows = [[f"`{q[:12]}`", reason, other[:100].replace("\n", " ")] for q, reason, other in shown.iter_rows()]
        lines.append(table(rows, ["question", "test", "benchmark question"]))
        if leaks.height > 20:
            lines.append(f"... and {leaks.height - 20:,} more, in the run's `removed.parquet`.")
    return "\n\n".join(lines)


def _generation(card: Card) -> str:
    lines = []
    for name, pool in card.pools.items():
        sampling = ", ".join(f"{k} {v}" for k, v in pool.get("sampling", {}).items() if v not in (None, [], 0))
        guided = pool.get("heuristics")
        ways = (
            "unguided" if not guided else "all heuristics" if guided == "all" else ", ".join(f"`{s}`" for s in guided)
        )
        lines.append(f"- pool `{name}`: {ways}; {pool.get('samples')} samples each; {sampling}")
    chosen = ", ".join(f"{k} {v}" for k, v in card.selection.items() if v is not None)
    return "\n".join([*lines, f"- selection: {chosen}"])


def _prompt(name: str, text: str) -> str:
    fence = "`" * max(4, 1 + max((len(run) for run in text.split("\n") if set(run) == {"`"}), default=0))
    return f"{name}:\n\n{fence}text\n{text}\n{fence}"


def _licences(card: Card) -> str:
    rows = [
        [name, licence or "not known: look it up before you publish", f"{count:,}"]
        for name, licence, count in card.sources
    ]
    return (
        table(rows, ["questions from", "licence", "questions"])
        + f"\n\nThe solutions were written by `{card.model}`: the terms of that model hold for them besides."
    )


def _format(card: Card) -> str:
    files = ", ".join(f"`{path}`" for _, path in card.files)
    columns = "question_id, heuristic, completion_id (empty: a reference solution), adherence, source"
    return f"`{card.form}` ({files}). Columns besides: {columns}."


def figure(funnel: pl.DataFrame) -> str:
    """Return the funnel as an SVG: a bar for each step."""
    rows = [(step, int(count.replace(",", "")), share) for step, count, share in totals(funnel)]
    top = max([n for _, n, _ in rows] or [1]) or 1
    height, left, width = 30, 130, 420
    bars = []
    for i, (step, n, share) in enumerate(rows):
        y, long = i * height, width * n / top
        bars.append(
            f'<text x="{left - 8}" y="{y + 19}" text-anchor="end">{escape(step)}</text>'
            f'<rect x="{left}" y="{y + 4}" width="{long:.1f}" height="{height - 8}" fill="#4269a5"/>'
            f'<text x="{left + long + 6:.1f}" y="{y + 19}">{n:,}{f" ({share})" if share else ""}</text>'
        )
    size = f'viewBox="0 0 {left + width + 150} {len(rows) * height}" width="{left + width + 150}" height="{len(rows) * height}"'
    title = "Funnel: " + ", ".join(f"{step} {n:,}" for step, n, _ in rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif" font-size="13" fill="#222">'
        f'<title>{escape(title)}</title><rect width="100%" height="100%" fill="#fff"/>{"".join(bars)}</svg>\n'
    )
