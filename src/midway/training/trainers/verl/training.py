"""Runs a job with verl: writes what verl reads, starts it in its own environment, follows it, and merges its last checkpoint.

Promises
- Nothing of verl's is imported here. All of it runs as processes of `training.python`, which end when this process does.
- A job that was killed or stopped goes on from verl's last checkpoint (`trainer.resume_mode: auto`); steps after that are done again.
- `model/` appears whole or not at all, and loads anywhere: verl's own merger makes it, an adapter is merged, the tokenizer is the one that
  the arm started with.

When things go wrong: RunError with the last lines that verl printed, and where all of it is. Stopped when asked to stop.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from midway.rundir import RunError, Stopped, write_bytes
from midway.training.jobs import Job, Progress, Stop
from midway.training.trainers.verl.environment import ask, find_python
from midway.training.trainers.verl.log import MEMORY, TOKENS, Log
from midway.training.trainers.verl.samples import keep_rollouts
from midway.training.trainers.verl.writing import Place, keeps_none, known_steps, write

TRACKER = "latest_checkpointed_iteration.txt"
"""Where verl says which checkpoint is its last; it is written after the checkpoint."""
ENDED = "ended"
LOOK, GRACE = 2.0, 30.0
"""Seconds between two looks at a process, and for it to end after it was asked to."""
SHOWN = 25


def run_verl(job: Job, progress: Progress | None = None, stop: Stop | None = None) -> dict[str, Any]:
    """Run RL with verl as `job` says; rows have `prompt` (text or chat messages) and `question_id`. Returns steps, tokens, memory, and the
    version of verl."""
    from midway.training.trainers.trl.common import load_tokenizer

    place, done = Place(Path(job.out).resolve()), Path(job.out).resolve() / "trained.json"
    if done.exists() and (place.stage / "model").is_dir():
        return dict(json.loads(done.read_text()))  # killed between the end of training and the end of the stage
    job = replace(job, model=local_model(job.model, job.revision), revision=None)
    tokenizer = load_tokenizer(job.model, None, job.trust_remote_code)
    versions = write(job, tokenizer)["versions"]
    begun = last_step(place.checkpoints)
    log = Log(place.metrics, place.stage / "metrics.jsonl", known_steps(job.args))
    if not (place.folder / ENDED).exists():
        log.begin(begun)
        train(place, log, progress, stop)
        write_bytes(place.folder / ENDED, b"")
    last = last_step(place.checkpoints)
    if not last:
        raise RunError(f"verl ended without a checkpoint in {place.checkpoints}: see {place.folder / 'train.log'}")
    merge(place, job, last, tokenizer)
    if not keeps_none(job):
        keep_rollouts(job, place.rollouts, last, tokenizer)
    rows = log.rows()
    result = {
        "steps": last,
        "resumed_from": begun,
        "tokens": int(sum(row.get(TOKENS, 0) for row in rows)),
        "peak_memory_mb": 1024 * max((row.get(MEMORY, 0.0) for row in rows), default=0.0),
        "trainer": {name: versions[name] for name in ("verl", "ray", "vllm", "sglang") if name in versions},
    }
    write_bytes(done, json.dumps(result).encode())
    for folder in (place.checkpoints, place.rollouts):
        shutil.rmtree(folder, ignore_errors=True)
    return result


def local_model(model: str, revision: str | None) -> str:
    """Return the directory of a model: verl knows paths and Hub ids, but no revisions."""
    if Path(model).expanduser().is_dir():
        return str(Path(model).expanduser().resolve())
    from huggingface_hub import snapshot_download

    return str(snapshot_download(model, revision=revision))


def last_step(checkpoints: Path) -> int:
    """Return the step of verl's last whole checkpoint, 0 where there is none."""
    tracker = checkpoints / TRACKER
    step = int(tracker.read_text()) if tracker.is_file() else 0
    return step if (checkpoints / f"global_step_{step}").is_dir() else 0


def train(place: Place, log: Log, progress: Progress | None, stop: Stop | None) -> None:
    """Run `start.sh` to its end. Raises Stopped when asked to stop, RunError when verl fails."""

    def look() -> None:
        for row in log.follow():
            if progress:
                progress(int(row["step"]), int(row.get("max_steps", 0)), row)
        if stop and stop():
            at = last_step(place.checkpoints)
            raise Stopped(f"stopped; verl's last checkpoint is that of step {at}, from which the next attempt goes on")

    run(["sh", str(place.start)], place.folder / "train.log", look)


def merge(place: Place, job: Job, step: int, tokenizer: Any) -> None:
    """Make `model/` of a checkpoint with verl's merger."""
    made, model = place.stage / ".model.tmp", place.stage / "model"
    shutil.rmtree(made, ignore_errors=True)
    checkpoint = place.checkpoints / f"global_step_{step}"
    run(["sh", str(place.merge), str(checkpoint), str(made)], place.folder / "merge.log", lambda: None)
    adapter = made / "lora_adapter"
    if adapter.is_dir():
        ask(find_python(job.python or ""), "merge-lora", {"model": str(made)})
        shutil.rmtree(place.stage / "adapter", ignore_errors=True)
        os.replace(adapter, place.stage / "adapter")
    for name in ("chat_template.jinja", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (made / name).unlink(missing_ok=True)  # with the template that shows plain prompts to verl
    tokenizer.save_pretrained(str(made))
    shutil.rmtree(model, ignore_errors=True)
    os.replace(made, model)


def run(command: Sequence[str], log: Path, look: Callable[[], None], env: Mapping[str, str] | None = None) -> None:
    """Run a command in a process group of its own that ends with this process; `look` is called while it runs, and once after.

    What it prints is added to `log`. Raises RunError with the end of it when it fails, and what `look` raises, after ending it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as file:
        process = subprocess.Popen(
            list(command),
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_end_with_parent,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
        )
    try:
        while process.poll() is None:
            look()
            time.sleep(LOOK)
        look()
    finally:
        if process.poll() is None:
            _end(process)
    if process.returncode:
        lines = log.read_text(errors="replace").splitlines()[-SHOWN:]
        tail = "\n".join("    " + line for line in lines)
        raise RunError(f"{' '.join(command)} ended with exit code {process.returncode}; whole output in {log}\n{tail}")


def _end_with_parent() -> None:
    """Have the kernel end this process when its parent dies, however that happens (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process group: Ray takes its cluster down on SIGTERM; what is left is killed."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
