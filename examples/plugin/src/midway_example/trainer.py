"""A trainer: fine-tuning and REINFORCE in a plain PyTorch loop, with arguments of its own.

It takes a job (`midway.training.jobs.Job`), trains the weights at `job.model` on the rows of `job.rows`, and leaves `model/` and
`metrics.jsonl` in `job.out`. It keeps no checkpoints: a job that was killed begins anew, as it began.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from midway import registry
from midway.recipe import Section
from midway.recipe.section import lines
from midway.registry import TrainerPart
from midway.rundir import Stopped
from midway.training.jobs import Job


class Midtrain(Section):
    steps: int = Field(10, ge=1)
    learning_rate: float = Field(1e-4, gt=0)


class Rl(Midtrain):
    group: int = Field(8, ge=2)
    """Samples of a question in a step."""
    max_tokens: int = Field(32, ge=1)


SECTIONS: Mapping[str, type[Section]] = {"midtrain": Midtrain, "rl": Rl}


def check(section: str, where: str, args: Mapping[str, Any]) -> None:
    """Raise ValueError for arguments that this trainer does not take."""
    try:
        SECTIONS[section].model_validate(dict(args))
    except ValidationError as error:
        raise ValueError("; ".join(f"{where}.{line}" for line in lines(error, SECTIONS[section]))) from None


def train(
    job: Job,
    progress: Callable[[int, int, dict[str, Any]], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Run a job; return at least `steps`. Raises Stopped when asked to stop."""
    import polars as pl
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(job.seed)
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    model = AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.float32)
    rows = pl.read_parquet(job.rows).to_dicts()
    args: Any = SECTIONS["midtrain" if job.kind == "sft" else "rl"].model_validate(job.args)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate)
    loss_of = _fine_tuning(rows, tokenizer) if job.kind == "sft" else _reinforce(job, rows, tokenizer, args)
    out = Path(job.out)
    with open(out / "metrics.jsonl", "w", encoding="utf-8") as metrics:
        for step in range(1, args.steps + 1):
            if stop and stop():
                raise Stopped
            loss, logs = loss_of(model, step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            logs = {"loss": float(loss.detach()), **logs}
            metrics.write(json.dumps({"step": step, **logs}) + "\n")
            if progress:
                progress(step, args.steps, logs)
    made = out / ".model.tmp"
    shutil.rmtree(made, ignore_errors=True)
    model.save_pretrained(made)
    tokenizer.save_pretrained(made)
    shutil.rmtree(out / "model", ignore_errors=True)
    os.replace(made, out / "model")
    return {"steps": args.steps}


def _tokens(tokenizer: Any, prompt: Any) -> list[int]:
    """The tokens of a prompt: text, or messages."""
    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    text = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _log_probability(model: Any, head: list[int], tail: list[int]) -> Any:
    """Sum of the log-probabilities of `tail` after `head`, in nats."""
    import torch

    tokens = torch.tensor([head + tail])
    scores = torch.log_softmax(model(tokens[:, :-1]).logits[0], dim=-1)
    return scores[len(head) - 1 :].gather(1, tokens[0, len(head) :, None]).sum()


def _fine_tuning(rows: list[dict[str, Any]], tokenizer: Any) -> Callable[[Any, int], tuple[Any, dict[str, Any]]]:
    def loss(model: Any, step: int) -> tuple[Any, dict[str, Any]]:
        row = rows[(step - 1) % len(rows)]
        solution = row["completion"] if isinstance(row["completion"], str) else row["completion"][-1]["content"]
        tail = [*tokenizer(solution, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        return -_log_probability(model, _tokens(tokenizer, row["prompt"]), tail) / len(tail), {}

    return loss


def _reinforce(
    job: Job, rows: list[dict[str, Any]], tokenizer: Any, args: Rl
) -> Callable[[Any, int], tuple[Any, dict[str, Any]]]:
    import polars as pl
    import torch

    from midway.domains import Verifier
    from midway.questions import from_frame

    questions = from_frame(pl.read_parquet(str(job.questions)))
    verifier = Verifier(**job.verify)
    rewards = [
        (
            one["weight"],
            registry.find("rewards", one["name"]).open(
                one["options"], questions=questions, verifier=verifier, stop=job.stop
            ),
        )
        for one in job.rewards
    ]

    def loss(model: Any, step: int) -> tuple[Any, dict[str, Any]]:
        row = rows[(step - 1) % len(rows)]
        head = _tokens(tokenizer, row["prompt"])
        drawn = model.generate(
            torch.tensor([head] * args.group),
            attention_mask=torch.ones(args.group, len(head), dtype=torch.long),
            do_sample=True,
            max_new_tokens=args.max_tokens,
            pad_token_id=tokenizer.pad_token_id,
        )
        tails = [[t for t in sample[len(head) :].tolist() if t != tokenizer.pad_token_id] or [0] for sample in drawn]
        texts = [tokenizer.decode(tail, skip_special_tokens=True) for tail in tails]
        asked = {"completions": texts, "completion_ids": tails, "question_id": [row["question_id"]] * len(texts)}
        scores = [[(weight, value) for value in reward(**asked)] for weight, reward in rewards]
        given = [
            None if any(v is None for _, v in of) else sum(w * v for w, v in of) for of in zip(*scores, strict=True)
        ]
        known = [r for r in given if r is not None]
        mean = sum(known) / max(1, len(known))
        advantages = [0.0 if r is None else r - mean for r in given]
        terms = [-a * _log_probability(model, head, tail) for a, tail in zip(advantages, tails, strict=True)]
        return torch.stack(terms).mean(), {"reward": mean}

    return loss


TRAINER = TrainerPart(
    name="plain", summary="a plain PyTorch loop", train=train, check=check, packages=("torch", "transformers")
)
