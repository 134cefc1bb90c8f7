"""The page: results in, HTML and Markdown out.

Promises: one self-contained HTML file (inline CSS and SVG, no script, nothing fetched); every figure comes with its
data as a table; text from the run (names, errors, recipe) is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment
from markupsafe import Markup

from midway.report import figures as fig
from midway.report.charts import all_figures, duration
from midway.report.tables import (
    Table,
    arms_table,
    coverage_table,
    difference_table,
    engines_table,
    gain_table,
    greedy_table,
    score_tables,
)
from midway.report.tables_ways import ways_tables
from midway.report.words import verdict
from midway.results import Contents, Results


@dataclass(frozen=True, slots=True)
class Appendix:
    """What is needed to run it again, and what ran."""

    recipe: str
    """As it was given."""
    resolved: str
    """With every default filled in, as JSON."""
    versions: Sequence[tuple[str, str]]
    digest: str
    states: Sequence[tuple[str, str, str]]
    """Stage, state, time."""


def html_page(results: Results, contents: Contents) -> str:
    """Return the whole page."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    folder = resources.files("midway.report")
    template = environment.from_string((folder / "page.html.j2").read_text(encoding="utf-8"))
    return template.render(
        results=results,
        css=Markup((folder / "page.css").read_text(encoding="utf-8")),
        verdict=verdict(results),
        tables=main_tables(results),
        figures=all_figures(results),
        appendix=_appendix(results, contents),
        alarms=alarm_lines(results),
        text_columns=text_columns,
        key=lambda style: Markup(fig.key(style)),
        svg=Markup,
    )


def markdown_page(results: Results, contents: Contents) -> str:
    """Return the verdict and all tables as Markdown."""
    v = verdict(results)
    out = [f"# {_md(results.name)}", "", f"**{_md(v.headline)}**", ""]
    out += [line for s in v.sentences for line in (_md(s), "")]
    if results.problems:
        out += ["## What is missing", ""]
        out += [f"- `{p.where}` {_md(p.what)}. {_md(p.effect)}" for p in results.problems] + [""]
    if results.alarms:
        out += ["## Alarms", ""]
        out += [f"- {_md(place)}: {_md(text)}" for place, text in alarm_lines(results)] + [""]
    for table in main_tables(results):
        out += _markdown_table(table)
    for figure in all_figures(results):
        out += _markdown_table(Table(figure.id, figure.title, figure.caption, figure.head, figure.rows))
    appendix = _appendix(results, contents)
    out += ["## Run it again", "", *[f"    {c}" for c in results.commands], "", "### Recipe", ""]
    out += ["```yaml", appendix.recipe.rstrip(), "```", ""]
    out += ["### Versions", "", *[f"- {k}: {value}" for k, value in appendix.versions], ""]
    return "\n".join(out)


def alarm_lines(results: Results) -> list[tuple[str, str]]:
    """Return each alarm as (arm and seed, text)."""
    lines = []
    for alarm in results.alarms:
        read = f" Rollouts to read: {', '.join(alarm.read)}." if alarm.read else ""
        lines.append((f"{alarm.arm}, seed {alarm.seed}", f"{alarm.what}. {alarm.advice}{read}"))
    return lines


def main_tables(results: Results) -> list[Table]:
    """Return the tables that come before the figures, those without rows left out."""
    tables = [arms_table(results), *score_tables(results), difference_table(results), gain_table(results)]
    tables += [greedy_table(results), coverage_table(results), *ways_tables(results)]
    tables += [engines_table(results)]
    return [t for t in tables if t.rows]


def _appendix(results: Results, contents: Contents) -> Appendix:
    return Appendix(
        recipe=contents.recipe_text or contents.recipe_json or "{}",
        resolved=contents.recipe_json,
        versions=sorted((str(name), str(version)) for name, version in results.versions.items()),
        digest=results.digest or "not recorded",
        states=[(s.rel, s.state, duration(s.cost.get("seconds", 0.0))) for s in contents.stages],
    )


def text_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[bool]:
    """Return for each column whether it holds words (left aligned) rather than numbers."""
    numeric = re.compile(r"^([-+\u2212<]?\d|n/a|fixed|$)")
    return [not all(numeric.match(row[i]) for row in rows if i < len(row)) for i in range(len(head))]


def _markdown_table(table: Table) -> list[str]:
    head = "| " + " | ".join(map(_md, table.head)) + " |"
    rule = "|" + "---|" * len(table.head)
    body = []
    for i, row in enumerate(table.rows):
        cells = [f"**{_md(c)}**" if i in table.strong and c else _md(c) for c in row]
        body.append("| " + " | ".join(cells) + " |")
    return [f"## {_md(table.title)}", "", _md(table.note), "", head, rule, *body, ""]


def _md(text: object) -> str:
    """Return text that stays text in a Markdown table."""
    out = str(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
    return out.replace("*", "\\*").replace("_", "\\_").replace("`", "\\`")
