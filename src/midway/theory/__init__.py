"""What policy gradient does to a policy that knows one way or several: closed forms, exact expected steps, flows, simulations, predictions.

Promises: numpy and scipy only, no torch; every closed form is checked against Monte Carlo in `tests/theory`; ValueError says what was wrong
with an argument. Longer words and figures: docs/theory.md, made by `midway theory`.
"""

from midway.theory.account import Account, Curve, Panel, Result, markdown, plain
from midway.theory.invariant import conserved, ratio_at, shares_at
from midway.theory.mixing import ends, hybrid_rate, hybrid_rate_two
from midway.theory.predictions import PREDICTIONS
from midway.theory.rules import RULES, Rule, advantages, signal, weight, weight_limit
from midway.theory.signals import escape_time, kl_fixed_point, misses_while_moving, noisy_drift, observed, sft_time
from midway.theory.space import Space, chains, is_hybrid, logits_after_sft, success_with_synergy, ways
from midway.theory.step import (
    exact_step,
    expected_change,
    first_order_step,
    gain_rate,
    largest_step,
    peaked_step,
    rare_step,
    tempered,
    uniform_step,
)
from midway.theory.training import Flow, Runs, Trainer, drift, expected_step, flow, outcomes, simulate

__all__ = [
    "PREDICTIONS",
    "RULES",
    "Account",
    "Curve",
    "Flow",
    "Panel",
    "Result",
    "Rule",
    "Runs",
    "Space",
    "Trainer",
    "advantages",
    "chains",
    "conserved",
    "drift",
    "ends",
    "escape_time",
    "exact_step",
    "expected_change",
    "expected_step",
    "first_order_step",
    "flow",
    "gain_rate",
    "hybrid_rate",
    "hybrid_rate_two",
    "is_hybrid",
    "kl_fixed_point",
    "largest_step",
    "logits_after_sft",
    "markdown",
    "misses_while_moving",
    "noisy_drift",
    "observed",
    "outcomes",
    "peaked_step",
    "plain",
    "rare_step",
    "ratio_at",
    "sft_time",
    "shares_at",
    "signal",
    "simulate",
    "success_with_synergy",
    "tempered",
    "uniform_step",
    "ways",
    "weight",
    "weight_limit",
]
