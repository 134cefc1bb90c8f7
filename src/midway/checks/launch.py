"""The command that starts trainings (`launch`): is it there, does it take these options, and do its processes fit the groups of RL.

Options of `accelerate launch` are looked up in accelerate's own parser, so that a misspelt one is found before anything is generated.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from midway import registry
from midway.checks.base import Check, Finding, Level, Subject
from midway.recipe import merge
from midway.registry import near
from midway.training.launch import MODULES, started_by

PROGRAM = ["-m", "midway.training.launch", "job.json"]
"""What is put behind the command."""


@dataclass(frozen=True)
class Launched:
    """What a launch command starts."""

    processes: int = 1
    sharded: bool = False
    """FSDP or DeepSpeed ZeRO-3: no process holds all weights."""
    how: str = "one process"
    wrong: tuple[str, ...] = ()
    """What is wrong with it, each with what to write instead."""


def read_launch(command: Sequence[str]) -> Launched:
    """Return what a recipe's `launch` starts. Raises nothing: what is wrong stands in the result."""
    if not command:
        return Launched()
    name = Path(command[0]).name
    try:
        started_by(command)
    except FileNotFoundError as error:
        return Launched(how=" ".join(command), wrong=(f"{error}{near(name, list(MODULES))}",))
    if name == "accelerate":
        return _accelerate(command[1:])
    if name == "torchrun":
        return _torchrun(command[1:])
    if command[0] == sys.executable or name.startswith("python"):
        return Launched(how="one process of its own")
    return Launched(how=f"{name}, whose number of processes is not known here")


def _accelerate(given: Sequence[str]) -> Launched:
    if not given or given[0] != "launch":
        found = near(given[0], ["launch"]) if given else ""
        return Launched(how="accelerate", wrong=(f"write `accelerate launch ...`{found}",))
    try:
        from accelerate.commands.launch import launch_command_parser
    except ImportError:
        return Launched(how="accelerate", wrong=(f"accelerate is not installed: {registry.install('train')}",))
    parser = launch_command_parser()
    known = [option for action in parser._actions for option in action.option_strings]
    for option in (one.partition("=")[0] for one in given[1:] if one.startswith("-")):
        if not any(one == option or (option.startswith("--") and one.startswith(option)) for one in known):
            return Launched(how="accelerate", wrong=(f"accelerate launch has no option {option}{near(option, known)}",))
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            args = parser.parse_args([*given[1:], *PROGRAM])
    except SystemExit:
        return Launched(how="accelerate", wrong=(said.getvalue().strip().splitlines()[-1],))
    if args.training_script != PROGRAM[1]:
        return Launched(
            how="accelerate", wrong=(f"leave out {args.training_script!r}: midway puts its own program there",)
        )
    return _of_accelerate(args)


def _of_accelerate(args: Any) -> Launched:
    """Return what parsed options of `accelerate launch` start; a configuration file says what the options leave open, as in accelerate."""
    file = Path(args.config_file) if args.config_file else None
    if file is not None and not file.is_file():
        return Launched(how="accelerate", wrong=(f"--config_file: there is no {file}",))
    saved = dict(yaml.safe_load(file.read_text()) or {}) if file is not None else {}
    kind = str(saved.get("distributed_type", "")).upper()
    fsdp, deepspeed = args.use_fsdp or kind == "FSDP", args.use_deepspeed or kind == "DEEPSPEED"
    cpu = args.cpu or bool(saved.get("use_cpu"))
    processes = int(args.num_processes or saved.get("num_processes") or (1 if cpu else gpus() or 1))
    wrong = []
    if sum([bool(args.use_fsdp), bool(args.use_deepspeed), bool(args.cpu), bool(args.multi_gpu)]) > 1:
        wrong.append("only one of --cpu, --multi_gpu, --use_deepspeed, --use_fsdp at a time")
    if cpu and not fsdp and processes > 1 and not (args.mpirun_hostfile or saved.get("mpirun_config")):
        wrong.append(
            f"on CPUs accelerate starts one process without MPI, whatever --num_processes says: write "
            f'[torchrun, --nproc_per_node, "{processes}"]'
        )
    if fsdp and cpu:
        wrong.append("accelerate shards weights (FSDP) on GPUs only: on CPUs every process would hold all of them")
    if fsdp:
        how = f"{processes} processes, weights sharded by FSDP {saved.get('fsdp_config', {}).get('fsdp_version') or args.fsdp_version}"
    elif deepspeed:
        how = f"{processes} processes under DeepSpeed"
    else:
        how = f"{processes} processes, each with all weights (DDP)" if processes > 1 else "one process of its own"
    stage = str(args.zero_stage or saved.get("deepspeed_config", {}).get("zero_stage") or 2)
    return Launched(processes, bool(fsdp or (deepspeed and stage == "3")), how, tuple(wrong))


def _torchrun(given: Sequence[str]) -> Launched:
    counts = {"nproc": 1, "nnodes": 1}
    pairs = zip(given, [*given[1:], ""], strict=True)
    for option, following in pairs:
        name, _, value = option.lstrip("-").replace("-", "_").partition("=")
        key = {"nproc_per_node": "nproc", "nnodes": "nnodes"}.get(name)
        if key:
            text = (value or following).partition(":")[0]
            counts[key] = (
                int(text) if text.isdigit() else max(1, gpus() if text in ("gpu", "auto") else os.cpu_count() or 1)
            )
    processes = counts["nproc"] * counts["nnodes"]
    return Launched(processes, False, f"{processes} processes, each with all weights (DDP)")


def gpus() -> int:
    """Return the number of GPUs of this machine."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def run(subject: Subject) -> Iterator[Finding]:
    recipe = subject.recipe
    if not recipe.launch:
        return
    launched = read_launch(recipe.launch)
    for text in launched.wrong:
        yield Finding(f"launch: {text}", Level.PROBLEM)
    if launched.wrong:
        return
    elsewhere = (
        "" if not launched.sharded or gpus() else "; there is no GPU here, and accelerate shards weights on GPUs only"
    )
    yield Finding(f"launch: {launched.how}{elsewhere}")
    part = registry.find("trainers", recipe.training.trainer)
    for name, arm in recipe.arms.items():
        if arm.rl:
            try:
                part.check_processes(f"arms.{name}", merge(recipe.rl, arm.rl_args), launched.processes)
            except ValueError as error:
                yield Finding(f"launch: {error}", Level.PROBLEM)


CHECK = Check("launch", run, needs="model")
