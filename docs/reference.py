"""Makes docs/api.md from docstrings, and docs/columns.md from the tables that midway declares. docs/generate.py calls it.

A column without a meaning below, or a meaning without a column, stops it: so the page has every column, and no other.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERBS = ("verify", "Verifier", "load_recipe", "run", "open_run", "compare", "pass_at_k")
MODULES = {
    "midway.evidence": "Statistics: pure functions on arrays. `_Q` stands for questions, `_S` for seeds, `_K` for samples.",
    "midway.training.rewards": "The verifier as a reward function of trainers elsewhere.",
    "midway.registry": "The parts that a package or a file of your own may bring ([guide](own-parts.md)).",
}
NAMES = {
    "midway.training.rewards": ("TRLReward", "compute_score", "reward_func", "correct"),
    "midway.registry": (
        "EnginePart",
        "DomainPart",
        "SourcePart",
        "ModelPart",
        "ScorerPart",
        "RewardPart",
        "TrainerPart",
    ),
}

COMPLETION = {
    "id": "the completion: a hash of question, heuristic, prompt, weights, sampling and sample number",
    "question_id": "the question",
    "heuristic": "slug of the heuristic in the prompt; `unguided` without one; `sampled` or `greedy` in an evaluation",
    "index": "number of the sample, from 0",
    "text": "what the model wrote",
    "finish": "`stop`, `length` (cut off at max_tokens) or `error`",
    "prompt_tokens": "tokens of the prompt",
    "completion_tokens": "tokens of the text",
    "cached_tokens": "prompt tokens that the engine had in its cache",
    "logprob": "sum of the log-probabilities of the text's tokens, in nats; null where the engine does not say",
    "error": "the reason, where `finish` is `error`",
}
VERDICT = {
    "judgement": "`correct`, `wrong` or `unjudged`",
    "extracted": "the answer that was read from the text",
    "reason": "the rule that decided, or why nothing could be decided ([list](verify.md))",
}
TABLES: dict[str, tuple[str, str, dict[str, str]]] = {
    "QUESTIONS": (
        "questions/{train,rl,benchmark-B}.parquet",
        "A row for each question.",
        {
            "id": "content hash of domain, text, gold and choices",
            "domain": "kind of question, such as `math`",
            "text": "what the model is asked",
            "answer": "the gold answer, where it is a text",
            "name": "the id that it had in its source",
            "source": "where it came from, such as `gsm8k/train`",
            "record": "the whole question as JSON",
        },
    ),
    "COMPLETIONS": ("pools/POOL/completions/", "A row for each completion of a pool.", COMPLETION),
    "VERDICTS": ("pools/POOL/verdicts/", "A row for each completion.", {"id": "the completion", **VERDICT}),
    "ADHERENCE": (
        "pools/POOL/adherence/",
        "A row for each completion that was scored.",
        {
            "id": "the completion",
            "score": "how well it follows its heuristic; higher is better; null: the scorer could not say",
            "scorer": "which scorer, and so which scale ([selection](selection.md))",
        },
    ),
    "ASKED": (
        "pools/POOL/completions/asked/ids.parquet",
        "The completions that the last command asked for; older ones stay on disk.",
        {"id": "the completion"},
    ),
    "SOLUTIONS": (
        "arms/ARM/seed-S/selection/solutions.parquet",
        "A row for each solution that the arm is mid-trained on.",
        {
            "question_id": "the question",
            "heuristic": "slug of the heuristic; `unguided` without one",
            "text": "the solution",
            "source": "the pool, or `reference`",
            "completion_id": "the completion; empty for a reference solution",
            "adherence": "its adherence score; null: not scored",
        },
    ),
    "FUNNEL": (
        "arms/ARM/seed-S/selection/funnel.parquet",
        "How many completions are left after each step of selection.",
        {
            "step": "the step ([list](selection.md#which-solutions-are-kept))",
            "heuristic": "slug of the heuristic",
            "level": "the question's level; empty where it has none",
            "count": "completions left",
            "pool": "the pool; `reference` for reference solutions",
        },
    ),
    "REMOVED": (
        "arms/ARM/seed-S/selection/removed.parquet",
        "A row for each completion that selection dropped.",
        {
            "completion_id": "the completion",
            "question_id": "the question",
            "step": "the step at which it fell",
            "reason": "why",
            "other": "what it collides with: a solution that is kept, or a benchmark question",
        },
    ),
    "EVALUATIONS": (
        "arms/ARM/seed-S/evaluations/B/PHASE/results.parquet",
        "A row for each sample of a benchmark question. PHASE is `base`, `before-rl` or `after-rl`. "
        "`greedy/` beside it has the greedy samples.",
        {
            **COMPLETION,
            **VERDICT,
            "ways": "ways that a program found in the text; null where no program can say",
            "composed": "whether it joins two ways or more",
            "steps_right": "whether every step is right",
        },
    ),
    "LABELS": (
        "arms/ARM/seed-S/evaluations/B/PHASE/labels/",
        "A row for each labelled sample, where `labels.by` is `likelihood` or `judge`.",
        {"id": "the sample", "ways": "ways that it uses; an empty list: none of those known"},
    ),
    "ROLLOUTS": (
        "arms/ARM/seed-S/rl/rollouts/",
        "A row for each completion that RL sampled.",
        {
            "id": "the rollout",
            "step": "the first optimizer step that learns from it, as in metrics.jsonl",
            "question_id": "the question",
            "group": "number of its group within the step",
            "index": "number within the group",
            "text": "what the model wrote",
            **VERDICT,
            "reward": "weighted sum of `rewards`; null: left out of the group",
            "rewards": "each reward that was added: `name`, `value`",
            "advantage": "the advantage that the trainer computed",
            "tokens": "tokens of the text",
            "cut_off": "whether it reached max_completion_length",
        },
    ),
    "FILTERED": (
        "rl-filter/questions.parquet",
        "A row for each RL question, where the recipe has `questions.rl_filter`.",
        {
            "question_id": "the question",
            "judged": "samples of the base model that were judged",
            "correct": "how many of them are correct",
            "kept": "whether RL asks it",
        },
    ),
}
TYPES = {
    "String": "text",
    "Boolean": "true/false",
    "Float64": "number",
    "Int32": "whole number",
    "Int64": "whole number",
}


def columns() -> str:
    """Return the page of every table's columns and of every field of results.json. Raises SystemExit for a column without a meaning."""
    from midway.rundir import tables

    declared = {name for name in vars(tables) if name.isupper()}
    if declared != set(TABLES):
        raise SystemExit(f"docs/reference.py: tables without a description, or gone: {sorted(declared ^ set(TABLES))}")
    lines = [
        "# Files and columns",
        "",
        "Made by `make docs` from `midway.rundir.tables` and `midway.results.types`.",
        "Paths are below the run directory ([layout](architecture.md#the-run-directory)).",
        "A path that ends in `/` is a table of several files: Parquet, and a journal of the newest rows.",
        "`midway.open_run(RUN)` reads all of them as [frames](api.md#run).",
        "`polars.read_parquet` reads the Parquet files of a complete stage.",
    ]
    for name, (path, says, meanings) in TABLES.items():
        schema: Mapping[str, Any] = getattr(tables, name)
        if set(schema) != set(meanings):
            raise SystemExit(
                f"docs/reference.py: {name}: without a meaning, or gone: {sorted(set(schema) ^ set(meanings))}"
            )
        lines += ["", f"## {name.lower()}", "", f"`{path}`. {says}", "", "| column | type | meaning |", "|---|---|---|"]
        lines += [f"| `{column}` | {type_of(kind)} | {meanings[column]} |" for column, kind in schema.items()]
    return "\n".join([*lines, "", *results_json()]) + "\n"


def type_of(kind: Any) -> str:
    inner = getattr(kind, "inner", None)
    if inner is not None:
        return f"list of {type_of(inner)}"
    return TYPES.get(kind.__name__ if isinstance(kind, type) else type(kind).__name__, "record")


def results_json() -> list[str]:
    """Return a section for each record of results.json, with its fields."""
    from midway.results import types

    notes = attribute_docs(Path(inspect.getfile(types)))
    lines = [
        "## results.json",
        "",
        "`report/results.json` holds every number of the report. It is a `Results`; the records in it are below.",
        "Shares are between 0 and 1. What is not known is null, never 0.",
        "`midway.results.read_results(FILE)` reads it back into these types.",
    ]
    records = [t for t in vars(types).values() if dataclasses.is_dataclass(t) and inspect.getmodule(t) is types]
    for record in sorted(records, key=lambda t: (t.__name__ != "Results", t.__name__)):
        text = (record.__doc__ or "").strip()
        text = "" if text.startswith(f"{record.__name__}(") else " ".join(text.split())  # what dataclass writes itself
        lines += [
            "",
            f"### {record.__name__}",
            "",
            *([text, ""] if text else []),
            "| field | type | meaning |",
            "|---|---|---|",
        ]
        for field in dataclasses.fields(record):
            meaning = notes.get((record.__name__, field.name)) or notes.get(("Estimate", field.name), "")
            lines.append(f"| `{field.name}` | {cell(str(field.type))} | {cell(meaning)} |")
    return lines


def attribute_docs(file: Path) -> dict[tuple[str, str], str]:
    """Return the text under each field of each class of a module."""
    found: dict[tuple[str, str], str] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for field, text in zip(node.body, node.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[node.name, ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return found


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def api() -> str:
    """Return the page of the Python API: signatures and docstrings."""
    import midway
    from midway.results import Run

    lines = [
        "# Python API",
        "",
        "Made by `make docs` from the docstrings. [From Python](python.md) shows how the pieces are used together.",
        "",
        "## midway",
        "",
        "`import midway` loads no torch; each name is imported when it is first used.",
    ]
    if set(VERBS) != set(midway.__all__):
        raise SystemExit(
            f"docs/reference.py: names without a place, or gone: {sorted(set(VERBS) ^ set(midway.__all__))}"
        )
    for name in VERBS:
        lines += described(f"midway.{name}", getattr(midway, name))
    lines += [
        "",
        "## Run",
        "",
        "What `midway.run` and `midway.open_run` return (`midway.results.Run`).",
        "",
        paragraphs(Run),
    ]
    for name, member in vars(Run).items():
        if not name.startswith("_") and (inspect.getdoc(member) and not isinstance(member, type)):
            lines += described(f"run.{name}", member)
    for module, says in MODULES.items():
        loaded = importlib.import_module(module)
        names = NAMES.get(module) or loaded.__all__
        lines += ["", f"## {module}", "", says]
        for name in names:
            lines += described(f"{module}.{name}", getattr(loaded, name))
    return "\n".join(lines) + "\n"


def described(name: str, thing: Any) -> list[str]:
    """Return a heading, the signature and the docstring of a name; of a class also its public methods, or its fields."""
    lines = ["", f"### {name.removeprefix('run.')}", ""]
    if callable(thing):
        lines += ["```text", signature(name, thing), "```", ""]
    lines.append(paragraphs(thing))
    if not inspect.isclass(thing):
        return lines
    notes = attribute_docs(Path(inspect.getfile(thing))) if dataclasses.is_dataclass(thing) else {}
    fields = [(f, notes.get((thing.__name__, f), "")) for f in vars(thing).get("__annotations__", {})]
    told = [f"| `{field}` | {cell(text)} |" for field, text in fields if text]
    if told:
        lines += ["", "| field | meaning |", "|---|---|", *told]
    for inner, method in vars(thing).items():
        if inspect.isfunction(method) and not inner.startswith("_") and inspect.getdoc(method):
            first = inspect.getdoc(method) or ""
            lines += ["", f"`{signature('.' + inner, method)}`: " + " ".join(first.split("\n\n")[0].split())]
    return lines


def signature(name: str, thing: Any) -> str:
    """Return a call as one line, or one parameter a line where that is too long."""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return f"{name}(...)"
    parts: list[str] = []
    starred = False
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        starred |= parameter.kind is parameter.VAR_POSITIONAL
        if parameter.name != "self":
            parts.append(written(parameter))
    returned = found.return_annotation
    after = "" if returned in (found.empty, None, "None") else f" -> {annotation(returned)}"
    line = f"{name}({', '.join(parts)}){after}"
    if len(line) <= 100:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){after}"])


def written(parameter: inspect.Parameter) -> str:
    """Return a parameter as it is declared."""
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = stars + parameter.name
    if parameter.annotation is not parameter.empty:
        text += f": {annotation(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        default = (
            "..."
            if " at 0x" in repr(parameter.default) or "factory" in repr(parameter.default)
            else repr(parameter.default)
        )
        text += f" = {default}"
    return text


def annotation(found: Any) -> str:
    return found if isinstance(found, str) else inspect.formatannotation(found)


def paragraphs(thing: Any) -> str:
    """Return a docstring as Markdown: `Args:` becomes a list, indented examples become blocks."""
    text = inspect.getdoc(thing) or ""
    out: list[str] = []
    for part in re.split(r"\n\s*\n", text):
        if part.startswith(("Args:", "Arguments:")):
            body = inspect.cleandoc("\n" + part.partition("\n")[2])
            items = re.sub(r"\n\s+", " ", body).splitlines()
            out.append("\n".join("- " + re.sub(r"^([\w, *]+):", r"`\1`:", item) for item in items))
        elif all(line.startswith("    ") for line in part.splitlines()):
            out.append("```text\n" + inspect.cleandoc("\n" + part) + "\n```")
        else:
            out.append(part)
    return "\n\n".join(out)
