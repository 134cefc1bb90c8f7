"""Labels of their own stage, greedy samples and few seeds in the report: what is shown, what is kept apart, what is said."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from midway.report import build_comparison, build_report
from midway.report.words import verdict
from midway.results import Results, read_results
from midway.results.dump import as_json
from midway.rundir import LABELS, ShardWriter, layout, write_table
from midway.rundir.layout import Layout

_spec = spec_from_file_location("make_run", Path(__file__).with_name("make_run.py"))
assert _spec and _spec.loader
_module = module_from_spec(_spec)
_spec.loader.exec_module(_module)
make_run, write_stage = _module.make_run, _module.write_stage
ERROR = {
    "name": "likelihood",
    "hits": 120, "positives": 150,
    "whole": {"hits": 74, "positives": 75}, "halves": {"hits": 46, "positives": 75},
    "rejections": 180, "negatives": 200,
    "ways": {"forward": {"hits": 90, "positives": 100, "rejections": 95, "negatives": 100}},
}  # fmt: skip


def results(path: Path) -> Results:
    return read_results(path / "report" / "results.json")


def labelled(path: Path, flip: float = 0.0) -> None:
    """Move the ways of every evaluation into a label stage; a share `flip` of the composed samples loses its second way."""
    write_stage(path, layout.LABELLER, "labeller", result={"labeller": ERROR})
    rng = np.random.default_rng(0)
    files = Layout(path)
    for rel in samples_of(path):
        frame = pl.read_parquet(files.evaluated(rel))
        ways = [w[:1] if rng.random() < flip else w for w in frame["ways"].to_list()]
        program = {"samples": 10, "same": 7, "hits": 1, "positives": 2, "rejections": 7, "negatives": 8}
        write_stage(path, layout.labels(rel), "label", result={"program": program})
        rows = [{"id": id_, "ways": w} for id_, w in zip(frame["id"], ways, strict=True)]
        half = len(rows) // 2
        with ShardWriter(files.stage(layout.labels(rel)), LABELS) as done:
            done.write(rows[:half])
        killed = ShardWriter(files.stage(layout.labels(rel)), LABELS)
        killed.write(rows[half:])  # never closed: still in the journal
        write_table(
            files.evaluated(rel),
            frame.with_columns(ways=pl.lit(None, pl.List(pl.String)), composed=pl.lit(None, pl.Boolean)),
        )


def samples_of(path: Path) -> list[str]:
    """Return the evaluations that have samples of their own."""
    return [rel for rel in Layout(path).evaluations() if Layout(path).evaluated(rel).exists()]


def test_labels_of_their_own_stage_are_read_with_their_error(tmp_path: Path) -> None:
    path = make_run(tmp_path / "r", seeds=(0, 1), questions=50, samples=4, benchmarks=("lab-test",))
    build_report(path)
    before = results(path).ways
    labelled(path)
    build_report(path)
    after = results(path).ways
    assert [c.rate for c in after.composition] == [c.rate for c in before.composition]
    assert [m.counts for m in after.mix] == [m.counts for m in before.mix]
    assert before.labellers == () and [as_json(labeller) for labeller in after.labellers] == [ERROR]
    row = next(c for c in after.composition if (c.arm, c.phase) == ("polya-8-rl", "after-rl"))
    assert row.corrected.value == pytest.approx((row.rate.value - 0.1) / 0.7)
    assert row.corrected.low < row.corrected.value < row.corrected.high
    share = next(s for s in after.shares if (s.arm, s.phase, s.way) == ("base", "base", "forward"))
    assert share.corrected.value == pytest.approx((share.rate.value - 0.05) / 0.85)
    other = next(s for s in after.shares if s.way == "cases")
    assert other.corrected is None  # its error was not measured
    told = after.program[0]
    assert told.samples in (10, 20)  # summed over seeds
    for matched in after.length_matched:
        assert matched.corrected.value == pytest.approx(matched.matched.value / 0.7)
        assert matched.corrected.high - matched.corrected.low > matched.matched.high - matched.matched.low
    page = (path / "report/report.html").read_text(encoding="utf-8")
    assert "found two ways in 120 of 150 that had them (74 of 75 whole ones, 46 of 75 halves) and in 20 of 200" in page
    assert "The labels against a program that knows" in page and "How often each way is used" in page
    assert any(c.part == "label" for c in results(path).cost)


def test_a_rate_that_the_measured_error_cannot_explain_is_not_shrunk_to_a_point(tmp_path: Path) -> None:
    """Fewer positives than the measured false alarms alone would give: the error is not that of these samples."""
    path = make_run(tmp_path / "r", seeds=(0, 1), questions=50, samples=4, benchmarks=("lab-test",))
    labelled(path, flip=1.0)
    build_report(path)
    for row in results(path).ways.composition:
        assert row.corrected.value == 0 and row.corrected.high >= row.rate.high > 0


def test_labels_without_information_are_said_to_be(tmp_path: Path) -> None:
    path = make_run(tmp_path / "r", seeds=(0,), questions=20, samples=2, benchmarks=("lab-test",))
    labelled(path)
    blind = {"name": "judge", "hits": 5, "positives": 10, "rejections": 5, "negatives": 10}
    write_stage(path, layout.LABELLER, "labeller", result={"labeller": blind})
    page = build_report(path).html.read_text(encoding="utf-8")
    assert "these labels cannot tell" in page
    assert all(c.corrected is None for c in results(path).ways.composition)


def add_greedy(path: Path, right: dict[str, float]) -> None:
    rng = np.random.default_rng(1)
    for rel in samples_of(path):
        frame = pl.read_parquet(Layout(path).evaluated(rel)).filter(pl.col("index") == 0)
        p = right.get(layout.place(rel).arm, 0.4)
        hit = rng.random(frame.height) < p
        frame = frame.with_columns(
            id=pl.col("id") + "-greedy",
            judgement=pl.Series(np.where(hit, "correct", "wrong")),
            finish=pl.lit("stop"),
            heuristic=pl.lit("greedy"),
        )
        write_table(Layout(path).greedy(rel), frame)


def test_greedy_is_shown_and_in_nothing_that_is_drawn(tmp_path: Path) -> None:
    path = make_run(tmp_path / "r", seeds=(0, 1, 2), questions=60, samples=4, benchmarks=("lab-test",))
    build_report(path)
    before = results(path)
    assert before.greedy == () and "Greedy" not in (path / "report/report.md").read_text(encoding="utf-8")
    add_greedy(path, {"polya-8-rl": 0.9, "base": 0.1})
    build_report(path)
    after = results(path)
    assert replace(after, greedy=()) == before
    rows = {(g.arm, g.phase): g for g in after.greedy}
    base, treated = rows["base", "base"], rows["polya-8-rl", "after-rl"]
    assert base.seeds == () and base.samples == 60 and treated.samples == 180
    assert treated.accuracy.value == pytest.approx(0.9, abs=0.06) and treated.treatment_minus_this is None
    gap = base.treatment_minus_this
    assert gap.value == pytest.approx(treated.accuracy.value - base.accuracy.value)
    assert gap.low < gap.value < gap.high and rows["polya-8-rl", "before-rl"].treatment_minus_this is None
    assert "Greedy decoding" in (path / "report/report.html").read_text(encoding="utf-8")


def test_greedy_and_labels_survive_a_comparison_of_runs(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / name, seeds=(0,), questions=q, samples=2, benchmarks=("lab-test",), rng_seed=q)
        for name, q in (("one", 20), ("two", 12))
    ]
    for run in runs:
        add_greedy(run, {})
    labelled(runs[1])
    found = read_results(build_comparison(runs, tmp_path / "out").results)
    rows = {(g.arm, g.phase): g for g in found.greedy}
    assert rows["two: base", "base"].samples == 12 and rows["one: base", "base"].samples == 20
    assert rows["two: base", "base"].accuracy.questions == 12
    shares = [s for s in found.ways.shares if s.arm == "two: base"]
    assert shares and all(s.rate.questions == 12 for s in shares)


@pytest.mark.parametrize("seeds", [(0,), (0, 1), (0, 1, 2)])
def test_few_seeds_are_said_to_be_few(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    path = make_run(tmp_path / "r", seeds=seeds, questions=400, samples=8, benchmarks=("lab-test",), seed_sd=0.0)
    build_report(path)
    found = results(path)
    words = verdict(found)
    page = (path / "report/report.html").read_text(encoding="utf-8")
    once, luck = "no variation between training runs is in it", "its width is largely luck"
    assert (once in page) == (len(seeds) == 1)
    assert (luck in words.sentences[-1]) == (len(seeds) == 2)
    if len(seeds) == 1:
        assert words.tone == "good" and words.headline.endswith(", in one training run.")
    else:
        assert "in one training run" not in words.headline
