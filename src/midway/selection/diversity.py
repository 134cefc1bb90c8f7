"""How different the kept solutions are. Pure functions of tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from midway.selection.text import KERNEL, WORDS, Shingled, computations, shingles, tokens


def vendi(kernel: npt.NDArray[np.float64]) -> float:
    """Return the Vendi score of a similarity matrix with ones on its diagonal: the effective number of different items.

    exp of the Shannon entropy of the eigenvalues of K / n (Friedman, Dieng 2023, definition 3.1): 1 when all are equal, n when none
    is like another. NaN for an empty matrix. Assumes K is positive semidefinite, which the Jaccard kernel is; eigenvalues below 0 by
    rounding count as 0.
    """
    if not len(kernel):
        return float("nan")
    values = np.linalg.eigvalsh(kernel / len(kernel)).clip(0)
    values = values[values > 0]
    return float(np.exp(-(values * np.log(values)).sum()))


def jaccard_matrix(shingled: Shingled) -> npt.NDArray[np.float64]:
    """Return the exact Jaccard similarities of all pairs of documents, shape (D, D); 1 on the diagonal."""
    sets = [shingled.of(d) for d in range(len(shingled))]
    columns, at = np.unique(np.concatenate(sets) if sets else np.zeros(0, dtype=np.uint64), return_inverse=True)
    members = np.zeros((len(sets), len(columns)))
    members[np.repeat(np.arange(len(sets)), [len(s) for s in sets]), at] = 1.0
    both = members @ members.T
    sizes = members.sum(axis=1)
    union = sizes[:, None] + sizes[None, :] - both
    out = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    np.fill_diagonal(out, 1.0)
    return out


def diversity(solutions: pl.DataFrame, *, questions: int = 2000) -> dict[str, Any]:
    """Return how different the solutions (`run.SOLUTIONS`) of a question are, as means over questions with their numbers.

    - `vendi`: mean Vendi score of a question's solutions under `kernel` (at most the number of its solutions, `per_question`);
    - `computations`: mean number of distinct computation sequences of a question's solutions, over the `questions_with_computations`
      questions where any is found;
    - `heuristics`: mean number of heuristics of a question;
    - `vendi_all`: Vendi score of one solution (the first) of each question: how different the questions' texts are.
    At most `questions` questions are looked at, the first by id (ids are hashes), except for `heuristics` and `per_question`.
    """
    per_question = solutions.group_by("question_id").agg(
        pl.len().alias("n"), pl.col("heuristic").n_unique().alias("heuristics")
    )
    looked_at = per_question["question_id"].sort().head(questions)
    frame = solutions.filter(pl.col("question_id").is_in(looked_at.to_list())).sort(
        "question_id", "completion_id", "text"
    )
    scores, distinct, first = [], [], []
    for group in frame.partition_by("question_id", maintain_order=True):
        scores.append(vendi(jaccard_matrix(shingles(tokens(group["text"]), WORDS))))
        found = {computations(t) for t in group["text"].to_list()} - {()}
        if found:
            distinct.append(len(found))
        first.append(group["text"][0])
    overall = (
        vendi(jaccard_matrix(shingles(tokens(pl.Series(first, dtype=pl.String)), WORDS))) if first else float("nan")
    )
    return {
        "kernel": KERNEL,
        "questions": len(per_question),
        "questions_looked_at": len(looked_at),
        "solutions": len(solutions),
        "per_question": _mean(per_question["n"].to_list()),
        "heuristics": _mean(per_question["heuristics"].to_list()),
        "vendi": _mean(scores),
        "vendi_all": overall,
        "computations": _mean(distinct),
        "questions_with_computations": len(distinct),
    }


def _mean(values: list[Any]) -> float:
    return float(np.mean(values)) if values else float("nan")
