"""`midway check RECIPE`: what would run, what it would cost, and whether the answers can be checked, before anything is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from midway.materials import Materials
    from midway.recipe import Recipe


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""

    @app.command()
    def check(
        recipe: str = typer.Argument(..., help="A recipe file, or the name of a shipped one."),
        overrides: list[str] = typer.Argument(None, metavar="[SECTION.KEY=VALUE]..."),
        data: str = typer.Option(None, "--data", help="A folder with benchmark files, looked in before the Hub."),
        no_model: bool = typer.Option(
            False, "--no-model", help="Leave out what needs the model or its tokenizer (imports no torch)."
        ),
        no_gold: bool = typer.Option(False, "--no-gold", help="Leave out the verifier on every gold answer."),
    ) -> None:
        """Show what a recipe would run and cost, verify every gold answer, and print one rendered prompt."""
        from midway.recipe import load_recipe

        loaded = load_recipe(recipe, overrides or [])
        problems = check_recipe(loaded, data, model=not no_model, gold=not no_gold)
        if problems:
            typer.echo(f"{problems} gold answers do not verify: leave these questions out or mend them", err=True)
            raise typer.Exit(1)


def check_recipe(recipe: Recipe, data: str | None, *, model: bool, gold: bool) -> int:
    """Print the plan; return the number of gold answers that do not verify."""
    import tempfile

    from midway.materials import Materials
    from midway.rundir import RunDir

    echo = typer.echo
    with tempfile.TemporaryDirectory() as folder:
        materials = Materials(recipe, RunDir(folder), data)
        sets = {
            name: materials.questions(name)
            for name in ["train", "rl", *(f"benchmark-{b.name}" for b in recipe.benchmarks)]
        }
        echo(f"recipe {recipe.name}" + (f": {recipe.title}" if recipe.title else ""))
        echo("questions: " + ", ".join(f"{name} {len(questions):,}" for name, questions in sets.items()))
        requests = 0
        for name, pool in recipe.pools.items():
            ways = materials.heuristics_of(name)
            count = len(sets["train"]) * len(ways) * pool.samples
            requests += count
            guided = f"{len(ways)} heuristics" if pool.heuristics else "unguided"
            echo(
                f"pool {name}: {guided} x {pool.samples} samples x {len(sets['train']):,} questions = {count:,} completions, "
                f"at most {count * pool.sampling.max_tokens:,} tokens"
            )
        _arms(recipe, materials)
        models = 1 + len(recipe.seeds) * sum(bool(a.midtrain) + a.rl for a in recipe.arms.values())
        drawn = sum(len(sets[f"benchmark-{b.name}"]) * (b.samples + b.greedy) for b in recipe.benchmarks)
        echo(f"evaluation: {models} models x {drawn:,} samples = {models * drawn:,} completions")
        _power(recipe, sets)
        if model and not _made(recipe):
            from midway.lab.pretrain import MINUTES

            echo(
                f"model {recipe.model.path}: the lab makes it when the run begins (about {MINUTES} minutes on a CPU, once)"
            )
        elif model:
            _model(recipe, materials, requests)
        else:
            echo("model: not looked at (--no-model)")
        return _gold(sets, materials) if gold else 0


def _arms(recipe: Recipe, materials: Materials) -> None:
    from midway.recipe import merge

    for name, arm in recipe.arms.items():
        parts = []
        for data in arm.midtrain:
            parts.append(f"{data.strategy} of {data.pool}" if data.pool else "reference solutions")
        args = merge(recipe.rl, arm.rl_args)
        path = [f"mid-train on {' + '.join(parts)}"] if parts else []
        if arm.rl:
            steps = "compute-matched" if arm.compute_matched else f"{args.get('max_steps', 'by epochs')} steps"
            batch = int(args.get("per_device_train_batch_size", 8)) * int(args.get("gradient_accumulation_steps", 1))
            path.append(f"GRPO {steps} of {batch} completions, groups of {args.get('num_generations', 8)}")
        role = " (treatment)" if name == recipe.treatment_arm else " (control)" if name == recipe.control_arm else ""
        typer.echo(f"arm {name}{role}: {', then '.join(path) or 'the base model as it is'}; seeds {recipe.seeds}")


def _power(recipe: Recipe, sets: dict[str, list[Any]]) -> None:
    from midway.evidence import minimum_detectable_effect

    for benchmark in recipe.benchmarks:
        questions = len(sets[f"benchmark-{benchmark.name}"])
        effect = minimum_detectable_effect(questions=questions, seeds=len(recipe.seeds), samples=benchmark.samples)
        typer.echo(f"power: on {benchmark.name}, {effect}")


def _made(recipe: Recipe) -> bool:
    """False for a base model of the lab that has yet to be made."""
    from midway.materials import resolve_model

    try:
        resolve_model(recipe.model.path, make=False)
    except FileNotFoundError:
        return False
    return True


def _model(recipe: Recipe, materials: Materials, requests: int) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from midway.training.trainers.trl.common import load_tokenizer

    target, config = materials.base, recipe.model
    tokenizer = load_tokenizer(target.path, config.revision, config.trust_remote_code)
    shape = AutoConfig.from_pretrained(
        target.path, revision=config.revision, trust_remote_code=config.trust_remote_code
    )
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(shape)
    parameters = sum(p.numel() for p in empty.parameters())
    size = {"float16": 2, "bfloat16": 2}.get(config.dtype, 4)
    adam = parameters * (size + size + 2 * size)
    typer.echo(
        f"model {config.path}: {type(empty).__name__}, {parameters:,} parameters; full fine-tuning holds weights, gradients and Adam's "
        f"two moments in {'float32' if size == 4 else config.dtype}: {adam / 2**30:.1f} GiB and activations besides"
    )
    question = materials.questions("train")[0]
    pools = [h for name in recipe.pools for h in materials.heuristics_of(name) if h]
    for label, heuristic in [("plain", None), *([("guided", pools[0])] if pools else [])]:
        prompt = materials.prompt(question, heuristic)
        if prompt.messages:
            text = str(
                tokenizer.apply_chat_template(
                    [dict(m) for m in prompt.messages], tokenize=False, add_generation_prompt=True
                )
            )
            count = len(tokenizer(text, add_special_tokens=False)["input_ids"])
        else:
            text = prompt.text
            count = len(tokenizer(text)["input_ids"])
        typer.echo(f"--- {label} prompt of one question, as the model sees it ({count} tokens)")
        typer.echo(text)
        typer.echo("---")
        if label == "guided" and requests:
            typer.echo(
                f"prompts of all pools: about {requests * count:,} tokens in, most of them shared within a heuristic"
            )


def _gold(sets: dict[str, list[Any]], materials: Materials) -> int:
    from midway.domains import check_gold

    problems = 0
    for name, questions in sets.items():
        found = list(check_gold(questions))
        problems += len(found)
        typer.echo(f"gold: {name}: {len(questions) - len(found):,} of {len(questions):,} gold answers verify")
        for problem in found[:20]:
            typer.echo(f"  {problem}")
    materials.close()
    return problems
