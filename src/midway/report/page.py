"""The page: results in, HTML and Markdown out.

Promises: one self-contained HTML file (inline CSS, SVG and a short script; nothing fetched, and a policy in its head that forbids it). The
script adds only what a page can do without: numbers under the pointer, tables as CSV, links to the viewer. Every chart comes with its
data as a table; text from the run (names, errors, recipe) is escaped, and no script but the page's own may run.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment
from markupsafe import Markup

from midway.report import figures as fig
from midway.report.charts import lead_chart
from midway.report.phrases import duration
from midway.report.sections import Section, sections
from midway.report.tables import Table
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


def appendix_of(results: Results, contents: Contents | None = None) -> Appendix:
    """Return what stands at the end of a report; of results alone, without their run, only what they hold themselves."""
    stages = contents.stages if contents else ()
    return Appendix(
        recipe=results.recipe or (contents.recipe_json if contents else "") or "{}",
        resolved=contents.recipe_json if contents else "",
        versions=sorted((str(name), str(version)) for name, version in results.versions.items()),
        digest=results.digest or "not recorded",
        states=[(s.rel, s.state, duration(s.cost.get("seconds", 0.0))) for s in stages],
    )


def html_page(results: Results, appendix: Appendix) -> str:
    """Return the whole page."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    folder = resources.files("midway.report")
    template = environment.from_string((folder / "page.html.j2").read_text(encoding="utf-8"))
    script = (folder / "page.js").read_text(encoding="utf-8")
    return template.render(
        results=results,
        css=Markup((folder / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        verdict=verdict(results),
        lead=lead_chart(results),
        sections=sections(results),
        appendix=appendix,
        alarms=alarm_lines(results),
        text_columns=text_columns,
        key=lambda style: Markup(fig.key(style)),
        svg=Markup,
    )


def markdown_page(results: Results, appendix: Appendix) -> str:
    """Return the verdict, the answers and all tables as Markdown."""
    v, lead = verdict(results), lead_chart(results)
    out = [f"# {_md(results.title or results.name)}", "", f"**{_md(v.headline)}**", ""]
    out += [line for s in v.sentences for line in (_md(s), "")]
    if lead:
        out += _markdown_table(Table(lead.id, lead.title, lead.caption, lead.head, lead.rows), 3)
    if v.limits:
        out += ["## What this does not show", "", *[f"- {_md(text)}" for text in v.limits], ""]
    if v.cost or v.alarms:
        out += [f"**Cost:** {_md(v.cost)}", "", f"**Alarms:** {_md(v.alarms)}", ""]
    for section in sections(results):
        out += _markdown_section(section)
    if results.problems:
        out += ["## What is missing", ""]
        out += [f"- `{p.where}` {_md(p.what)}. {_md(p.effect)}" for p in results.problems] + [""]
    if results.alarms:
        out += ["## Alarms", ""]
        out += [f"- {_md(place)}: {_md(text)}" for place, text in alarm_lines(results)] + [""]
    out += ["## Run it again", "", *[f"    {c}" for c in results.commands], "", "### Recipe as it was given", ""]
    out += ["```yaml", appendix.recipe.rstrip(), "```", ""]
    out += ["### Versions", "", *[f"- {k}: {value}" for k, value in appendix.versions], ""]
    return "\n".join(out)


def _markdown_section(section: Section) -> list[str]:
    out = [f"## {_md(section.question)}", ""]
    out += [line for s in section.sentences for line in (_md(s), "")]
    for figure in (section.chart, *section.more):
        if figure is not None:
            if figure.rows:
                out += _markdown_table(Table(figure.id, figure.title, figure.caption, figure.head, figure.rows), 3)
            out += [_md(figure.zero), ""] if figure.zero else []
    for table in section.tables:
        out += _markdown_table(table, 3)
    return out


def alarm_lines(results: Results) -> list[tuple[str, str]]:
    """Return each alarm as (arm and seed, text)."""
    lines = []
    for alarm in results.alarms:
        read = f" Rollouts to read: {', '.join(alarm.read)}." if alarm.read else ""
        place = f"{results.titles.get(alarm.arm, alarm.arm)}, seed {alarm.seed}"
        lines.append((place, f"{alarm.what}. {alarm.advice}{read}"))
    return lines


def text_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[bool]:
    """Return for each column whether it holds words (left aligned) rather than numbers."""
    numeric = re.compile(r"^([-+\u2212<]?\d|n/a|fixed|$)")
    return [not all(numeric.match(row[i]) for row in rows if i < len(row)) for i in range(len(head))]


def _markdown_table(table: Table, level: int = 2) -> list[str]:
    head = "| " + " | ".join(map(_md, table.head)) + " |"
    rule = "|" + "---|" * len(table.head)
    body = []
    for i, row in enumerate(table.rows):
        cells = [f"**{_md(c)}**" if i in table.strong and c else _md(c) for c in row]
        body.append("| " + " | ".join(cells) + " |")
    return [f"{'#' * level} {_md(table.title)}", "", _md(table.note), "", head, rule, *body, ""]


def _md(text: object) -> str:
    """Return text that stays text in a Markdown table."""
    out = str(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
    return out.replace("*", "\\*").replace("_", "\\_").replace("`", "\\`")
