"""verl's own environment: finding its Python, asking it about a configuration, and what to type where something is missing.

Promises: what is not there, and what verl does not take, is a RunError before anything is generated; each configuration is looked at once.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midway.rundir import RunError
from midway.training.trainers.verl.arguments import DEFAULTS, bare, flat

if TYPE_CHECKING:
    from midway.recipe import Recipe

VERSION = "0.9.1"
"""Of verl: what was tested."""
INSIDE = Path(__file__).with_name("inside.py")


def find_python(python: str) -> str:
    """Return the absolute path of a Python (not of what a virtual environment's link points to). Raises RunError."""
    path = os.path.abspath(Path(python).expanduser())
    if os.sep not in python:
        path = shutil.which(python) or path
    if not os.access(path, os.X_OK) or os.path.isdir(path):
        raise RunError(f"training.python: there is no Python at {path}\n{how_to_install(path)}")
    return path


def how_to_install(python: str) -> str:
    """Return the commands that make an environment for verl."""
    folder = Path(python).parent.parent
    making = "" if os.access(python, os.X_OK) else f"  python3 -m venv {folder}\n"
    return f'{making}  {python} -m pip install "verl[vllm]=={VERSION}" {_midway()}'


def _midway() -> str:
    root = Path(__file__).resolve().parents[5]  # of a checkout
    return f"-e {root}" if (root / "pyproject.toml").is_file() else f"midway=={metadata.version('midway')}"


def ask(python: str, command: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run a command of `inside.py` in verl's environment; return its reply. Raises RunError with the end of what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        asked, reply = Path(folder) / "request.json", Path(folder) / "reply.json"
        asked.write_text(json.dumps(request), encoding="utf-8")
        done = subprocess.run(
            [python, str(INSIDE), command, str(asked), str(reply)],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            cwd=folder,  # not among files that may be called like a module
        )
        if done.returncode or not reply.is_file():
            tail = "\n".join("    " + line for line in done.stderr.splitlines()[-15:])
            raise RunError(f"{python} {INSIDE.name} {command} ended with exit code {done.returncode}\n{tail}")
        return dict(json.loads(reply.read_text(encoding="utf-8")))


def composed(
    python: str, args: Mapping[str, Any], settings: Mapping[str, Any], *, out: Path | None = None, engine: bool = True
) -> dict[str, Any]:
    """Put a recipe's `rl` (`args`) and what midway decides (`settings`, dotted) into verl's configuration tree, and write it to `out`.

    `engine` false: the package that generates (vLLM, SGLang) need not be there. Returns what verl's environment says: versions, strategy.
    Raises RunError for unknown keys, with what is near; for what verl's own
    check refuses; and for packages that are missing there, with the command that installs them.
    """
    given = dict(flat(args))
    values = {**DEFAULTS, **{key: value for key, value in given.items() if "+" not in key}}
    added = {bare(key): value for key, value in given.items() if "+" in key}
    request = {
        "values": {**values, **{key: value for key, value in settings.items() if "+" not in key}},
        "added": {**added, **{bare(key): value for key, value in settings.items() if "+" in key}},
        "out": str(out) if out else None,
        "engine": engine,
    }
    reply = ask(python, "compose", request)
    if reply["missing"]:
        raise RunError(
            f"training.python: {python} has no {', no '.join(reply['missing'])}\n{how_to_install(python)}"
            "\n  docs/verl.md says more"
        )
    if reply["errors"]:
        raise RunError("rl: " + "\n  ".join(reply["errors"]))
    if reply["strategy"] not in BACKENDS:
        raise RunError(
            f"rl.actor_rollout_ref.actor.strategy: verl merges checkpoints of {', '.join(BACKENDS)}, not of {reply['strategy']}"
        )
    return reply


BACKENDS: Mapping[str, str] = {"fsdp": "fsdp", "fsdp2": "fsdp", "megatron": "megatron"}
"""verl's training engine -> what verl's merger calls its checkpoints."""


def ready(recipe: Recipe) -> str:
    """Compose the configuration of every arm with RL, without writing it; return what was found, in words. Raises RunError."""
    from midway.recipe import merge

    python = find_python(recipe.training.python or "")
    found = [
        _ready(python, json.dumps(merge(recipe.rl, arm.rl_args)), recipe.model.path)
        for arm in recipe.arms.values()
        if arm.rl
    ]
    return found[-1] if found else ""


@cache
def _ready(python: str, args: str, model: str) -> str:
    reply = composed(python, json.loads(args), {"actor_rollout_ref.model.path": model})
    known = ", ".join(f"{name} {version}" for name, version in reply["versions"].items())
    return f"verl's own checks take the configuration ({known}; {python})"
