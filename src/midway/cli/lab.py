"""`midway lab`: the small world, its base checkpoints, the labeller, and a place to play.

Promises: nothing heavy is imported until a command runs. Errors are one line that says what to type next, exit code 2.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from midway.cli.saying import stop
from midway.registry import install

lab = typer.Typer(
    help="A small world of word problems with a tiny base model: try everything in minutes.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add `midway lab` to the app."""
    app.add_typer(lab, name="lab")


@lab.command()
def world(
    n: Annotated[int, typer.Option("-n", min=1, help="How many problems.")] = 5,
    family: Annotated[list[str] | None, typer.Option(help="Family or group: single, composite, ood, all.")] = None,
    level: Annotated[list[int] | None, typer.Option(min=1, max=3)] = None,
    split: Annotated[str, typer.Option(help="corpus, train or test.")] = "train",
    seed: int = 0,
    world: Annotated[str, typer.Option(help="Which ways fit: default or two-ways (see docs/lab.md).")] = "default",
    ways: Annotated[bool, typer.Option(help="Write each problem's solution in every way that fits.")] = True,
    jsonl: Annotated[bool, typer.Option(help="One JSON object a line: text, answer, meta.")] = False,
) -> None:
    """Draw problems and write their solutions."""
    import json

    from midway.lab.ways import solvable, solve
    from midway.lab.world import SPLITS, questions

    if split not in SPLITS:
        raise stop(f"unknown split {split!r}: choose from {', '.join(SPLITS)}")
    try:
        drawn = questions(split, n, seed, family or ["all"], level or [1, 2, 3], world=world)
    except ValueError as error:
        raise stop(str(error)) from None
    for question in drawn:
        if jsonl:
            row = {"id": question.id, "question": question.text, "answer": question.answer, "meta": dict(question.meta)}
            typer.echo(json.dumps(row))
            continue
        typer.echo(f"[{question.meta['family']}, level {question.meta['level']}] {question.text}  -> {question.answer}")
        for way in solvable(question) if ways else ():
            typer.echo(f"    {way}: {solve(question, way)}")


@lab.command()
def pretrain(
    out: Annotated[Path, typer.Argument(help="Directory for the checkpoint; must not exist yet.")],
    seed: int = 0,
    steps: Annotated[
        int, typer.Option(min=1, help="Optimizer steps; the shipped checkpoint's card states its own.")
    ] = 0,
    shown: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of unprompted documents that show a fitting way (0: most peaked)."),
    ] = 0.0,
    slip: Annotated[
        float, typer.Option(min=0, max=1, help="Probability that a result in a worked solution is off.")
    ] = -1,
    world: Annotated[str, typer.Option(help="Which ways fit: default or two-ways (see docs/lab.md).")] = "default",
    threads: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Make a base checkpoint from nothing: corpus, tokenizer, training."""
    from dataclasses import replace

    from midway.lab.corpus import CorpusConfig
    from midway.lab.world import world_config

    if out.exists():
        raise stop(f"{out} exists: name a new directory")
    try:
        import torch

        from midway.lab.card import write_card
        from midway.lab.pretrain import BATCH, STEPS, pretrain
    except ImportError as error:
        raise stop(f"this needs {error.name}, which is not installed\n  {install('train')}") from None
    torch.set_num_threads(threads)
    try:
        config = replace(CorpusConfig(), shown=shown, world=world_config(world))
    except ValueError as error:
        raise stop(str(error)) from None
    if slip >= 0:
        config = replace(config, slip=slip)
    figures = pretrain(out, config, seed=seed, steps=steps or STEPS, say=typer.echo)
    typer.echo("measuring what it can do")
    write_card(out, config, seed, BATCH, figures)
    typer.echo(
        f"{out}: {figures['steps']:.0f} steps, {figures['tokens']:,.0f} tokens, {figures['seconds']:.0f} s, "
        f"loss {figures['loss']:.4f}"
    )


@lab.command()
def label(
    path: Annotated[Path, typer.Argument(help="JSONL with question, answer, text and, for full labels, meta.")],
) -> None:
    """Label texts: which ways each uses, which steps are right. One JSON object a line on standard output."""
    import json

    from midway.lab.world import label as label_text
    from midway.records import Question

    if not path.is_file():
        raise stop(f"no file {path}")
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                question = Question("math", row["question"], str(row["answer"]), meta=row.get("meta") or {})
                found = label_text(question, str(row["text"]))
            except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
                raise stop(f"{path}, line {number}: {error!r}; every line needs question, answer and text") from None
            steps = [{"text": step.text, "way": step.way, "right": step.right} for step in found.steps]
            typer.echo(
                json.dumps(
                    {
                        "ways": found.ways,
                        "composed": found.composed,
                        "sound": found.sound,
                        "answer": found.answer,
                        "answer_right": found.answer_right,
                        "steps": steps,
                    }
                )
            )


@lab.command()
def play(
    model: Annotated[
        list[str] | None, typer.Option(help="NAME=DIRECTORY of a further model to ask; may be given several times.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="A run directory: asks the final model of each of its arms too.")
    ] = None,
    question: Annotated[str, typer.Option(help="Ask this problem and leave; without it, draw or type.")] = "",
    family: Annotated[list[str] | None, typer.Option(help="Families to draw from.")] = None,
    level: Annotated[list[int] | None, typer.Option(min=1, max=3)] = None,
    seed: int = 0,
    way: Annotated[str, typer.Option(help="Ask with this way's cue; 'all' asks with each.")] = "",
    samples: Annotated[int, typer.Option(min=1)] = 1,
    temperature: float = 1.0,
    once: Annotated[bool, typer.Option(help="Draw one problem, answer it and leave.")] = False,
) -> None:
    """Type or draw a problem and see what the models answer, step by step, with the labels."""
    try:
        from midway.lab.play import Table, find_models
    except ImportError as error:
        raise stop(f"this needs {error.name}, which is not installed\n  {install('train')}") from None
    try:
        table = Table(find_models(model or [], run), family or ["all"], level or [1, 2, 3], seed)
        if question or once:
            table.show(table.typed(question) if question else table.drawn(), way, samples, temperature)
        else:
            table.loop(way, samples, temperature)
    except ValueError as error:
        raise stop(str(error)) from None
