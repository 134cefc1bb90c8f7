"""Draw the figures of docs/lab.md from the runs of the lab's experiments, and print its tables.

    python docs/lab_figures.py RUNS [OUT=docs/lab]

RUNS is the folder that holds `lab-regimes`, `lab-regimes-shown-002`, `lab-regimes-shown-006`, `lab-ways`, `lab-budget`,
`lab-two-ways`, `lab-composition` and `lab-main`; what is not there is left out. Every number comes from a run's `results.json`.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from midway.report.figures import Series, forest, lines
from midway.report.sheet import Cell, sheet


def picture(panels: list[tuple[str, str]], legend: list[tuple[str, int]], columns: int = 2) -> str:
    """Put panels (title, svg) beside each other, a legend below, into one SVG file with its own style."""
    return sheet([Cell(title, svg) for title, svg in panels], legend, columns)


def mean_curve(results: dict[str, Any], arm: str, what: str) -> tuple[list[float], list[float]]:
    """Mean over seeds of a logged value, at each step that every seed logged."""
    at: dict[float, list[float]] = defaultdict(list)
    seeds = 0
    for curve in results["curves"]:
        if curve["arm"] == arm and curve["key"] == what:
            seeds += 1
            for step, value in zip(curve["step"], curve["value"], strict=True):
                if value is not None:
                    at[step].append(value)
    steps = sorted(step for step, values in at.items() if len(values) == seeds)
    return steps, [sum(at[s]) / len(at[s]) for s in steps]


def score(results: dict[str, Any], arm: str, benchmark: str, phase: str = "after-rl") -> dict[str, Any] | None:
    """An arm's pass@1 with its interval."""
    for row in results["scores"]:
        if (row["arm"], row["benchmark"], row["phase"]) == (arm, benchmark, phase):
            return row["pass_at_1"]
    return None


def told(estimate: dict[str, Any] | None, sign: bool = False) -> str:
    """In points, with its interval."""
    if not estimate or estimate["value"] is None:
        return "-"
    value, low, high = (None if estimate[k] is None else 100 * estimate[k] for k in ("value", "low", "high"))
    text = f"{value:+.1f}" if sign else f"{value:.1f}"
    return text if low is None or high is None else f"{text} [{low:.1f}, {high:.1f}]"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def scores(results: dict[str, Any]) -> str:
    """Every arm before and after RL on every benchmark, and the treatment's difference."""
    names = [b["name"] for b in results["benchmarks"]]
    rows = []
    for arm in (a["name"] for a in results["arms"]):
        row = [arm]
        for name in names:
            phase = "base" if arm == "base" else "after-rl"
            row += ["" if arm == "base" else told(score(results, arm, name, "before-rl")).split(" ")[0]]
            row += [told(score(results, arm, name, phase))]
        row.append(told(difference(results, arm, names[0]), sign=True))
        rows.append(row)
    head = ["arm", *(h for name in names for h in (f"{name} before RL", f"{name} after RL"))]
    return table([*head, f"{results['treatment']} minus this ({names[0]})"], rows)


def difference(results: dict[str, Any], against: str, benchmark: str) -> dict[str, Any] | None:
    """Treatment minus another arm, paired."""
    for row in results["differences"]:
        if (row["against"], row["benchmark"]) == (against, benchmark):
            return row["difference"]
    return None


def regimes(runs: Path) -> tuple[str, str] | None:
    """Accuracy over RL steps for each default, with and without mid-training."""
    shown = [("lab-regimes", "none"), ("lab-regimes-shown-002", "2 %"), ("lab-regimes-shown-006", "6 %")]
    found = [(load(runs / name), words) for name, words in shown]
    panels, rows = [], []
    for results, words in found:
        if not results:
            continue
        series = []
        for style, arm in enumerate(("rl-only", "polya")):
            steps, values = mean_curve(results, arm, "eval/single/pass@1")
            series.append(Series(arm, style, steps, values))
        panels.append(
            (
                f"unprompted texts that show ways: {words}",
                lines(series, x_label="RL steps", y_label="pass@1, %", percent=True),
            )
        )
        for budget, suffix in ((20, "-20"), (80, "")):
            pair = [score(results, arm + suffix, "single") for arm in ("rl-only", "polya")]
            rows.append([words, str(budget), *map(told, pair)])
    if not panels:
        return None
    legend = [("RL only", 0), ("several ways, then RL", 1)]
    return picture(panels, legend, 3), table(["ways shown", "RL steps", "RL only", "several ways + RL"], rows)


def ways(runs: Path) -> tuple[str, str] | None:
    """Ways kept a question against group size."""
    results = load(runs / "lab-ways")
    if not results:
        return None
    rows, series = [], []
    arms = [("no mid-training", "rl-only-G{}"), ("n = 1", "n1-G{}"), ("n = 3", "n3-G{}")]
    sizes = (4, 16)
    for style, (label, pattern) in enumerate(arms):
        named = [(g, pattern.format(g)) for g in sizes]
        got = [(g, score(results, arm, "single")) for g, arm in named]
        got = [(g, e) for g, e in got if e]
        series.append(
            Series(
                label, style, [g for g, _ in got], [e["value"] for _, e in got],
                [e["low"] for _, e in got], [e["high"] for _, e in got],
            )
        )  # fmt: skip
        rows.append([label, *(told(dict(got).get(g)) for g in sizes)])
    chart = lines(series, x_label="group size G", y_label="pass@1, %", log_x=True, percent=True)
    drawn = picture([("pass@1 after RL, single problems", chart)], [(label, i) for i, (label, _) in enumerate(arms)], 1)
    return drawn, table(["", *(f"G = {g}" for g in sizes)], rows)


def budget(runs: Path) -> tuple[str, str] | None:
    """Few questions in many ways against many in one."""
    return differences(load(runs / "lab-budget"))


def two_ways(runs: Path) -> tuple[str, str] | None:
    """The world of two ways a question: every arm against all solutions in both ways."""
    return differences(load(runs / "lab-two-ways"))


def main_run(runs: Path) -> tuple[str, str] | None:
    """The main experiment's differences."""
    return differences(load(runs / "lab-main"))


def differences(results: dict[str, Any] | None) -> tuple[str, str] | None:
    """The treatment minus every other arm, a panel for each benchmark."""
    if not results:
        return None
    panels = []
    for name in (b["name"] for b in results["benchmarks"]):
        rows = []
        for style, arm in enumerate(
            a["name"] for a in results["arms"] if a["name"] not in ("base", results["treatment"])
        ):
            found = difference(results, arm, name)
            if found:
                value, low, high = (
                    100 * found[k] if found[k] is not None else float("nan") for k in ("value", "low", "high")
                )
                rows.append((arm, value, low, high, style))
        panels.append((name, forest(rows, x_label=f"points that {results['treatment']} is ahead")))
    return picture(panels, [], 3), scores(results)


def composition(runs: Path) -> tuple[str, str] | None:
    """Composites over RL: right answers, and answers that use two ways or more."""
    results = load(runs / "lab-composition")
    if not results:
        return None
    arms = [a["name"] for a in results["arms"] if a["rl"]]
    panels = []
    for what, title in (("pass@1", "right"), ("composed", "using two or more ways")):
        series = []
        for style, arm in enumerate(arms):
            steps, values = mean_curve(results, arm, f"eval/composite/{what}")
            series.append(Series(arm, style, steps, values))
        panels.append(
            (f"composite problems: {title}", lines(series, x_label="RL steps", y_label="% of answers", percent=True))
        )
    rows = []
    for row in results["ways"]["correctness"]:
        if row["benchmark"] == "composite":
            rate = next(
                c for c in results["ways"]["composition"]
                if (c["benchmark"], c["arm"], c["phase"]) == ("composite", row["arm"], "base" if row["arm"] == "base" else "after-rl")
            )  # fmt: skip
            both = [f"{100 * row[k]:.1f}" if row[k] is not None else "-" for k in ("composed", "single")]
            rows.append([row["arm"], told(rate["rate"]), *both])
    head = ["arm", "composite answers using two ways or more, %", "right among these, %", "right among the others, %"]
    return picture(panels, [(arm, i) for i, arm in enumerate(arms)]), scores(results) + "\n\n" + table(head, rows)


def load(run: Path) -> dict[str, Any] | None:
    """A run's results, or None."""
    path = run / "report" / "results.json"
    return json.loads(path.read_text()) if path.is_file() else None


def main() -> None:
    """Draw and print everything that there is a run for."""
    runs = Path(sys.argv[1])
    out = Path(sys.argv[2] if len(sys.argv) > 2 else "docs/lab")
    out.mkdir(parents=True, exist_ok=True)
    makers = {"main": main_run, "regimes": regimes, "ways": ways, "budget": budget, "two-ways": two_ways}
    makers["composition"] = composition
    for name, make in makers.items():
        made = make(runs)
        if made:
            (out / f"{name}.svg").write_text(made[0])
            print(f"## {name}\n\n{made[1]}\n")


if __name__ == "__main__":
    main()
