"""Runs a training job: in this process, or in processes of its own under a launcher such as `accelerate launch`.

Promises: both ways run the same function on the same job file. A launched process that ends with an error raises RunError with the last
lines it printed and where the whole output is.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from midway.run import RunError, write_json

Progress = Callable[[int, int, dict[str, Any]], None]


def run_job(path: Path, progress: Progress | None = None, stop: Callable[[], bool] | None = None) -> dict[str, Any]:
    """Run the job in file `path` in this process and return its result."""
    from midway.training.common import Job

    job = Job.load(path)
    if job.kind == "sft":
        from midway.training.sft import run_sft

        return run_sft(job, progress, stop)
    from midway.training.rl import run_grpo

    return run_grpo(job, progress, stop)


def launch(
    path: Path, command: Sequence[str], progress: Progress | None, stop: Callable[[], bool] | None
) -> dict[str, Any]:
    """Run the job under `command` (`accelerate launch ...`) and return its result.

    A stop request is passed on as SIGINT, upon which the job saves a checkpoint and ends.
    """
    from midway.training.common import Interrupted

    result, log = path.with_name("result.json"), path.with_name("train.log")
    result.unlink(missing_ok=True)
    with open(log, "ab") as file:
        process = subprocess.Popen(
            [*command, "-m", "midway.training.launch", str(path)],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        asked = False
        try:
            while process.poll() is None:
                time.sleep(1.0)
                if stop and stop() and not asked:
                    process.send_signal(signal.SIGINT)
                    asked = True
                if progress:
                    _report(path.with_name("metrics.jsonl"), progress)
        finally:
            if process.poll() is None:
                process.kill()
    if process.returncode == 130:
        raise Interrupted("stopped on request")
    if process.returncode or not result.exists():
        tail = "\n".join("    " + line for line in log.read_text(errors="replace").splitlines()[-15:])
        raise RunError(f"{' '.join(command)} ended with exit code {process.returncode}; whole output in {log}\n{tail}")
    return dict(json.loads(result.read_text()))


def _report(metrics: Path, progress: Progress) -> None:
    if metrics.exists():
        lines = metrics.read_bytes().split(b"\n")[:-1]
        if lines:
            latest = json.loads(lines[-1])
            progress(int(latest["step"]), int(latest.get("max_steps", 0)), latest)


def main() -> None:
    """Entry point of a launched process: `-m midway.training.launch JOB.json`."""
    from midway.training.common import Interrupted

    asked: list[int] = []
    signal.signal(signal.SIGINT, lambda *_: asked.append(1))
    path = Path(sys.argv[1])
    try:
        result = run_job(path, stop=lambda: bool(asked))
    except Interrupted:
        sys.exit(130)
    write_json(path.with_name("result.json"), result)


if __name__ == "__main__":
    main()
