"""The page: results dict in, HTML and Markdown out. Figures are chosen here and drawn in `figures`.

Promises: one self-contained HTML file (inline CSS and SVG, no script, nothing fetched); every figure comes with its
data as a table; text from the run (names, errors, recipe) is escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
from jinja2 import Environment
from markupsafe import Markup

from midway.report import figures as fig
from midway.report.answers import answers_table
from midway.report.tables import (
    PHASE,
    Table,
    arms_table,
    coverage_table,
    difference_table,
    gain_table,
    greedy_table,
    score_tables,
    ways_tables,
)
from midway.report.words import interval, verdict
from midway.results.load import Run

Json = dict[str, Any]


def html_page(results: Json, run: Run) -> str:
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
        appendix=_appendix(results, run),
        text_columns=text_columns,
        key=lambda style: Markup(fig.key(style)),
        svg=Markup,
    )


def markdown_page(results: Json, run: Run) -> str:
    """Return the verdict and all tables as Markdown."""
    v = verdict(results)
    out = [f"# {_md(results['name'])}", "", f"**{_md(v['headline'])}**", ""]
    out += [line for s in v["sentences"] for line in (_md(s), "")]
    if results["problems"]:
        out += ["## What is missing", ""]
        out += [f"- `{p['where']}` {_md(p['what'])}. {_md(p['so'])}" for p in results["problems"]] + [""]
    for table in main_tables(results):
        out += _markdown_table(table)
    for figure in all_figures(results):
        out += _markdown_table(Table(figure.id, figure.title, figure.caption, figure.head, figure.rows))
    appendix = _appendix(results, run)
    out += ["## Run it again", "", *[f"    {c}" for c in results.get("commands", [])], "", "### Recipe", ""]
    out += ["```yaml", appendix["recipe"].rstrip(), "```", ""]
    out += ["### Versions", "", *[f"- {k}: {value}" for k, value in appendix["versions"]], ""]
    return "\n".join(out)


def main_tables(results: Json) -> list[Table]:
    """Return the tables that come before the figures, those without rows left out."""
    tables = [arms_table(results), *score_tables(results), difference_table(results), gain_table(results)]
    tables += [greedy_table(results), coverage_table(results), *ways_tables(results)]
    tables += [answers_table(results)]
    return [t for t in tables if t.rows]


def all_figures(results: Json) -> list[fig.Figure]:
    """Return the figures that have data."""
    found = [
        _forest(results),
        *_learning(results),
        _pass_at_k(results),
        _mix(results),
        _funnel(results),
        _cost(results),
    ]
    return [f for f in found if f is not None and f.rows]


def _styles(results: Json) -> dict[str, int]:
    """Return each arm's colour: the treatment is always the first, the main control the second."""
    first = [results["treatment"], results["control"]]
    names = [a["name"] for a in results["arms"]]
    order = [n for n in first if n in names] + [n for n in names if n not in first]
    return {n: i for i, n in enumerate(order)}


def _titles(results: Json) -> dict[str, str]:
    return {a["name"]: a["title"] for a in results["arms"]}


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _forest(results: Json) -> fig.Figure | None:
    titles, styles = _titles(results), _styles(results)
    panels, rows = [], []
    for bench in results["benchmarks"]:
        here = [r for r in results["differences"] if r["benchmark"] == bench["name"]]
        marks = []
        for r in here:
            d = r["difference"]
            if d["value"] is None:
                continue
            value, low, high = (100 * _nan(d[k]) for k in ("value", "low", "high"))
            marks.append((f"minus {titles[r['against']]}", value, low, high, styles[r["against"]]))
            rows.append([bench["name"], titles[r["against"]], interval(d, sign=True)])
        if marks:
            text = "; ".join(f"{m[0]} {m[1]:.1f}" for m in marks)
            panels.append((bench["name"], fig.forest(marks, x_label="points of pass@1", describe=text)))
    if not results["treatment"]:
        return None
    return fig.Figure(
        id="fig-differences",
        title=f"“{titles[results['treatment']]}” minus the other arms",
        caption="Final models, paired on questions, 95 % intervals. Right of the line: the treatment is better.",
        panels=panels,
        head=["benchmark", "against", "difference [95 %], points"],
        rows=rows,
    )


def _learning(results: Json) -> list[fig.Figure | None]:
    keys = sorted({c["key"] for c in results["curves"]})
    evals = [k for k in keys if k.startswith("eval/")]
    training = [k for k in keys if not k.startswith(("eval/", "ways/"))]
    out = []
    names = {
        "reward": "mean reward",
        "frac_reward_zero_std": "groups without signal (all right or all wrong)",
        "entropy": "token entropy",
        "completions/mean_length": "mean completion length (tokens)",
    }
    for axis, label in (("step", "RL steps"), ("tokens", "tokens, all stages")):
        shown = evals or [k for k in training if k == "reward"]
        out.append(
            _curve_figure(
                results,
                shown,
                axis,
                id=f"fig-learning-{axis}",
                title=f"Learning curves by {'RL steps' if axis == 'step' else 'total tokens'}",
                caption="Thick: mean over the seeds that ran to the end; thin: each seed. "
                + (
                    "Held-out slice during RL."
                    if axis == "step"
                    else "Tokens count generation of the arm's pools, mid-training and RL: equal x is about equal work."
                ),
                x_label=label,
                names={k: k.removeprefix("eval/") for k in evals} | names,
            )
        )
    out.append(
        _curve_figure(
            results,
            training,
            "step",
            id="fig-training",
            title="Inside RL",
            caption="Thick: mean over seeds; thin: each seed. Groups without signal teach nothing in a step.",
            x_label="RL steps",
            names=names,
        )
    )
    ways = [k for k in keys if k.startswith("ways/")]
    if ways:
        out.append(
            _curve_figure(
                results,
                ways,
                "step",
                id="fig-ways-rl",
                title="Ways along RL",
                caption="Share of rollouts that use each way. Thick: mean over seeds; thin: each seed.",
                x_label="RL steps",
                names={k: k.removeprefix("ways/") for k in ways},
            )
        )
    return out


def _curve_figure(
    results: Json, keys: list[str], axis: str, *, id: str, title: str, caption: str, x_label: str, names: dict[str, str]
) -> fig.Figure | None:
    titles, styles = _titles(results), _styles(results)
    panels, rows = [], []
    arms_seen: dict[str, int] = {}
    for key in keys:
        series: list[fig.Series] = []
        means: list[fig.Series] = []
        for arm in titles:
            curves = [c for c in results["curves"] if c["arm"] == arm and c["key"] == key]
            curves = [_known(c, axis) for c in curves]
            curves = [c for c in curves if c["x"]]
            if not curves:
                continue
            arms_seen[arm] = styles[arm]
            if len(curves) > 1:
                series += [fig.Series(titles[arm], styles[arm], c["x"], c["value"], faint=True) for c in curves]
            mean = _mean_curve(curves)
            means.append(fig.Series(titles[arm], styles[arm], mean[0], mean[1]))
            pick = sorted({*range(0, len(mean[0]), max(1, len(mean[0]) // 8)), len(mean[0]) - 1})
            rows += [[names.get(key, key), titles[arm], fig.short(mean[0][i]), f"{mean[1][i]:.4g}"] for i in pick]
        if means:
            percent = key.startswith(("eval/", "ways/")) or key == "frac_reward_zero_std"
            panel = fig.lines(
                [*series, *means],
                x_label=x_label,
                y_label="percent" if percent else "",
                percent=percent,
                describe=f"{names.get(key, key)} by {x_label}",
            )
            panels.append((names.get(key, key), panel))
    if not panels:
        return None
    return fig.Figure(
        id=id,
        title=title,
        caption=caption,
        panels=panels,
        head=["quantity", "arm", x_label, "mean over seeds"],
        rows=rows,
        legend=[(titles[a], s) for a, s in sorted(arms_seen.items(), key=lambda x: x[1])],
    )


def _known(curve: Json, axis: str) -> Json:
    both = [(x, y) for x, y in zip(curve[axis], curve["value"], strict=True) if x is not None]
    return {"x": [b[0] for b in both], "value": [b[1] for b in both]}


def _mean_curve(curves: list[Json]) -> tuple[list[float], list[float]]:
    """Return the mean over seeds on the x of the longest curve; a seed that stopped early (a failure) is not in it."""
    reach = max(c["x"][-1] for c in curves)
    whole = [c for c in curves if c["x"][-1] >= 0.9 * reach]
    grid = max((c["x"] for c in whole), key=len)
    end, start = min(c["x"][-1] for c in whole), max(c["x"][0] for c in whole)
    inside = [x for x in grid if start <= x <= end] or [grid[-1]]
    values = [np.interp(inside, c["x"], c["value"]) for c in whole]
    return list(map(float, inside)), [float(v) for v in np.mean(values, axis=0)]


def _pass_at_k(results: Json) -> fig.Figure | None:
    titles, styles = _titles(results), _styles(results)
    final = {(s["benchmark"], s["arm"], s["phase"]) for s in results["scores"] if s["final"]}
    panels, rows = [], []
    seen: dict[str, int] = {}
    for bench in results["benchmarks"]:
        series = []
        for arm in titles:
            points_ = [
                r
                for r in results["pass_at_k"]
                if r["benchmark"] == bench["name"]
                and r["arm"] == arm
                and (r["benchmark"], arm, r["phase"]) in final
                and r["estimate"]["value"] is not None
            ]
            if not points_:
                continue
            seen[arm] = styles[arm]
            pick = [r["estimate"] for r in points_]
            series.append(
                fig.Series(
                    titles[arm],
                    styles[arm],
                    [r["k"] for r in points_],
                    [e["value"] for e in pick],
                    [_nan(e["low"]) for e in pick],
                    [_nan(e["high"]) for e in pick],
                )
            )
        for r in results["pass_at_k"]:
            if r["benchmark"] == bench["name"]:
                rows.append([bench["name"], titles[r["arm"]], PHASE[r["phase"]], str(r["k"]), interval(r["estimate"])])
        if series:
            panel = fig.lines(
                series,
                x_label="k (samples allowed)",
                y_label="pass@k, percent",
                log_x=True,
                percent=True,
                describe=f"pass@k of the final models on {bench['name']}",
            )
            panels.append((bench["name"], panel))
    if not panels:
        return None
    return fig.Figure(
        id="fig-pass-at-k",
        title="pass@k of the final models",
        caption="Unbiased estimate, bands are 95 % intervals. Crossing lines: a gain at k = 1 paid for with coverage.",
        panels=panels,
        head=["benchmark", "arm", "phase", "k", "pass@k [95 %], percent"],
        rows=rows,
        legend=[(titles[a], s) for a, s in sorted(seen.items(), key=lambda x: x[1])],
    )


def _mix(results: Json) -> fig.Figure | None:
    titles = _titles(results)
    mixes = results["ways"]["mix"]
    if not mixes:
        return None
    total: dict[str, int] = {}
    for m in mixes:
        for way, n in m["counts"].items():
            total[way] = total.get(way, 0) + n
    ways = sorted(total, key=lambda w: -total[w])
    main, rest = (ways, []) if len(ways) <= 10 else (ways[:9], ways[9:])
    labels = [*main, "other"] if rest else main
    panels, rows = [], []
    for bench in results["benchmarks"]:
        strips = []
        for m in mixes:
            if m["benchmark"] != bench["name"]:
                continue
            parts = [float(m["counts"].get(w, 0)) for w in main]
            if rest:
                parts.append(float(sum(m["counts"].get(w, 0) for w in rest)))
            label = f"{titles[m['arm']]}, {PHASE[m['phase']]}"
            strips.append((label, parts))
            whole = sum(parts) or 1.0
            rows.append([bench["name"], label, *[f"{100 * p / whole:.1f}" for p in parts]])
        if strips:
            panels.append((bench["name"], fig.stacked(strips, x_label="percent of labels", describe="mix of ways")))
    return fig.Figure(
        id="fig-ways",
        title="Which ways the solutions take",
        caption="Labels of all evaluation samples; a sample with two ways counts once for each.",
        panels=panels,
        head=["benchmark", "arm and phase", *[f"{w} %" for w in labels]],
        rows=rows,
        swatches=[(w, i) for i, w in enumerate(labels)],
    )


def _funnel(results: Json) -> fig.Figure | None:
    titles, styles = _titles(results), _styles(results)
    panels, rows = [], []
    for f in results["funnel"]:
        steps = [(s["step"], s["count"], f"{s['count']:,.0f}") for s in f["steps"]]
        text = ", ".join(f"{s[0]} {s[2]}" for s in steps)
        panels.append((titles[f["arm"]], fig.bars(steps, x_label="completions", style=styles[f["arm"]], describe=text)))
        rows += [[titles[f["arm"]], s["step"], f"{s['count']:,.0f}"] for s in f["steps"]]
    return fig.Figure(
        id="fig-funnel",
        title="From samples to solutions",
        caption="What was left after each step of selection, mean over seeds.",
        panels=panels,
        head=["arm", "step", "left"],
        rows=rows,
    )


def _cost(results: Json) -> fig.Figure | None:
    titles = _titles(results)
    owners: dict[str, list[Json]] = {}
    for c in results["cost"]:
        owners.setdefault(c["owner"], []).append(c)
    hours, tokens, rows = [], [], []
    for owner, parts in owners.items():
        name = titles.get(owner, owner)
        seconds, count = sum(p["seconds"] for p in parts), sum(p["tokens"] for p in parts)
        hours.append((name, seconds, duration(seconds)))
        tokens.append((name, count, fig.short(count)))
        for p in parts:
            memory = f"{p['memory']:,.0f} MB" if p["memory"] else "n/a"
            rows.append([name, p["part"], duration(p["seconds"]), f"{p['tokens']:,.0f}", memory])
    return fig.Figure(
        id="fig-cost",
        title="What it cost",
        caption="All seeds together. A pool that several arms share is counted once, on its own line.",
        panels=[
            ("time of the machine", fig.bars(hours, x_label="", describe="time by owner")),
            ("tokens read and written", fig.bars(tokens, x_label="", describe="tokens by owner")),
        ],
        head=["owner", "stage", "time", "tokens", "peak memory"],
        rows=rows,
    )


def duration(seconds: float) -> str:
    """Return `42 s`, `3.5 min` or `2.1 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _appendix(results: Json, run: Run) -> Json:
    recipe = run.recipe_text or json.dumps(run.recipe, indent=2, ensure_ascii=False)
    return {
        "recipe": recipe,
        "resolved": json.dumps(run.recipe, indent=1, ensure_ascii=False) if run.recipe else "",
        "versions": sorted((str(k), str(v)) for k, v in results["versions"].items()),
        "digest": results["digest"] or "not recorded",
        "states": [[s.where, s.state, duration(s.cost.get("seconds", 0.0))] for s in run.stages],
    }


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
