"""Drawing the next token, so that a sample depends on its own seed and not on what else is in the batch.

Promises: the random number for token t of a request is a hash of (seed, t) alone. The token is found by inverting the cumulative
distribution in vocabulary order, so the same probabilities give the same token in any batch, on any device; only rounding differences
in the logits (another batch size, another kernel) that fall just on a boundary can change a draw.
Filters in the order of Hugging Face: temperature, top-k, top-p, min-p.
"""

from __future__ import annotations

import torch

from midway.records import Sampling

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit number
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def _shift(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical right shift of int64."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def uniform(seeds_B: torch.Tensor, step: int) -> torch.Tensor:
    """Return float64 numbers in [0, 1), one for each seed (int64), for token number `step`.

    SplitMix64 (Steele, Lea and Flood 2014) of the seed, then of seed hash plus step.
    """
    x = seeds_B
    for add in (0, step):
        x = (x + add + 1) * _GOLDEN
        x = (x ^ _shift(x, 30)) * _MIX_1
        x = (x ^ _shift(x, 27)) * _MIX_2
        x = x ^ _shift(x, 31)
    return _shift(x, 11).to(torch.float64) * 2.0**-53


def filtered(logits_BV: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Return probabilities (float32) after temperature, top-k, top-p and min-p. `temperature` must be above 0."""
    logits = logits_BV.float() / sampling.temperature
    if 0 < sampling.top_k < logits.shape[-1]:
        floor = torch.topk(logits, sampling.top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < floor, -torch.inf)
    if sampling.top_p < 1:
        ordered, order = torch.sort(logits, descending=True, dim=-1)
        probs = ordered.softmax(-1)
        beyond = probs.cumsum(-1) - probs >= sampling.top_p  # the first token that reaches top_p stays in
        logits = logits.masked_fill(torch.zeros_like(beyond).scatter(-1, order, beyond), -torch.inf)
    probs = logits.softmax(-1)
    if sampling.min_p > 0:
        probs = probs.masked_fill(probs < sampling.min_p * probs.amax(-1, keepdim=True), 0.0)
    return probs


def choose(logits_BV: torch.Tensor, sampling: Sampling, seeds_B: torch.Tensor, step: int) -> torch.Tensor:
    """Return the next token of each row (int64); temperature 0 takes the most probable."""
    best = logits_BV.argmax(-1)
    if sampling.temperature == 0:
        return best
    cumulative = filtered(logits_BV, sampling).cumsum(-1, dtype=torch.float64)
    target = uniform(seeds_B, step)[:, None] * cumulative[:, -1:]
    token = torch.searchsorted(cumulative, target, right=True).squeeze(-1)
    return torch.where(token < logits_BV.shape[-1], token, best)


def token_logprobs(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return the model's own log-probabilities (nats, temperature 1, no filter) of `tokens` (...,) under `logits` (..., V)."""
    wide = logits.float()
    return wide.gather(-1, tokens[..., None]).squeeze(-1) - wide.logsumexp(-1)
