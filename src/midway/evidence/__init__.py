"""Honest numbers: pass@k, intervals over questions and seeds, tests, power, diversity. Pure functions on arrays; no
torch.

Promises: every function states its assumptions; missing and unjudged samples are never counted as wrong; an answer that
cannot be had is NaN, with the reason in the function's docstring. Longer words: docs/statistics.md.
"""

from midway.evidence.diversity import (
    distribution,
    effective_number,
    entropy,
    total_variation,
    vendi_score,
    vendi_score_of_texts,
    vendi_score_of_vectors,
)
from midway.evidence.intervals import (
    Estimate,
    bootstrap,
    contrast,
    difference,
    difference_of_gains,
    gain,
    mean,
    ratio,
    wilson,
)
from midway.evidence.passk import majority_at_k, majority_of_all, pass_at_k, pass_at_k_curve
from midway.evidence.power import Detectable, minimum_detectable_effect
from midway.evidence.significance import PermutationTest, holm, label_permutation, sign_flip
from midway.evidence.ways import (
    LabelError,
    Matched,
    corrected_difference,
    corrected_rate,
    length_bins,
    matched_arms,
    matched_difference,
    rogan_gladen,
)

__all__ = [
    "Detectable",
    "Estimate",
    "LabelError",
    "Matched",
    "PermutationTest",
    "bootstrap",
    "contrast",
    "corrected_difference",
    "corrected_rate",
    "difference",
    "difference_of_gains",
    "distribution",
    "effective_number",
    "entropy",
    "gain",
    "holm",
    "label_permutation",
    "length_bins",
    "majority_at_k",
    "majority_of_all",
    "matched_arms",
    "matched_difference",
    "mean",
    "minimum_detectable_effect",
    "pass_at_k",
    "pass_at_k_curve",
    "ratio",
    "rogan_gladen",
    "sign_flip",
    "total_variation",
    "vendi_score",
    "vendi_score_of_texts",
    "vendi_score_of_vectors",
    "wilson",
]
