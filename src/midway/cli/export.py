"""`midway export`: an arm's mid-training data as a data set that other trainers read, with a card, for the Hub or a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from midway.records import UserError
from midway.wording import plural

if TYPE_CHECKING:
    import polars as pl

    from midway.records import Question
    from midway.rundir import RunDir
    from midway.rundir.layout import Layout
    from midway.training.card import Card
    from midway.workbench import Workbench


INSPECT = "inspect"
"""The format that is no data set: evaluation logs."""


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""

    @app.command()
    def export(
        run: str = typer.Argument(..., help="A run directory, or a name under runs/."),
        arm: str = typer.Option(None, help="Whose data; the treatment's if left out."),
        seed: int = typer.Option(None, help="Which seed; the recipe's first if left out."),
        to: str = typer.Option(
            "trl",
            help="trl, messages, sharegpt, verl or openrlhf; inspect: the evaluations, as logs for Inspect's viewer.",
        ),
        out: Path = typer.Option(
            None,
            help="Folder to write; exports/ARM-seed-S-FORMAT in the run directory if left out, for inspect exports/inspect.",
        ),
        push: str = typer.Option(
            None, metavar="REPO", help="Upload the folder to this data set repository of the Hub."
        ),
        public: bool = typer.Option(False, "--public", help="Make a new repository public; private if left out."),
    ) -> None:
        """Write an arm's mid-training data in another trainer's format, with a card; --push uploads it to the Hub.

        --to inspect writes the evaluations of all arms (or of --arm, --seed) as logs that `inspect view` opens.
        """
        if to == INSPECT:
            if push:
                raise UserError("--push uploads data sets; Inspect's logs are for reading: leave it out")
            logs = export_logs(run, arm, seed, out)
            typer.echo(f"{logs[0].parent}: {plural(len(logs), 'log')}")
            typer.echo(f"  inspect view --log-dir {logs[0].parent}")
            return
        folder, rows, files = export_arm(run, arm, seed, to, out)
        typer.echo(f"{folder}: {plural(rows, 'example')} in {', '.join(files)}, README.md")
        if push:
            from midway.training.dataset import push as upload

            typer.echo(f"uploaded: {upload(folder, push, private=not public)}")


def export_logs(run: str, arm: str | None, seed: int | None, out: Path | None) -> list[Path]:
    """Write the evaluations of a run as logs for Inspect; return the files. Raises RunError for what is not there."""
    from midway.report.inspect_logs import write_logs
    from midway.results import open_run

    opened = open_run(run)
    return write_logs(opened, out or opened.files.root / "exports" / INSPECT, arm=arm, seed=seed)


def export_arm(
    run: str, arm: str | None, seed: int | None, to: str, out: Path | None, *, data_only: bool = False
) -> tuple[Path, int, list[str]]:
    """Write the data set of an arm; return the folder, the number of rows and the files. Raises RunError for what is not there."""
    import polars as pl

    from midway.recipe import loads_recipe, near
    from midway.rundir import RunDir, RunError, find_run, layout, read_json, write_bytes
    from midway.rundir.layout import Layout
    from midway.training.card import FIGURE, figure, render
    from midway.training.dataset import FORMATS, rl_rows, training_rows, write_dataset
    from midway.workbench import Workbench

    form = next((f for f in FORMATS if f == to), None)
    if form is None:
        raise RunError(f"--to {to}: there is no such format; there are {', '.join([*FORMATS, INSPECT])}")
    path = find_run(run)
    files = Layout(path)
    recipe = loads_recipe(read_json(files.resolved)["recipe"], str(files.resolved))
    arm = arm or recipe.treatment_arm or next((name for name, a in recipe.arms.items() if a.midtrain), "")
    if arm not in recipe.arms or not recipe.arms[arm].midtrain:
        trained = [name for name, a in recipe.arms.items() if a.midtrain]
        raise RunError(f"--arm {arm or '?'}: no arm with mid-training data has this name{near(arm, trained)}")
    seed = recipe.seeds[0] if seed is None else seed
    if not files.solutions(arm, seed).exists():
        raise RunError(
            f"{files.stage(layout.selection(arm, seed))} has no solutions yet: midway run {run} --until select"
        )
    store = RunDir(path)
    bench = Workbench(recipe, store.files, data_only=data_only)
    questions = _stored(store, "train")
    keep = recipe.selection.prompt_with_heuristic
    rows = training_rows(
        pl.read_parquet(files.solutions(arm, seed)),
        {q.id: q for q in questions},
        bench.prompts.build,
        bench.prompts.chat,
        heuristics=bench.prompts.catalogue if keep else None,
    )
    folder = out or files.export(arm, seed, form)
    written = write_dataset(
        folder, rows, form, rl=lambda kind: rl_rows(_stored(store, "rl"), bench.prompts.build, kind)
    )
    card = _card(bench, files, arm, seed, rows, [(f.stem, f.as_posix()) for f in written], form)
    write_bytes(folder / FIGURE, figure(card.funnel).encode())
    write_bytes(folder / "README.md", render(card).encode("utf-8", "replace"))
    return folder, rows.height, [f.as_posix() for f in written]


def _card(
    bench: Workbench,
    files: Layout,
    arm: str,
    seed: int,
    rows: pl.DataFrame,
    written: list[tuple[str, str]],
    form: str,
) -> Card:
    import polars as pl

    from midway.rundir import RunDir, layout, read_json
    from midway.selection import diversity
    from midway.training.card import Card

    recipe = bench.recipe
    manifest = read_json(files.manifest(layout.selection(arm, seed))) or {}
    pools = list(dict.fromkeys(d.pool for d in recipe.arms[arm].midtrain if d.pool))
    questions = {q.id: q for q in _stored(RunDir(files.root), "train")}
    solutions = pl.read_parquet(files.solutions(arm, seed))
    adherence: dict[str, Any] = {}
    for pool in pools:
        scored = read_json(files.manifest(layout.adherence(pool))) or {}
        if scored:
            found = (scored.get("result") or {}).get("discrimination") or {}
            adherence = {**recipe.adherence.model_dump(mode="json"), "sentence": found.get("sentence")}
    model, revision, weights = _writer(bench, pools)
    return Card(
        title=recipe.title or recipe.name,
        arm=arm,
        seed=seed,
        model=model,
        revision=revision,
        model_key=weights,
        rows=rows.height,
        data=[d.model_dump(mode="json", exclude_none=True) for d in recipe.arms[arm].midtrain],
        selection=recipe.selection.model_dump(mode="json"),
        pools={p: recipe.pools[p].model_dump(mode="json", exclude_none=True) for p in pools},
        prompts=_prompts(bench, solutions, questions, pools),
        sources=_sources([questions[q] for q in solutions["question_id"].unique().to_list()]),
        funnel=pl.read_parquet(files.funnel(arm, seed)),
        diversity=diversity(solutions),
        removed=pl.read_parquet(files.removed(arm, seed)),
        notes=(manifest.get("result") or {}).get("notes", []),
        adherence=adherence,
        files=written,
        versions=manifest.get("versions", {}),
        form=form,
    )


def _writer(bench: Workbench, pools: list[str]) -> tuple[str, str | None, str]:
    """Who wrote the solutions, at which revision, with which weights, as far as that is known: of a local path only its name, of a server
    the name that the server knows, of recorded completions the models that their file names. What is not known is None or empty."""
    from midway.registry import find

    recipe = bench.recipe
    names, local = [], False
    for engine in (recipe.pools[p].engine or recipe.engine for p in pools):
        part = find("engines", engine.kind)
        if part.recorded:
            names.append(_recorded(Path(getattr(engine, "path", engine.kind))))
        elif served := getattr(engine, "model", None):
            names.append(str(served))
        elif part.any_weights or "path" in recipe.model.model_fields_set:
            local = local or part.any_weights
            path = Path(recipe.model.path)
            names.append(path.name if path.exists() else recipe.model.path)
        else:
            names.append(f"a model that is not named (engine {engine.kind})")
    text = " and ".join(dict.fromkeys(names)) or recipe.model.path
    return text, recipe.model.revision if local else None, bench.models.base.key if local else ""


def _recorded(path: Path) -> str:
    """Say where recorded completions are from, and which models their file names in a column `model`."""
    from midway.questions.rows import read_file

    models = {str(row["model"]) for _, row in read_file(path) if row.get("model")}
    listed = ", ".join(sorted(models)[:5]) + (" ..." if len(models) > 5 else "")
    return f"{listed or 'somebody else'} (recorded in {path.name})"


def _prompts(bench: Workbench, solutions: pl.DataFrame, questions: dict[str, Any], pools: list[str]) -> dict[str, str]:
    """One question's training prompt, and its guided prompts."""
    if solutions.is_empty():
        return {}
    question = questions[solutions["question_id"][0]]

    def text(heuristic: Any) -> str:
        prompt = bench.prompts.build(question, heuristic)
        return "\n".join(f"[{m['role']}]\n{m['content']}" for m in prompt.messages) if prompt.messages else prompt.text

    shown = {"Training prompt of one question": text(None)}
    for heuristic in (h for pool in pools for h in bench.prompts.heuristics(pool) if h):
        shown[f"Prompt that its `{heuristic.slug}` solutions were written under"] = text(heuristic)
    return shown


def _sources(questions: list[Any]) -> list[tuple[str, str | None, int]]:
    """Name, licence and number of questions of each source."""
    from midway.questions import known_set

    counts: dict[str, int] = {}
    for question in questions:
        counts[question.source] = counts.get(question.source, 0) + 1
    rows = []
    for source, count in sorted(counts.items()):
        known = known_set(source.split("/")[0])
        licence = "Apache-2.0" if source.split("/")[0] == "lab" else known.licence if known else None
        rows.append((source or "not named", licence, count))
    return rows


def _stored(run: RunDir, name: str) -> list[Question]:
    """The questions of a run directory. Raises RunError when they are not there."""
    import polars as pl

    from midway.questions import from_frame
    from midway.rundir import RunError

    path = run.files.questions(name)
    if not path.exists():
        raise RunError(f"{path} is missing: run the recipe again to write it")
    return from_frame(pl.read_parquet(path))
