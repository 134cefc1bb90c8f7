"""The report from real files: planted effects are found, holes are said, nothing missing is counted as wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from midway.cli.report import register
from midway.evidence import difference, majority_of_all
from midway.report import build_comparison, build_report
from midway.report.words import call, interval, points, verdict
from midway.results import Benchmark, Results, Vendi, read_results
from midway.results.load import read_contents
from midway.rundir import layout
from midway.rundir.layout import Layout

_spec = spec_from_file_location("make_run", Path(__file__).with_name("make_run.py"))
assert _spec and _spec.loader
make_run_module = module_from_spec(_spec)
_spec.loader.exec_module(make_run_module)
make_run, write_stage, TRUTH, ARMS = (
    make_run_module.make_run,
    make_run_module.write_stage,
    make_run_module.TRUTH,
    make_run_module.ARMS,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run with three seeds and two benchmarks."""
    path = make_run(tmp_path_factory.mktemp("runs") / "whole", questions=400, samples=8, seed_sd=0.005)
    build_report(path)
    return path


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One failed arm (in all its seeds one failed RL), one missing seed, one benchmark without samples."""
    path = make_run(
        tmp_path_factory.mktemp("runs") / "broken",
        questions=80,
        samples=4,
        failed=("star-rl", 1),
        gone=("unguided-8-rl", 2),
        empty=("lab-none",),
    )
    for seed in (0, 2):
        for rel in Layout(path).evaluations():
            if (layout.place(rel).arm, layout.place(rel).seed) == ("star-rl", seed):
                shutil.rmtree(Layout(path).stage(rel))
        write_stage(path, layout.rl("star-rl", seed), "rl", state="failed", error="ValueError: <b>nan</b> loss")
    build_report(path)
    return path


def results(path: Path) -> Results:
    return read_results(path / "report" / "results.json")


def page(path: Path) -> str:
    return (path / "report" / "report.html").read_text(encoding="utf-8")


class _Checker(HTMLParser):
    """Collects unclosed tags and everything that would be fetched."""

    VOID = frozenset({"meta", "link", "br", "circle", "line", "rect", "polygon", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: dict[str, int] = {}
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        values = dict(attrs)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        for name in ("src", "href", "xlink:href", "data", "srcset"):
            link = values.get(name)
            if link and not link.startswith(("#", "data:,")):
                self.fetched.append(link)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()


def checked(html: str) -> _Checker:
    checker = _Checker()
    checker.feed(html)
    assert not checker.open
    return checker


def test_the_page_is_self_contained_and_every_figure_has_its_table(whole: Path) -> None:
    html = page(whole)
    found = checked(html)
    assert not found.fetched and found.tags["script"] == 1
    assert not re.search(r"url\(|@import|https?://", html)
    assert found.tags["figure"] >= 7
    for figure in re.findall(r"<figure.*?</figure>", html, re.S):
        assert "<svg" in figure and "<details>" in figure and "</td>" in figure
    script = re.search(r"<script>(.*)</script>", html, re.S)
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html and "default-src 'none'" in html
    assert len(found.ids) == len(set(found.ids))
    assert "prefers-color-scheme: dark" in html and "@media print" in html and "width=device-width" in html


def test_planted_effects_are_found(whole: Path) -> None:
    found = results(whole)
    rows = {(r.benchmark, r.against): r for r in found.differences}
    assert call(rows["lab-test", "rl-only"]) == "higher"
    assert call(rows["lab-test", "base"]) == "higher"
    # clipping of pass rates to [0, 1] shrinks planted differences a little
    assert rows["lab-test", "rl-only"].difference.value == pytest.approx(0.07, abs=0.025)
    for row in rows.values():
        d = row.difference
        assert d.low < d.value < d.high and row.p_holm >= d.p and d.over == "questions and seeds"
    gains = {(g.benchmark, g.arm): g for g in found.gains}
    assert {a for _, a in gains} == set(TRUTH) - {"base"}
    assert gains["lab-test", "rl-only"].gain.low > 0.05
    composed = {(c.benchmark, c.arm, c.phase): c for c in found.ways.composition}
    for arm in ("polya-8-rl", "rl-only"):
        rate = composed["lab-test", arm, "after-rl"].rate
        assert rate.low < TRUTH[arm][3] < rate.high
    right = next(c for c in found.ways.correctness if c.arm == "polya-8-rl")
    assert right.matched.low < 0.08 < right.matched.high


def test_the_verdict_says_what_the_numbers_allow(whole: Path) -> None:
    found = results(whole)
    words = verdict(found)
    first = next(r for r in found.differences if (r.benchmark, r.against) == ("lab-test", "rl-only"))
    assert words.tone == "good" and words.headline == "“8 ways + RL” beat “RL only” on lab-test."
    told = f"raised pass@1 by {interval(first.difference)} points over “RL only” at equal RL steps: "
    assert told in words.sentences[0]
    levels = [
        s.pass_at_1.value
        for a in ("polya-8-rl", "rl-only")
        for s in found.scores
        if (s.arm, s.benchmark) == (a, "lab-test") and s.final
    ]
    assert f"{points(levels[0])} % of samples right against {points(levels[1])} %" in words.sentences[0]
    assert "one own solution" not in words.sentences[1]  # fewer solutions: no control for variety
    assert all(s in page(whole).replace("&#39;", "'") for s in words.sentences)


def test_pass_at_1_is_what_a_spreadsheet_gives(whole: Path) -> None:
    """Computed again from the parquet files, in the plainest way."""
    per_seed = []
    for seed in (0, 1, 2):
        file = Layout(whole).evaluated(layout.evaluation("polya-8-rl", seed, "lab-test", layout.AFTER_RL))
        frame = pl.read_parquet(file).filter(pl.col("judgement") != "unjudged")
        rates = frame.group_by("question_id").agg((pl.col("judgement") == "correct").mean().alias("rate"))
        per_seed.append(rates.sort("question_id"))
    row = next(
        s for s in results(whole).scores if (s.benchmark, s.arm, s.phase) == ("lab-test", "polya-8-rl", "after-rl")
    )
    by_question = np.mean([t["rate"].to_numpy() for t in per_seed], axis=0)
    assert row.pass_at_1.value == pytest.approx(by_question.mean())
    assert row.steps_right == pytest.approx(0.9, abs=0.01) and "right for the right reason" in page(whole)
    assert row.samples == 3 * 400 * 8 and row.judged + row.unjudged == row.samples


def test_majority_agrees_with_the_estimator(whole: Path) -> None:
    ev = read_contents(whole).evaluations["lab-test", "base", "base"]
    frame = pl.read_parquet(Layout(whole).evaluated(layout.base_evaluation("lab-test")))
    frame = frame.filter(pl.col("judgement") != "unjudged").sort("question_id")
    answers = sorted(frame["extracted"].drop_nulls().unique())
    ids = sorted(frame["question_id"].unique())
    counts = np.zeros((len(ids), len(answers)))
    for q, a in frame.select("question_id", "extracted").drop_nulls().iter_rows():
        counts[ids.index(q), answers.index(a)] += 1
    expected = majority_of_all(counts, np.array([[a == "42" for a in answers]] * len(ids)))
    np.testing.assert_allclose(ev.majority[0], expected)


def test_holes_are_said_and_the_rest_renders(broken: Path) -> None:
    found, html, text = results(broken), page(broken), (broken / "report/report.md").read_text(encoding="utf-8")
    checked(html)
    told = [f"{p.where} {p.what}" for p in found.problems]
    assert any(t.startswith("arms/star-rl/seed-1/rl failed: RuntimeError: CUDA out of memory") for t in told)
    assert any(t.startswith("benchmark lab-none has no samples") for t in told)
    assert any("arm unguided-8-rl has no final evaluation of seed 2" in t for t in told)
    assert any("arm star-rl has no final evaluation" in t for t in told)
    for t in ("lab-none", "CUDA out of memory", "What is missing"):
        assert t in html and t.replace("_", "\\_") in text
    assert "no samples" in html and "&lt;b&gt;nan&lt;/b&gt;" in html and "<b>nan" not in html
    assert not [r for r in found.differences if r.against == "star-rl" or r.benchmark == "lab-none"]
    wide = next(r for r in found.differences if r.against == "unguided-8-rl")
    assert tuple(wide.difference.seeds) == (3, 2)


def test_missing_samples_lower_nothing(tmp_path: Path) -> None:
    """Trap: a benchmark whose second half was not sampled yet must not look half as good."""
    path = make_run(tmp_path / "r", seeds=(0, 1), questions=60, samples=4, benchmarks=("lab-test",))
    build_report(path)
    before = {(s.arm, s.phase): s for s in results(path).scores}
    rel = layout.evaluation("polya-8-rl", 0, "lab-test", layout.AFTER_RL)
    file = Layout(path).evaluated(rel)
    frame = pl.read_parquet(file)
    frame.filter(~pl.col("question_id").str.ends_with("1") & (pl.col("index") < 2)).write_parquet(file)
    write_stage(path, rel, "evaluate", state="interrupted", config={"benchmark": {"samples": 4}})
    build_report(path)
    after = {(s.arm, s.phase): s for s in results(path).scores}["polya-8-rl", "after-rl"]
    assert after.pass_at_1.value == pytest.approx(before["polya-8-rl", "after-rl"].pass_at_1.value, abs=0.05)
    assert (
        after.missing == 60 * 4 - frame.filter(~pl.col("question_id").str.ends_with("1") & (pl.col("index") < 2)).height
    )
    assert after.pass_at_1.questions == 60  # the other seed still has them
    assert any("is interrupted" in p.what for p in results(path).problems)


def test_questions_that_no_arm_answered_count_as_missing(tmp_path: Path) -> None:
    path = make_run(tmp_path / "r", seeds=(0,), questions=20, samples=4, benchmarks=("lab-test",))
    for rel in Layout(path).evaluations():
        file = Layout(path).evaluated(rel)
        if file.exists():
            frame = pl.read_parquet(file)
            frame.filter(~pl.col("question_id").str.ends_with("7")).write_parquet(file)
    build_report(path)
    found = results(path)
    assert found.benchmarks == (Benchmark("lab-test", questions=20, samples=4),)
    for score in found.scores:
        assert (score.samples, score.missing, score.pass_at_1.questions) == (72, 8, 18)


def test_question_sets_of_other_names_are_found_too(tmp_path: Path) -> None:
    path = make_run(tmp_path / "r", seeds=(0,), questions=10, samples=2, benchmarks=("lab-hard",), empty=("lab-test",))
    file = Layout(path).questions(layout.benchmark_set("lab-test"))
    for other in ("lab_test", "benchmark-lab/test"):
        moved = Layout(path).questions(other)
        moved.parent.mkdir(exist_ok=True)
        file = file.rename(moved)
        build_report(path)
        assert results(path).benchmarks[1].questions == 10


def test_a_question_set_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = make_run(tmp_path / "r", seeds=(0,), questions=10, samples=2, benchmarks=("lab-test",))
    Layout(path).questions(layout.benchmark_set("lab-test")).write_bytes(b"PAR1 not really")
    build_report(path)
    assert any("benchmark-lab-test.parquet" in p.where for p in results(path).problems)
    assert results(path).benchmarks[0].questions == 10  # those that were answered


def test_unjudged_engine_errors_and_duplicates_are_not_wrong_answers(tmp_path: Path) -> None:
    path = make_run(tmp_path / "r", seeds=(0,), questions=20, samples=4, benchmarks=("lab-test",))
    file = Layout(path).evaluated(layout.base_evaluation("lab-test"))
    frame = pl.read_parquet(file).with_columns(judgement=pl.lit("correct"), finish=pl.lit("stop"))
    bad = pl.col("index") == 0
    frame = frame.with_columns(
        judgement=pl.when(bad).then(pl.lit("wrong")).otherwise(pl.col("judgement")),
        finish=pl.when(bad).then(pl.lit("error")).otherwise(pl.col("finish")),
    )
    frame = frame.with_columns(judgement=pl.when(pl.col("index") == 1).then(None).otherwise(pl.col("judgement")))
    frame.write_parquet(file)
    frame.head(30).write_parquet(file.with_name("another.parquet"))
    build_report(path)
    row = next(s for s in results(path).scores if s.arm == "base")
    assert row.pass_at_1.value == 1.0
    assert (row.samples, row.judged, row.unjudged) == (80, 40, 40)


def test_an_unreadable_shard_is_named_and_skipped(tmp_path: Path) -> None:
    path = make_run(tmp_path / "r", seeds=(0,), questions=20, samples=2, benchmarks=("lab-test",))
    files, rl = Layout(path), layout.rl("rl-only", 0)
    (files.stage(layout.base_evaluation("lab-test")) / "another.parquet").write_bytes(b"PAR1 not really")
    files.manifest(rl).write_text("{", encoding="utf-8")
    with files.metrics(rl).open("a", encoding="utf-8") as out:
        out.write('{"step": 999, "rew')
    build_report(path)
    told = " ".join(p.where + " " + p.what for p in results(path).problems)
    assert "another.parquet cannot be read" in told and "stage.json cannot be read" in told


def test_diversity_of_solutions_and_movement_of_the_mix(whole: Path) -> None:
    found = results(whole)
    arms = {a.name: a for a in found.arms}
    assert arms["polya-8-rl"].ways == pytest.approx(8) and arms["unguided-8-rl"].ways == pytest.approx(1)
    assert arms["unguided-8-rl"].vendi == Vendi(pytest.approx(1), 8)
    assert arms["polya-8-rl"].vendi.score > 2 and arms["star-rl"].vendi is None
    moved = {(m.benchmark, m.arm, m.phase): m.moved for m in found.ways.mix}
    assert moved["lab-test", "base", "base"] is None
    # the base's mix is less concentrated than that of RL only, the treatment's is the same before and after
    assert moved["lab-test", "rl-only", "after-rl"] > 0.1 > moved["lab-test", "polya-8-rl", "after-rl"]


def test_nested_and_dashed_benchmark_folders_are_the_same_benchmark(tmp_path: Path) -> None:
    path = make_run(tmp_path / "r", seeds=(0,), questions=20, samples=2, benchmarks=("lab-test",))
    build_report(path)
    before = results(path).scores
    for file in path.glob("arms/*/seed-0/evaluations/*/before-rl/shared.json"):
        file.write_text(file.read_text(encoding="utf-8").replace("lab-test", "lab/test"), encoding="utf-8")
    for folder in list(path.glob("arms/*/seed-0/evaluations/lab-test")):
        (folder.parent / "lab").mkdir()
        folder.rename(folder.parent / "lab" / "test")
    build_report(path)
    assert results(path).scores == before


def test_one_seed_says_what_it_does_not_cover(tmp_path: Path) -> None:
    path = make_run(tmp_path / "r", seeds=(0,), questions=60, samples=4, benchmarks=("lab-test",))
    build_report(path)
    found = results(path)
    assert "says nothing about how another training run would turn out" in " ".join(verdict(found).sentences)
    assert next(r for r in found.differences if r.against == "rl-only").difference.over == "questions"


def test_a_run_without_controls_or_samples_has_no_verdict_but_a_page(tmp_path: Path) -> None:
    only = {"polya-8-rl": ARMS["polya-8-rl"]}
    path = make_run(tmp_path / "r", seeds=(0,), questions=10, samples=2, benchmarks=("lab-test",), arms=only)
    assert "no verdict" in build_and_headline(path)
    empty = tmp_path / "empty"
    (empty / "arms").mkdir(parents=True)
    assert "names no treatment" in build_and_headline(empty)


def build_and_headline(path: Path) -> str:
    checked(build_report(path).html.read_text(encoding="utf-8"))
    return str(verdict(results(path)).headline)


def test_names_from_the_run_are_escaped(tmp_path: Path) -> None:
    arms = {k: dict(v) for k, v in ARMS.items()}
    arms["polya-8-rl"]["title"] = "<script>alert(1)</script> & “ways” | *x*"
    path = make_run(tmp_path / "r", seeds=(0,), questions=10, samples=2, benchmarks=("lab-test",), arms=arms)
    paths = build_report(path)
    html = paths.html.read_text(encoding="utf-8")
    assert checked(html).tags["script"] == 1 and "alert(1)</script>" not in html
    assert "\\| \\*x\\*" in paths.markdown.read_text(encoding="utf-8")


def test_labeller_error_is_undone_and_widens_the_interval(tmp_path: Path) -> None:
    path = make_run(tmp_path / "r", seeds=(0, 1, 2), questions=60, samples=8, benchmarks=("lab-test",))
    error = {"name": "judge", "hits": 80, "positives": 100, "rejections": 95, "negatives": 100}
    for file in (Layout(path).manifest(rel) for rel in Layout(path).evaluations()):
        if not file.exists():  # it points to the base model's
            continue
        stage = json.loads(file.read_text(encoding="utf-8"))
        stage["config"]["labeller"] = error
        file.write_text(json.dumps(stage), encoding="utf-8")
    build_report(path)
    row = next(c for c in results(path).ways.composition if (c.arm, c.phase) == ("polya-8-rl", "after-rl"))
    assert row.corrected.value == pytest.approx((row.rate.value - 0.05) / 0.75)
    assert row.corrected.high - row.corrected.low > row.rate.high - row.rate.low
    assert "corrected for labeller error" in page(path)


def test_numbers_on_the_page_are_those_of_the_json(whole: Path) -> None:
    html, text = page(whole), (whole / "report/report.md").read_text(encoding="utf-8")
    for row in results(whole).differences:
        assert interval(row.difference, sign=True) in html
        assert interval(row.difference, sign=True) in text
    for row in results(whole).scores:
        assert interval(row.pass_at_1) in html


def test_report_is_the_same_twice(whole: Path) -> None:
    first = [(whole / "report" / n).read_bytes() for n in ("report.html", "report.md", "results.json")]
    build_report(whole)
    assert first == [(whole / "report" / n).read_bytes() for n in ("report.html", "report.md", "results.json")]


def test_comparison_joins_runs_by_question(whole: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", questions=100, samples=4, benchmarks=("lab-test",), rng_seed=9)
    out = tmp_path / "joint"
    paths = build_comparison([whole, other], out)
    found = read_results(paths.results)
    checked(paths.html.read_text(encoding="utf-8"))
    row = next(r for r in found.differences if (r.benchmark, r.against) == ("lab-test", "other: polya-8-rl"))
    assert row.difference.questions == 100
    a, b = read_contents(whole).final("lab-test", "polya-8-rl"), read_contents(other).final("lab-test", "polya-8-rl")
    assert a is not None and b is not None
    with np.errstate(invalid="ignore"):
        expected = difference((a.correct / a.judged)[:, :100], b.correct / b.judged)
    assert row.difference.value == pytest.approx(expected.value)
    with pytest.raises(ValueError, match="at least two"):
        build_comparison([whole], out)
    with pytest.raises(ValueError, match="different names"):
        build_comparison([whole, whole], out)


def test_command_line(whole: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    register(app)
    done = CliRunner().invoke(app, ["report", str(whole)])
    assert done.exit_code == 0 and "“8 ways + RL” beat “RL only”" in done.output and "report.html" in done.output
    none = CliRunner().invoke(app, ["report", str(tmp_path / "nothing")])
    assert none.exit_code == 2 and "is not a run directory" in none.output
    one = CliRunner().invoke(app, ["compare", str(whole), "--out", str(tmp_path / "c")])
    assert one.exit_code == 2 and "at least two" in one.output


def test_a_run_seen_from_another_arm(whole: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    register(app)
    usual = {r.against: r.difference for r in results(whole).differences if r.benchmark == "lab-test"}
    before = (whole / "report" / "results.json").read_bytes()
    out = tmp_path / "seen"
    asked = ["report", str(whole), "--treatment", "rl-only", "--control", "polya-8-rl", "--out", str(out)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0 and "RL only" in done.output.splitlines()[0]
    found = read_results(out / "results.json")
    (turned,) = (
        r.difference
        for r in found.differences
        if (r.benchmark, r.against) == ("lab-test", "polya-8-rl")
    )  # fmt: skip
    assert turned.value == pytest.approx(-usual["rl-only"].value)
    assert (turned.low, turned.high) == pytest.approx((-usual["rl-only"].high, -usual["rl-only"].low))
    assert "--treatment rl-only --control polya-8-rl" in found.commands[-1]
    assert (whole / "report" / "results.json").read_bytes() == before
    none = CliRunner().invoke(app, ["report", str(whole), "--treatment", "polya"])
    assert none.exit_code == 2 and "--treatment polya" in none.output and "polya-8-rl" in none.output


def test_no_torch_is_imported(whole: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from midway.report import build_report; "
        f"build_report(Path({str(whole)!r})); assert not {{'torch', 'transformers', 'trl'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_points_and_minus_signs() -> None:
    assert points(0.0613) == "6.1" and points(-0.003) == "\u22120.3" and points(-0.0001, True) == "0.0"
    assert points(None) == "n/a"


def test_runs_that_share_nothing_are_not_compared(whole: Path, tmp_path: Path) -> None:
    elsewhere = make_run(tmp_path / "elsewhere", questions=20, samples=2, seeds=(0,), benchmarks=("other-set",))
    with pytest.raises(ValueError, match=r"whole and elsewhere share no benchmark question(.|\n)*other-set"):
        build_comparison([whole, elsewhere], tmp_path / "joint")
    strange = make_run(tmp_path / "strange", questions=20, samples=2, seeds=(0,), benchmarks=("lab-test",))
    resolved = Layout(strange).resolved
    stored = json.loads(resolved.read_text())
    stored["recipe"]["model"] = {**stored["recipe"]["model"], "path": "org/another"}
    resolved.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=r"different models(.|\n)*strange: org/another"):
        build_comparison([whole, strange], tmp_path / "joint")
    assert not (tmp_path / "joint").exists()
