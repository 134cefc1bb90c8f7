"""Which solutions are kept: pure, on tables; knows neither files nor models.

    kept = select(completions, verdicts, adherence, questions, config.selection, data, seed=0, benchmarks=benchmarks)
    kept.solutions, kept.funnel, kept.removed, kept.notes

Promises
- The same rows in any order, as frames or as lazy scans, give the same solutions; so do other versions of polars.
- Every completion that falls is counted at the step where it falls, by heuristic and level (`funnel`); copies, leaked questions and
  rows dropped for balance are also listed (`removed`) with what they collide with.
- Memory is bounded: questions are worked on in chunks of about CHUNK completions, by a hash of their id.
- A matched arm has exactly as many examples as the treatment, or `notes` says why not. Where distinct solutions run short they are
  repeated, evenly, and both `funnel` (step `repeated`) and `notes` say how many.

When things go wrong: ValueError for tables that do not fit together (a completion of an unknown question, several adherence scorers,
an arm without any candidate for `one-heuristic`). An empty selection is not an error here: `notes` says so.
"""

from midway.selection.choose import Similarity
from midway.selection.diversity import diversity, vendi
from midway.selection.leaks import KINDS, find_leaks
from midway.selection.pick import CHUNK, STEPS, Selection, select
from midway.selection.text import KERNEL, computations
from midway.selection.why import why_empty

__all__ = [
    "CHUNK",
    "KERNEL",
    "KINDS",
    "STEPS",
    "Selection",
    "Similarity",
    "computations",
    "diversity",
    "find_leaks",
    "select",
    "vendi",
    "why_empty",
]
