"""Writes the docs that are generated: docs/recipe.md from the schema, docs/cli.md from `--help`, docs/heuristics.md and docs/benchmarks.md
from their own verbs, docs/api.md and docs/columns.md from docs/reference.py, the tables between `<!-- example report -->` marks from
docs/example-report/results.json, the table of the verifier's rules in docs/verify.md, and that of tasks in docs/gym.md.

`python docs/generate.py --check` says whether they are true; a test runs it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

if TYPE_CHECKING:
    from midway.results import Estimate

HERE = Path(__file__).resolve().parent
GROUPS = {
    "models": ("get",),
    "heuristics": ("list", "show", "preview", "new", "check"),
    "lab": ("pretrain", "play", "world", "label"),
}


def recipe() -> str:
    """Return the reference of all recipe fields."""
    from midway.recipe import Recipe
    from midway.recipe.schema import Section

    lines = [
        "# Recipe reference",
        "",
        "Made by `make docs` from `src/midway/recipe/schema.py`. A recipe is one YAML file; everything has a default.",
        "`extends: NAME` starts from another recipe, and `section.key=value` on the command line comes last (`null` removes a key).",
    ]
    seen: list[type] = []

    def visit(model: type) -> None:
        if model in seen:
            return
        seen.append(model)
        inner: list[type] = []
        lines.extend(["", f"## {model.__name__.removesuffix('Config')}", ""])
        if model.__doc__ and model is not Recipe:
            lines.extend([model.__doc__.strip(), ""])
        lines.extend(["| field | type | default | meaning |", "|---|---|---|---|"])
        for name, field in model.model_fields.items():  # type: ignore[attr-defined]
            default = "(needed)" if field.is_required() else show(field.get_default(call_default_factory=True))
            text = " ".join((field.description or "").split())
            cells = [f"`{name}`", kind(field.annotation), f"`{default}`" if default else "", text]
            lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
            inner += sections(field.annotation)
        for one in inner:
            visit(one)

    def sections(annotation: Any) -> list[type]:
        if isinstance(annotation, type) and issubclass(annotation, Section):
            return [annotation]
        return [s for a in get_args(annotation) for s in sections(a)]

    visit(Recipe)
    return "\n".join(lines) + "\n"


def show(value: Any) -> str:
    """Return a default as a reader would write it."""
    if hasattr(value, "model_dump"):
        return ""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict) and any(
        hasattr(v, "model_dump") for v in (value.values() if isinstance(value, dict) else value)
    ):
        return ""
    return str(value)


def kind(annotation: Any) -> str:
    """Return a type in a reader's words."""
    origin = get_origin(annotation)
    if annotation is None or annotation is type(None):
        return "null"
    if origin is not None and str(origin).endswith("Annotated'>"):
        return kind(get_args(annotation)[0])
    if origin is not None and "Literal" in str(origin):
        return " or ".join(str(a) for a in get_args(annotation))
    if origin in (list, dict):
        inner = [kind(a) for a in get_args(annotation)]
        return f"list of {inner[0]}" if origin is list else f"mapping to {inner[1]}"
    if get_args(annotation):
        return " or ".join(
            dict.fromkeys(
                kind(a) for a in get_args(annotation) if hasattr(a, "__mro__") or get_args(a) or a is type(None)
            )
        )
    names = {str: "text", int: "whole number", float: "number", bool: "true/false", Any: "anything"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)).removesuffix("Config"))


def cli() -> str:
    """Return the help of every verb."""
    lines = ["# Command line", "", "Made by `make docs` from `midway --help`.", "", "```text", helped(), "```"]
    for verb in verbs():
        lines += ["", f"## midway {verb}", "", "```text", helped(*verb.split()), "```"]
    return "\n".join(lines) + "\n"


def verbs() -> list[str]:
    from midway.cli import app

    names = [c.name or (c.callback.__name__ if c.callback else "") for c in app.registered_commands if not c.hidden]
    return sorted(names) + [f"{group} {verb}" for group, inner in GROUPS.items() for verb in inner]


def helped(*verb: str) -> str:
    env = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1", "TERMINAL_WIDTH": "100"}
    done = subprocess.run(
        [sys.executable, "-m", "midway", *verb, "--help"], capture_output=True, text=True, env=env, check=True
    )
    return "\n".join(
        line.rstrip() for line in done.stdout.replace("python -m midway", "midway").strip("\n").splitlines()
    )


def markdown(*verb: str) -> str:
    return subprocess.run([sys.executable, "-m", "midway", *verb], capture_output=True, text=True, check=True).stdout


MARKS = ("<!-- example report -->\n", "<!-- /example report -->\n")
WITH_TABLE = ("../README.md", "lab.md")


def example_table() -> str:
    """Return the example report's headline and, for each arm, pass@1 before and after RL and the treatment's lead, in points."""
    from midway.report.words import verdict
    from midway.results import read_results
    from midway.rundir.layout import AFTER_RL, BASE, BASE_ARM, BEFORE_RL

    results = read_results(HERE / "example-report/results.json")
    words = verdict(results)
    first, *rest = [benchmark.name for benchmark in results.benchmarks]
    lines = ["> " + " ".join([f"**{words.headline}**", *words.sentences]), ""]
    lines.append(f"| arm | {first}, before RL | {first}, after RL | several ways lead by | " + " | ".join(rest) + " |")
    lines.append("|" + "---|" * (4 + len(rest)))
    for arm, title in results.titles.items():
        found = {(s.benchmark, s.phase): s.pass_at_1 for s in results.scores if s.arm == arm}
        after = BASE if arm == BASE_ARM else AFTER_RL
        leads = [d.difference for d in results.differences if (d.benchmark, d.against) == (first, arm)]
        cells = [
            title,
            "" if arm == BASE_ARM else points(found.get((first, BEFORE_RL))),
            points(found.get((first, after)), interval=True),
            points(leads[0], interval=True, sign=True) if leads else "",
            *(points(found.get((name, after))) for name in rest),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def points(estimate: Estimate | None, interval: bool = False, sign: bool = False) -> str:
    """Return an estimate in points, with its interval."""
    if estimate is None or estimate.value is None:
        return "none"
    text = f"{100 * estimate.value:+.1f}" if sign else f"{100 * estimate.value:.1f}"
    if interval and estimate.low is not None and estimate.high is not None:
        text += f" [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
    return text.replace("-", "−")


def rules_table() -> str:
    """Return the rules by which the verifier reads a text, kind by kind, with an example each."""
    from midway.verifier.rules import KINDS, RULES

    lines = ["| kind | what is read as what | example | so |", "|---|---|---|---|"]
    for kind, title in KINDS.items():
        for k, rule in enumerate(r for r in RULES.values() if r.kind == kind):
            cells = [f"{kind}. {title}" if not k else "", f"{rule.says} (`{rule.name}`)", rule.example, rule.then]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def gym_table() -> str:
    """Return the tasks of reasoning-gym that may be used, and those that are refused."""
    from midway.domains.gym.tasks import table

    return table()


def with_table(path: Path, marks: tuple[str, str] = MARKS, table: Callable[[], str] = example_table) -> str:
    """Return the page with what stands between the marks made anew."""
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(marks[0])
    _, _, after = rest.partition(marks[1])
    return before + marks[0] + table() + marks[1] + after if rest else text


def main() -> int:
    """Write the files, or with --check return 1 when one of them is not what it would be."""
    import reference  # beside this file

    made = {
        "recipe.md": recipe(),
        "cli.md": cli(),
        "heuristics.md": markdown("heuristics", "list", "--markdown"),
        "benchmarks.md": markdown("list", "sources", "--markdown"),
        "api.md": reference.api(),
        "columns.md": reference.columns(),
        **{name: with_table(HERE / name) for name in WITH_TABLE},
        "verify.md": with_table(HERE / "verify.md", ("<!-- rules -->\n", "<!-- /rules -->\n"), rules_table),
        "gym.md": with_table(HERE / "gym.md", ("<!-- gym -->\n", "<!-- /gym -->\n"), gym_table),
    }
    stale = [n for n, text in made.items() if not (HERE / n).exists() or (HERE / n).read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        print("\n".join(f"docs/{n} is not true any more: type `make docs`" for n in stale) or "docs are true")
        return 1 if stale else 0
    for name, text in made.items():
        (HERE / name).write_text(text, encoding="utf-8")
    print("written: " + ", ".join(made))
    return 0


if __name__ == "__main__":
    sys.exit(main())
