"""Algorithms by name: what TRL is given, and that advantages and loss are the papers' on rollouts of real trainings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from rl_runs import lab_recipe, logged

import midway
from midway.domains import Verifier
from midway.questions import from_frame
from midway.recipe import RecipeError
from midway.results import Run
from midway.rundir import layout
from midway.training.advantages import pass_at_k_training, pkpo
from midway.training.jobs import Job
from midway.training.rollouts import Rollouts
from midway.training.trainers.trl.algorithms import ALGORITHMS, expanded
from midway.training.trainers.trl.rl import rl_trainer

LIMIT, GROUP, K = 40, 8, 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One step of each algorithm, the same weights, questions and seed."""
    arms: dict[str, Any] = {name: {"rl_args": {"algorithm": name}} for name in ALGORITHMS}
    for name in ("pass-at-k", "pkpo"):
        arms[name]["rl_args"]["pass_k"] = K
    arms["rloo"]["rl_args"]["beta"] = 0.0
    rl = {"max_steps": 1, "per_device_train_batch_size": 32, "max_completion_length": LIMIT}
    return midway.run(lab_recipe(arms, rl=rl), out=tmp_path_factory.mktemp("runs") / "algorithms")


def groups(run: Run, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    frame = run.rollouts(name).sort("step", "group", "index")
    assert frame.height == 32
    return tuple(frame[c].to_numpy().reshape(-1, GROUP) for c in ("reward", "advantage", "tokens"))  # type: ignore[return-value]


def advantage(name: str, rewards: np.ndarray) -> np.ndarray:
    """As the papers have it; TRL adds 1e-4 to the deviation."""
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    if name in ("grpo", "dapo"):
        return np.asarray(centred / (rewards.std(axis=1, ddof=1, keepdims=True) + 1e-4))
    if name == "dr-grpo":
        return np.asarray(centred)
    if name == "rloo":
        others = (rewards.sum(axis=1, keepdims=True) - rewards) / (GROUP - 1)
        return np.asarray(rewards - others)
    of = {"pass-at-k": pass_at_k_training, "pkpo": pkpo}[name]
    return np.array([of(one, K) for one in rewards])


def loss(name: str, advantages: np.ndarray, tokens: np.ndarray) -> float:
    """On the first step the policy is the one that sampled, so each token's loss is minus its advantage."""
    if name in ("grpo", "rloo"):
        return float(-advantages.mean())
    if name in ("dr-grpo", "pkpo"):
        return float(-(advantages * tokens).sum() / (advantages.size * LIMIT))
    return float(-(advantages * tokens).sum() / tokens.sum())


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_advantages_and_loss_are_the_papers(run: Run, name: str) -> None:
    rewards, found, tokens = groups(run, name)
    assert 0 < rewards.mean() < 1, "or nothing is shown"
    assert found == pytest.approx(advantage(name, rewards), abs=1e-4)
    (row,) = logged(run.files.metrics(layout.rl(name, 0)))
    assert row["loss"] == pytest.approx(loss(name, found, tokens), abs=2e-4)
    assert row["frac_reward_zero_std"] == pytest.approx((found == 0).all(axis=1).mean(), abs=1e-6)


def test_the_algorithms_differ(run: Run) -> None:
    """The samples of the first step are the same, so nothing but the algorithm makes the advantages different."""
    texts = {name: run.rollouts(name).sort("group", "index")["text"].to_list() for name in ALGORITHMS}
    assert all(one == texts["grpo"] for one in texts.values())
    found = {name: groups(run, name)[1] for name in ALGORITHMS}
    assert found["dapo"] == pytest.approx(found["grpo"]), "these two differ in the loss alone"
    distinct = [found[name] for name in ("grpo", "dr-grpo", "rloo", "pass-at-k", "pkpo")]
    assert all(np.abs(a - b).max() > 1e-3 for k, a in enumerate(distinct) for b in distinct[:k])
    assert found["rloo"] == pytest.approx(found["dr-grpo"] * GROUP / (GROUP - 1), abs=1e-5), "a known identity"


@pytest.mark.parametrize(("name", "high"), [("grpo", 0.2), ("dr-grpo", 0.2), ("dapo", 0.28), ("rloo", 0.2)])
def test_where_the_ratio_is_clipped(run: Run, tmp_path: Path, name: str, high: float) -> None:
    """A batch by hand whose old policy is such that ratios are 1.25: DAPO alone does not clip them. Losses by the papers' formulas."""
    stage = run.files.stage(layout.rl(name, 0))
    job = replace(Job.load(stage / "job.json"), out=str(tmp_path))
    questions = from_frame(pl.read_parquet(job.questions))  # type: ignore[arg-type]
    with Verifier(**job.verify) as verifier, Rollouts(tmp_path / "rollouts", "x") as rollouts:
        trainer = rl_trainer(job, questions, verifier, rollouts)
    trainer.current_gradient_accumulation_steps = 1
    model = trainer.model.train()
    lengths = torch.tensor([3, 6])
    mask = (torch.arange(6)[None] < lengths[:, None]).long()
    batch = {
        "prompt_ids": torch.tensor([[5, 6], [7, 8]]),
        "prompt_mask": torch.ones(2, 2, dtype=torch.long),
        "completion_ids": torch.arange(12).reshape(2, 6) + 10,
        "completion_mask": mask,
        "advantages": torch.tensor([1.0, -0.5]),
        "num_items_in_batch": mask.sum(),
    }
    both = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    seen = torch.cat([batch["prompt_mask"], mask], 1)
    with torch.no_grad():
        now = trainer._get_per_token_logps_and_entropies(model, both, seen, 6)[0]
    ratio = 1.25
    batch["old_per_token_logps"] = now - np.log(ratio)
    batch["old_logps"] = (now * mask).sum(1) - np.log(ratio)
    first = 1.0 * min(ratio, 1 + high)
    terms = torch.tensor([first, -0.5 * ratio])  # the clip is for gains alone: min(r A, clip(r) A)
    expected = {
        "grpo": -terms.mean(),
        "rloo": -terms.mean(),
        "dr-grpo": -(terms * lengths).sum() / (2 * LIMIT),
        "dapo": -(terms * lengths).sum() / lengths.sum(),
    }[name]
    with torch.no_grad():
        assert float(trainer._compute_loss(model, batch)) == pytest.approx(float(expected), abs=1e-5)


def test_a_name_or_setting_that_is_wrong() -> None:
    for rl, said in (
        ({"algorithm": "dpao"}, "rl.algorithm: there is none called 'dpao'; did you mean dapo"),
        ({"algorithm": "dr-grpo", "scale_rewards": "group"}, "which has scale_rewards=none"),
        ({"algorithm": "rloo", "loss_type": "grpo"}, "rl.loss_type is no field of"),
        ({"algorithm": "grpo", "pass_k": 4}, "pass_k is for algorithm: pass-at-k or pkpo"),
        ({"reward_clip_range": [0, 1]}, "RLOO's need rl.algorithm=rloo"),
        ({"algorithm": "pkpo", "pass_k": 9}, "pass_k=9 must be between 1 and num_generations=8"),
    ):
        with pytest.raises(RecipeError, match=said.replace("(", r"\(")):
            lab_recipe({"a": []}, rl=rl)
    with pytest.raises(RecipeError, match=r"arms.a: rl.loss_type=grpo is not dapo, which has loss_type=dapo"):
        lab_recipe({"a": {"rl_args": {"algorithm": "dapo"}}}, rl={"loss_type": "grpo"})


def test_the_papers_figures_may_be_changed() -> None:
    assert expanded({"algorithm": "dapo", "epsilon_high": 0.24})["epsilon_high"] == 0.24
    assert expanded({"learning_rate": 1.0}) == {"learning_rate": 1.0}, "without a name TRL's defaults hold"


def test_the_documentation_has_every_name() -> None:
    """The table of docs/rl.md is this table."""
    text = (Path(__file__).parents[2] / "docs/rl.md").read_text()
    for name, one in ALGORITHMS.items():
        (line,) = [row for row in text.splitlines() if row.startswith(f"| `{name}`")]
        for settings in (one.fixed, one.usual):
            for key, value in settings.items():
                assert f"{key}: {str(value).lower() if isinstance(value, bool) else value}" in line
