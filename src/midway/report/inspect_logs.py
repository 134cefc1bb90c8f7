"""Evaluations as logs that Inspect's viewer opens (`inspect view`, `read_eval_log`): one `.eval` file for each model and benchmark.

Promises: writes what the run has stored and judges nothing anew; one sample at a time, so that a long evaluation needs little
memory; a file is whole or not there. A sample that could not be judged has no score, which Inspect counts as unscored, not as wrong.
Inspect itself is not needed. The layout is that of inspect_ai 0.3 (log version 2; `log/_log.py`, `log/_recorders/eval.py`): a zip of
`header.json`, `summaries.json`, `samples/ID_epoch_N.json` and `_journal/start.json`.

When things go wrong: RunError for a run without samples, or for an arm, a seed or a benchmark that it does not have.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from midway import registry
from midway.questions import from_frame
from midway.records import Finish, Judgement, Question, content_id
from midway.results import Run
from midway.results.directory import source_of
from midway.rundir import RunError, layout, read_json

VERSION = 2
SCORER = "verdict"
STOPS = {Finish.STOP: "stop", Finish.LENGTH: "max_tokens"}
SUMMARY = 1000
"""Characters of a text in a summary, as in Inspect."""
SCORES = {Judgement.CORRECT: "C", Judgement.WRONG: "I"}


@dataclass(frozen=True, slots=True)
class Part:
    """One log: the samples of one model on one benchmark."""

    benchmark: str
    arm: str
    phase: str
    seed: int
    greedy: bool

    @property
    def task(self) -> str:
        return "-".join(
            [self.benchmark, self.arm, self.phase, f"seed-{self.seed}", *(["greedy"] if self.greedy else [])]
        )


def write_logs(run: Run, folder: Path, *, arm: str | None = None, seed: int | None = None) -> list[Path]:
    """Write a log for each evaluation of a run, or of one arm or seed, into `folder`; return the files. Raises RunError."""
    arms = list(run.arms) if arm is None else [arm]
    written = [file for part in _parts(run, arms, seed) if (file := _write(run, part, folder)) is not None]
    if not written:
        raise RunError(
            f"{run.path} has no evaluation samples{f' of {arm}' if arm else ''} yet: midway status {run.path.name}"
        )
    return written


def _parts(run: Run, arms: Sequence[str], seed: int | None) -> Iterator[Part]:
    for name in arms:
        if name not in run.arms:
            raise RunError(f"{run.path}: there is no arm {name!r}; it has {', '.join(run.arms)}")
        seeds = run.arms[name].seeds
        if seed is not None and seed not in seeds and len(arms) == 1:
            raise RunError(f"{run.path}: arm {name} has no seed {seed}; it has {', '.join(map(str, seeds))}")
        for benchmark in run.benchmarks:
            for phase in layout.PHASES:
                for number in seeds:
                    rel = layout.evaluation(name, number, benchmark, phase)
                    own = source_of(run.files, rel, []) == rel  # not the base model's, which has a log of its own
                    if own and seed in (None, number):
                        yield from (Part(benchmark, name, phase, number, greedy) for greedy in (False, True))


def _write(run: Run, part: Part, folder: Path) -> Path | None:
    frame = run.samples(part.benchmark, part.arm, phase=part.phase, seed=part.seed, greedy=part.greedy)
    if not frame.height:
        return None
    questions = {q.id: q for q in from_frame(run.questions(layout.benchmark_set(part.benchmark)))}
    header = _header(run, part, frame, list(questions))
    created = str(header["eval"]["created"]).replace(":", "-")
    file = folder / f"{created}_{_plain(part.task)}_{header['eval']['task_id']}.eval"
    folder.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(half, "w", zipfile.ZIP_DEFLATED) as log:
            _put(log, "_journal/start.json", {key: header[key] for key in ("version", "eval", "plan")})
            summaries = []
            for row in frame.iter_rows(named=True):
                sample = _sample(row, questions.get(row["question_id"]), header["eval"]["model"])
                _put(log, f"samples/{sample['id']}_epoch_{sample['epoch']}.json", sample)
                summaries.append(_summary(sample))
            _put(log, "summaries.json", summaries)
            _put(log, "header.json", header)
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)
    return file


def _put(log: zipfile.ZipFile, name: str, value: object) -> None:
    log.writestr(name, json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _plain(text: str) -> str:
    """Return a name that can be a part of a log's file name, whose parts `_` keeps apart."""
    return "".join(c if c.isalnum() or c in "-." else "-" for c in text)


def _header(run: Run, part: Part, frame: pl.DataFrame, ids: Sequence[str]) -> dict[str, Any]:
    stage = read_json(run.files.manifest(layout.evaluation(part.arm, part.seed, part.benchmark, part.phase))) or {}
    config = stage.get("config") or {}
    sampling = (config.get("benchmark") or {}).get("sampling") or {}
    started, finished = _time(stage.get("started")), _time(stage.get("finished"))
    task_id = content_id("inspect", run.path.name, part.task)[:22]
    by = frame.filter(pl.col("judgement").is_in(list(SCORES))).group_by("question_id")
    means = by.agg(right=(pl.col("judgement") == Judgement.CORRECT).mean())["right"].to_numpy()
    scored = frame.filter(pl.col("judgement").is_in(list(SCORES))).height
    metrics = {}
    if means.size:
        metrics["accuracy"] = {"name": "accuracy", "value": float(means.mean())}
    if means.size > 1:
        error = float(np.std(means, ddof=1) / np.sqrt(means.size))
        metrics["stderr"] = {"name": "stderr", "value": error, "params": {"cluster": "question"}}
    model = f"midway/{run.path.name}/{part.arm}"
    return {
        "version": VERSION,
        "status": "success" if stage.get("state") == "complete" else "cancelled",
        "eval": {
            "eval_id": task_id,
            "run_id": content_id("inspect-run", run.path.name)[:22],
            "created": started,
            "task": part.task,
            "task_id": task_id,
            "task_version": 0,
            "dataset": {"name": part.benchmark, "samples": len(ids), "sample_ids": list(ids), "shuffled": False},
            "model": model,
            "model_generate_config": {
                key: sampling[key] for key in ("temperature", "top_p", "top_k", "max_tokens") if key in sampling
            },
            "config": {"epochs": int(frame["index"].max() or 0) + 1},  # type: ignore[arg-type]
            "packages": {str(k): str(v) for k, v in (stage.get("versions") or {}).items()},
            "metadata": {
                "run": run.path.name,
                "arm": part.arm,
                "title": run.arms[part.arm].title,
                "phase": part.phase,
                "seed": part.seed,
                "greedy": part.greedy,
            },
            "scorers": [{"name": SCORER}],
        },
        "plan": {"name": "plan", "steps": [{"solver": "generate"}]},
        "results": {
            "total_samples": frame.height,
            "completed_samples": frame.height,
            "scores": [
                {
                    "name": SCORER,
                    "scorer": SCORER,
                    "scored_samples": scored,
                    "unscored_samples": frame.height - scored,
                    "metrics": metrics,
                }
            ],
        },
        "stats": {
            "started_at": started,
            "completed_at": finished,
            "model_usage": {
                model: _usage(frame.select(pl.sum("prompt_tokens", "completion_tokens")).row(0, named=True))
            },
        },
    }


def _time(text: object) -> str:
    """Return a stored time as Inspect writes it; the epoch where none was stored."""
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC).isoformat(timespec="seconds")
    except ValueError:
        return datetime.fromtimestamp(0, UTC).isoformat(timespec="seconds")


def _usage(row: Mapping[str, Any]) -> dict[str, int]:
    read, written = int(row["prompt_tokens"] or 0), int(row["completion_tokens"] or 0)
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}


def _sample(row: Mapping[str, Any], question: Question | None, model: str) -> dict[str, Any]:
    text, judgement = row["text"] or "", row["judgement"]
    message = {"role": "assistant", "content": text, "source": "generate", "model": model}
    asked = question.text if question else row["question_id"]
    scores = {}
    if judgement in SCORES:
        scores[SCORER] = {"value": SCORES[judgement], "answer": row["extracted"], "explanation": row["reason"]}
    metadata = {"judgement": judgement, "reason": row["reason"], "ways": row["ways"], "labels": row["labels"]}
    sample: dict[str, Any] = {
        "id": row["question_id"],
        "epoch": int(row["index"] or 0) + 1,
        "input": asked,
        "choices": list(question.choices) or None if question else None,
        "target": registry.domain(question.domain).gold_text(question) if question else "",
        "messages": [{"role": "user", "content": asked, "source": "input"}, message],
        "output": {
            "model": model,
            "choices": [{"message": message, "stop_reason": STOPS.get(row["finish"], "unknown")}],
            "completion": text,
            "usage": _usage(row),
            "error": row["error"] or None,
        },
        "scores": scores,
        "metadata": {key: value for key, value in metadata.items() if value is not None},
        "model_usage": {model: _usage(row)},
        "uuid": row["id"],
    }
    return sample


def _summary(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a listing shows of a sample."""
    kept = ("id", "epoch", "input", "choices", "target", "metadata", "scores", "model_usage", "uuid")
    summary = {key: sample[key] for key in kept}
    for key in ("input", "target"):
        summary[key] = str(summary[key])[:SUMMARY]
    return {**summary, "completed": True, "message_count": 2}
