"""Runs a training job: in this process, or in processes of its own under a launcher such as `accelerate launch`.

Promises: both ways run the same function on the same job file. A launched process that ends with an error raises RunError with the last
lines it printed and where the whole output is.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from midway import registry
from midway.rundir import RunError, Stopped, write_json
from midway.rundir.ending import end_descendants, ended
from midway.training.jobs import Job, Progress, Stop

STOP = "stop-requested"


def run_job(path: Path, progress: Progress | None = None, stop: Stop | None = None) -> dict[str, Any]:
    """Run the job in file `path` in this process and return its result."""
    job = Job.load(path)
    registry.load_plugins(job.plugins)
    return dict(registry.find("trainers", job.trainer).train(job, progress, stop))


def default_command() -> list[str]:
    """Return how a training starts when the recipe's `launch` is empty: in this process on a CPU; on a GPU in a process of its own, with
    which all its memory goes back (nothing else frees vLLM and the trainer's cycles for the engine that comes next)."""
    import torch

    return [sys.executable] if torch.cuda.is_available() else []


MODULES = {"accelerate": "accelerate.commands.accelerate_cli", "torchrun": "torch.distributed.run"}
"""Launchers that this Python can start itself."""


def started_by(command: Sequence[str]) -> list[str]:
    """Return a launch command that can be started: a launcher that is not on the PATH is taken from this Python's packages. Raises
    FileNotFoundError for another program that is not there."""
    name = command[0]
    if shutil.which(name):
        return list(command)
    if name not in MODULES or importlib.util.find_spec(MODULES[name].partition(".")[0]) is None:
        raise FileNotFoundError(f"there is no program {name!r} on the PATH")
    return [sys.executable, "-m", MODULES[name], *command[1:]]


def launch(path: Path, command: Sequence[str], progress: Progress | None, stop: Stop | None) -> dict[str, Any]:
    """Run the job under `command` (`accelerate launch ...`) and return its result.

    A stop request is passed on as a file beside the job, upon which every process of it saves a checkpoint and ends (a signal would
    make the launcher kill them).
    """
    try:
        program = started_by(command)
    except FileNotFoundError as error:
        raise RunError(f"launch: {error}\n  see it before a run: midway check RECIPE") from None
    result, log, ask = path.with_name("result.json"), path.with_name("train.log"), path.with_name(STOP)
    result.unlink(missing_ok=True)
    ask.unlink(missing_ok=True)
    with open(log, "ab") as file:
        process = subprocess.Popen(
            [*program, "-m", "midway.training.launch", str(path)],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=environment(command),
        )
        try:
            while process.poll() is None:
                time.sleep(1.0)
                if stop and stop() and not ask.exists():
                    ask.touch()
                if progress:
                    _report(path.with_name("metrics.jsonl"), progress)
        finally:
            if process.poll() is None:
                end_descendants(process.pid)  # workers with sessions of their own (Linux)
                os.killpg(process.pid, signal.SIGKILL)  # it leads a group, and its other children are in it
    if result.exists() and json.loads(result.read_text()) == {"stopped": True}:
        raise Stopped("stopped on request, with a checkpoint")
    if process.returncode or not result.exists():
        output = log.read_text(errors="replace")
        tail = "\n".join("    " + line for line in output.splitlines()[-15:])
        raise RunError(
            f"{cause(output)}: {' '.join(command)} ended with exit code {process.returncode}; whole output in {log}\n{tail}"
        )
    return dict(json.loads(result.read_text()))


def environment(command: Sequence[str]) -> dict[str, str]:
    """Return the environment of a launched training: it knows who started it, and a single process sees a single GPU (with several, the
    trainer would split batches by nn.DataParallel)."""
    env = {**os.environ, "MIDWAY_PARENT": f"{socket.gethostname()}:{os.getpid()}"}
    if list(command) == [sys.executable]:
        env["CUDA_VISIBLE_DEVICES"] = env.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    return env


def parent_gone() -> bool:
    """Whether the midway process that launched this one has died; then nobody waits for the result, and the run may be started again."""
    host, _, pid = os.environ.get("MIDWAY_PARENT", "").partition(":")
    return host == socket.gethostname() and ended(int(pid))


LATEST = 50
"""Lines of metrics.jsonl whose latest numbers are reported at once: an alarm and a curve are lines of their own."""


def _report(metrics: Path, progress: Progress) -> None:
    if metrics.exists():
        lines = metrics.read_bytes().split(b"\n")[:-1]
        if lines:
            latest: dict[str, Any] = {}
            for line in lines[-LATEST:]:
                latest.update(json.loads(line))
            progress(int(latest["step"]), int(latest.get("max_steps", 0)), latest)


def cause(output: str) -> str:
    """Return the line of a process's output that names the exception it ended with; its last line where there is none.

    What follows that line (CUDA's advice on debugging, for one) is not the cause.
    """
    named = re.findall(r"^(?:\w+\.)*\w*(?:Error|Exception|Interrupt)\b.*$", output, re.MULTILINE)
    lines = [line for line in output.splitlines() if line.strip()]
    return str(named[-1] if named else lines[-1] if lines else "no output").strip()


def main() -> None:
    """Entry point of a launched process: `-m midway.training.launch JOB.json`."""
    path = Path(sys.argv[1])
    try:
        asked = path.with_name(STOP)
        result = run_job(path, stop=lambda: asked.exists() or parent_gone())
    except Stopped:
        result = {"stopped": True}
    if int(os.environ.get("RANK", "0")) == 0:
        write_json(path.with_name("result.json"), result)


if __name__ == "__main__":
    main()
