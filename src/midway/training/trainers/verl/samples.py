"""What verl sampled, as midway's rollouts: from the files that its trainer writes of each step (`trainer.rollout_data_dir`).

Promises: every completion of a step that counts is there once, since a step that is done again overwrites its file. They are judged by the
same verifier that rewarded them. verl writes neither advantages nor tokens: advantages are null, tokens are counted again from the text
(without special tokens), so `cut_off` is right but where a text is retokenised into fewer tokens.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from midway.domains import Verifier
from midway.questions import from_frame
from midway.training.jobs import Job
from midway.training.rewards import answer_in
from midway.training.rollouts import Batch, Rollouts, kept_of_a_step
from midway.training.trainers.verl.arguments import sampled


def dumped(folder: Path, last: int) -> Iterator[tuple[int, list[list[dict[str, Any]]]]]:
    """Yield (step, groups) of verl's files up to step `last`, in order. Rows of a group have one prompt of one step."""
    files = {int(path.stem): path for path in folder.glob("*.jsonl") if path.stem.isdigit()}
    for step in sorted(n for n in files if n <= last):
        rows = [json.loads(line) for line in files[step].read_text(encoding="utf-8").splitlines()]
        rows.sort(key=lambda row: group_of(row))  # stable
        yield step, [list(of) for _, of in itertools.groupby(rows, key=group_of)]


def group_of(row: dict[str, Any]) -> str:
    """Return what a row's group is called: verl's keys are SAMPLE_ROLLOUT_OUTPUT."""
    return str(row["uid"]).rsplit("_", 2)[0]


def keep_rollouts(job: Job, folder: Path, last: int, tokenizer: Any) -> int:
    """Write the rollouts of a job from verl's `folder`; return how many were sampled."""
    assert job.questions is not None
    questions = {q.id: q for q in from_frame(pl.read_parquet(job.questions))}
    rl, count = sampled(job.args), 0
    target = Path(job.rollouts.get("folder") or Path(job.out) / "rollouts")
    with Verifier(**job.verify) as verifier, Rollouts(target, job.run_name) as rollouts:
        rollouts.begin(0, kept_of_a_step(job.rollouts.get("keep"), rl.batch * last))
        for step, groups in dumped(folder, last):
            for group in groups:
                count += len(group)
                texts = [str(row["output"]) for row in group]
                ids = [str(row["gts"]) for row in group]
                answers = [answer_in(text, job.stop) for text in texts]
                verdicts = list(verifier.verify_batch(zip((questions[i] for i in ids), answers, strict=True)))
                tokens = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
                ended = [answer != text for answer, text in zip(answers, texts, strict=True)]
                scores = [float(row["score"]) for row in group]
                columns: dict[str, list[Any]] = {
                    "question_id": ids,
                    "judgement": [str(v.judgement) for v in verdicts],
                    "extracted": [v.extracted for v in verdicts],
                    "reason": [v.reason for v in verdicts],
                    "tokens": tokens,
                    "cut_off": [n >= rl.max_tokens and not end for n, end in zip(tokens, ended, strict=True)],
                }
                rollouts.write(
                    Batch(step, len(group), texts, {"score": scores}, scores, [math.nan] * len(group), columns)
                )
    return count
