"""Runs a plan: skips what is complete, refuses what changed, takes back what is asked for, goes on after a failed arm.

Knows stages by their protocol alone (`stages.base.Stage`): nothing of pools, arms or benchmarks. Several processes may run parts of one
plan at once, on one machine or on many with a shared disk: each stage is locked while it is worked on.

When things go wrong: RunError with what, where and what to type next. `Stopped` when the user asked to stop.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midway import registry
from midway.plan import Plan, make_plan
from midway.recipe import Recipe
from midway.rundir import RunDir, RunError, Stopped, now, read_json, write_bytes, write_json
from midway.stages.base import Output, Progress, Stage, recorded, versions
from midway.workbench import Measurable, Workbench, measurable


@dataclass(frozen=True)
class Failure:
    """A stage that failed, and why."""

    rel: str
    error: str


Watch = Callable[[Stage, int, int, Output], None]
"""Called before a stage begins, with its number and how many there are: fills in the output's `progress`, `note` and `stop`."""


def _unwatched(stage: Stage, number: int, count: int, out: Output) -> None:
    """Nobody watches."""


class Runner:
    """A plan over a run directory; `asked` is the recipe of the plan, and with what cannot be measured here."""

    def __init__(self, plan: Plan, run: RunDir, bench: Workbench, asked: Measurable) -> None:
        self.plan, self.run, self.bench, self.asked = plan, run, bench, asked
        self.folders = {rel: stage.folder(run) for rel, stage in plan.stages.items()}

    def pending(self, stages: Sequence[Stage] | None = None) -> list[Stage]:
        """Return the stages, of those given or of all, that are not complete, in order."""
        chosen = list(self.plan.stages.values()) if stages is None else stages
        return [stage for stage in chosen if not self.folders[stage.rel].complete]

    def refuse_changes(self, taken_back: set[str] | None = None) -> None:
        """Raise RunError if a stored stage, other than those that will be taken back, was made with another configuration, naming the
        difference and the ways out."""
        changed = {
            rel: lines
            for rel, folder in self.folders.items()
            if rel not in (taken_back or set()) and (lines := folder.changes())
        }
        if not changed:
            return
        roots = [rel for rel in changed if not any(need.rel in changed for need in self.plan.stages[rel].needs)]
        text = [f"{self.run.path} was made with another recipe:"]
        for rel in roots:
            text += [f"  {rel}:"] + [f"    {line}" for line in changed[rel]]
        if len(changed) > len(roots):
            text.append(f"  and with them {len(changed) - len(roots)} stages that build on these")
        text += [
            "three ways out:",
            "  a new run:      add name=NEW (nothing here is touched)",
            f"  do it again:    add --clean {roots[0]} (its results and all that build on them are taken back; completions that are",
            "                  still asked for are kept)",
            "  keep this run:  leave the change out",
        ]
        raise RunError("\n".join(text))

    def clean(self, chosen: set[str]) -> list[str]:
        """Take back stages (see `Plan.closure`); return the paths of those that were there. Nobody else may be at work on the run."""
        if not chosen:
            return []
        with self.run.alone():
            return [
                rel
                for rel, stage in self.plan.stages.items()
                if rel in chosen and self.folders[rel].clean(keep_rows=stage.keeps_rows)
            ]

    def execute(
        self,
        stages: Sequence[Stage] | None = None,
        *,
        watch: Watch = _unwatched,
        stop: Callable[[], bool] = lambda: False,
        wait: bool = False,
    ) -> list[Failure]:
        """Run what is pending of the stages given (or of all), in order; return what failed.

        Packages that any of them needs are looked for before the first begins (RunError). A stage that another process is at work on is
        refused (RunError), or waited for with `wait`. Raises Stopped when asked to stop.
        """
        failures: list[Failure] = []
        failed: set[str] = set()
        pending = self.pending(stages)
        self._refuse_missing(pending)
        for stage in pending:
            stage.ready()
        try:
            for number, stage in enumerate(pending, start=1):
                if stop():
                    raise Stopped
                if any(need.rel in failed for need in stage.needs):
                    failed.add(stage.rel)
                    continue
                folder = self.folders[stage.rel]
                with folder.locked(wait=wait, stop=stop):
                    if folder.complete:
                        continue  # another process did it meanwhile
                    if error := self._do(stage, watch, (number, len(pending)), stop):
                        failed.add(stage.rel)
                        failures.append(Failure(stage.rel, error))
        finally:
            self.bench.close()
        return failures

    def _refuse_missing(self, pending: Sequence[Stage]) -> None:
        """Raise RunError if packages that a stage needs are not installed. What runs on a cluster needs them there."""
        lacking: dict[str, tuple[Any, list[str]]] = {}
        for stage in pending:
            elsewhere = stage.engine is not None and self.bench.engines.on_ray(stage.engine)
            for part in () if elsewhere else stage.parts:
                if found := registry.missing_packages(part):
                    lacking.setdefault(part.name, (part, [stage.rel, *found]))
        if not lacking:
            return
        text = ["packages are not installed that this run needs; nothing was started:"]
        for name, (part, (rel, *packages)) in lacking.items():
            text.append(
                f"  {part.group[:-1]} {name} (first in {rel}): {', '.join(packages)}: {registry.install_hint(part)}"
            )
        raise RunError("\n".join(text))

    def _do(self, stage: Stage, watch: Watch, place: tuple[int, int], stop: Callable[[], bool]) -> str:
        """Run one stage; return why it failed, empty if it did not. Raises what every other stage depends on."""
        folder = self.folders[stage.rel]
        out = Output(folder.path, stage.rel, self.run.files, stop=stop, spent=folder.cost)
        self.bench.engines.keep(stage.engine)
        watch(stage, *place, out)
        out.progress = noted(out.progress, self.run.files.progress(stage.rel))
        self.bench.engines.say = out.note
        try:
            with recorded(folder, out):
                stage.run(self.bench, out)
        except Stopped:
            raise
        except Exception as error:
            if stage.essential:
                raise
            out.note(f"{stage.rel} failed: {type(error).__name__}: {error}")
            if not isinstance(error, RunError):
                self.run.log("traceback", stage=stage.rel, error="".join(traceback.format_exception(error)))
            return f"{type(error).__name__}: {error}"
        return ""

    # What is true of the run as a whole -------------------------------------------------------------------------------

    def store(self, source: str | None, command: str = "") -> None:
        """Write what was asked (`source`: the recipe as given; `command`: as typed, for the report), what it resolved to,
        which benchmarks are left out and which evaluations are shared; what is there stays."""
        self._store_recipe(source, command)
        for rel, shared in self.plan.shared.items():
            path, value = self.run.files.shared(rel), {"path": shared}
            if read_json(path) != value:
                write_json(path, value)

    def _store_recipe(self, source: str | None, command: str) -> None:
        """Write resolved.json (and the recipe as given), unless they say so already."""
        path, recipe = self.run.files.resolved, self.asked.asked
        value: dict[str, Any] = {
            "name": recipe.name,
            "recipe": {
                **recipe.model_dump(mode="json"),
                "treatment": recipe.treatment_arm,
                "control": recipe.control_arm,
            },
            "digest": recipe.digest(),
            "stages": list(self.plan.stages),
        }
        if self.asked.absent:
            value["absent"] = dict(self.asked.absent)
        value = json.loads(json.dumps(value))
        old = read_json(path) or {}
        command = command or str(old.get("command", ""))
        if {k: old.get(k) for k in value} != value or old.get("command", "") != command:
            named = {"command": command} if command else {}
            write_json(path, {**value, **named, "versions": versions(), "created": old.get("created") or now()})
        given = self.run.files.recipe
        if source is not None and (not given.exists() or old.get("recipe") != value["recipe"]):
            write_bytes(given, source.encode())


SECONDS_BETWEEN_NOTES = 2.0
"""A stage's progress is written down so often, for `midway status` and the viewer."""


def noted(progress: Progress, file: Path) -> Progress:
    """Return a progress that also writes down how far a stage is; a disk that is full or gone is no reason to stop for that."""
    began, latest, first = time.time(), 0.0, 0

    def tell(done: int, total: int, note: str) -> None:
        nonlocal latest, first, began
        progress(done, total, note)
        now = time.time()
        if not latest:
            began, first = now, done
        if now - latest < SECONDS_BETWEEN_NOTES and done != total:
            return
        latest = now
        value = {"done": done, "total": total, "note": note, "first": first, "began": began, "time": now}
        with suppress(OSError):
            temporary = file.with_name(f".{file.name}.tmp")
            temporary.write_text(json.dumps(value), encoding="utf-8")
            temporary.replace(file)

    return tell


@contextmanager
def opened(
    recipe: Recipe,
    out: Path | None = None,
    *,
    data: str | None = None,
    executor: str = "local",
    data_only: bool = False,
) -> Iterator[Runner]:
    """Join the run directory of a recipe and yield its runner, with questions loaded and the plan made (`data_only`: see Workbench)."""
    run = RunDir(out or Path("runs") / recipe.name)
    with run.joined():
        asked = measurable(recipe, run.files, data=data)
        bench = Workbench(asked.recipe, run.files, data=data, executor=executor, data_only=data_only)
        try:
            yield Runner(make_plan(asked.recipe, bench), run, bench, asked)
        finally:
            bench.close()
