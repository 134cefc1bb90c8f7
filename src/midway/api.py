"""The Python API's verbs, behind `midway.verify`, `midway.run` and `midway.compare`. Importing this loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midway import domains
from midway.domains import question_of
from midway.recipe import Recipe, find_recipe, load_recipe
from midway.records import Question, Verdict
from midway.rundir import RunError
from midway.wording import plural

if TYPE_CHECKING:
    from midway.results import Results, Run


def verify(question: Question | Mapping[str, Any], text: str, *, truncated: bool = False) -> Verdict:
    """Judge `text` as an answer to `question`, in this process.

    Args:
        question: a Question, or its columns: `answer`, or `choices` and `answer_index`, or tests, or `domain` and what that needs.
        text: what was written.
        truncated: it was cut off at a token limit; then only an explicit final answer counts.

    Maths may take long on hostile text: use `midway.Verifier`, whose workers can be killed, for what a model wrote. Raises KeyError,
    TypeError or ValueError for columns that describe no question.
    """
    asked = question if isinstance(question, Question) else question_of(question)
    return domains.verify(asked, text, truncated=truncated)


def run(
    recipe: Recipe | str | Path,
    *,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    data: str | None = None,
    arm: str | None = None,
    seed: int | None = None,
    until: str | None = None,
    executor: str = "local",
    wait: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Run:
    """Run a recipe from questions to report and return the run; what is complete is skipped, what was interrupted goes on.

    Args:
        recipe: a recipe, the name of a shipped one, or a file.
        overrides: changes such as `pools.guided.samples=8` (with a name or file only).
        out: the run directory; runs/NAME if left out.
        data: a folder with benchmark files, looked in before the Hub.
        arm, seed, until: do one arm, one seed, or the stages of one kind and what they need.
        executor: `local` or `ray`.
        wait: wait for a stage that another process is at work on, instead of raising RunError.
        progress: called with (stage, done, total) as stages go on; total 0 is unknown.

    Raises RunError when a stage fails, after the others have run: what succeeded is kept and the same call goes on; RecipeError,
    QuestionError and EngineError for what cannot be used.
    """
    from midway.report import build_run_report
    from midway.results import open_run
    from midway.runner import opened

    source = None
    if isinstance(recipe, Recipe):
        if overrides:
            raise RunError("overrides are for a recipe given by name or file; change the recipe itself")
        loaded = recipe
    else:
        loaded = load_recipe(recipe, overrides)
        source = find_recipe(recipe).read_text(encoding="utf-8")
    with opened(loaded, Path(out) if out else None, data=data, executor=executor) as runner:
        whole = arm is None and seed is None and until is None
        stages = None if whole else runner.plan.chosen(arm, seed, until)
        runner.refuse_changes()
        if runner.pending(stages):
            runner.bench.questions.store(runner.run.files)
        runner.store(source)

        def watch(stage: Any, number: int, count: int, output: Any) -> None:
            if progress is not None:
                output.progress = lambda done, total, note: progress(stage.rel, done, total)

        failures = runner.execute(stages, watch=watch, wait=wait)
        if until is None:
            build_run_report(runner.run)
        path = runner.run.path
    if failures:
        told = "\n".join(f"  {failure.rel}: {failure.error}" for failure in failures)
        raise RunError(
            f"{path}: {plural(len(failures), 'stage')} failed; what succeeded is kept, the same call goes on:\n{told}"
        )
    return open_run(path)


def compare(first: str | Path, *others: str | Path, out: str | Path | None = None) -> Results:
    """Compare the arms of several runs: the first run's treatment with every other arm, paired on questions. Returns the results.

    With `out` a report is written there too. Raises ValueError for fewer than two runs, RunError for a path that is no run.
    """
    from midway.report import build_comparison, compared

    paths = [Path(p) for p in (first, *others)]
    if out is not None:
        build_comparison(paths, Path(out))
    return compared(paths)
