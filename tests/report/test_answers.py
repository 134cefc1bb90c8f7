"""What the report says to its reader: first the answer and what it rests on, then questions; repeats, floors, corrections by name."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from typer.testing import CliRunner

from midway.cli import app
from midway.report import build_report, redraw_report
from midway.report.phrases import at_floor, interval, repeats
from midway.report.sections import sections
from midway.report.words import controls, variety, verdict
from midway.results import Benchmark, Estimate, Interval, Results, read_results
from midway.rundir import layout, write_json
from midway.rundir.layout import Layout

_spec = spec_from_file_location("make_run", Path(__file__).with_name("make_run.py"))
assert _spec and _spec.loader
_module = module_from_spec(_spec)
_spec.loader.exec_module(_module)
make_run, ARMS = _module.make_run, _module.ARMS


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_run(tmp_path_factory.mktemp("runs") / "asked", seeds=(0, 1), questions=80, samples=4)
    build_report(path)
    return path


@pytest.fixture(scope="module")
def found(run: Path) -> Results:
    return read_results(run / "report" / "results.json")


def page(run: Path) -> str:
    return (run / "report" / "report.html").read_text(encoding="utf-8")


def test_the_answer_comes_first_and_every_table_is_folded(run: Path, found: Results) -> None:
    html = page(run)
    first, rest = html.split("<nav", 1)
    words = verdict(found)
    for text in (words.headline, *words.sentences, *words.limits, "What this does not show", "What it cost", "Alarms"):
        assert text in first.replace("&#39;", "'")
    assert first.count("<svg") == 1 and 'class="zero"' in first and "main control" in first
    asked = re.findall(r"<h2>(.*?)</h2>", rest)
    wanted = ["Was it the variety or more data?", "Did RL add to it?", "What did it cost?", "Is coverage kept?"]
    wanted += ["Does it hold on every set of questions?", "Which ways survive?", "Can the numbers be trusted?"]
    assert asked == [*wanted, "Run it again"]
    for section in sections(found):
        assert 1 <= len(section.sentences) <= 3 and all(s.rstrip().endswith((".", "?")) for s in section.sentences)
    depth = 0
    for tag in re.findall(r"<(/?details|table)\b", html):
        depth += {"details": 1, "/details": -1, "table": 0}[tag]
        assert tag != "table" or depth > 0
    assert depth == 0


def test_an_arm_has_its_colour_everywhere(run: Path) -> None:
    found = re.findall(r'<text class="name c(\d)"[^>]*>([^<]+)</text>', page(run))
    assert len({name for _, name in found}) == len({*found}) == len(ARMS)


def test_a_control_that_repeats_is_called_so(run: Path, found: Results, tmp_path: Path) -> None:
    """The unguided arm's 800 rows are 100 texts: it is no control for more data, and no sentence may say that it is."""
    arms = {a.name: a for a in found.arms}
    assert (arms["unguided-8-rl"].solutions, arms["unguided-8-rl"].distinct) == (800, 100)
    assert repeats(found)["unguided-8-rl"] == 700 and controls(found).repeating == {"unguided-8-rl"}
    said = variety(found)
    assert "“8 unguided solutions + RL”, which repeats 88 % of its rows" in said
    assert "same amount of mid-training data" not in said and "Variety itself" not in said
    assert "more different texts" in said and "88 % repeats" in page(run).split("<nav", 1)[0]
    other = make_run(tmp_path / "r", seeds=(0, 1), questions=80, samples=4, copies=False)
    clean = read_results(build_report(other).results)
    assert clean.arms[2].distinct == 800 and not controls(clean).repeating
    assert "At the same amount of mid-training data (800 different solutions)" in variety(clean)
    assert "ariety itself" in variety(clean) and "repeats" not in variety(clean)
    table = next(t for s in sections(found) for t in s.tables if t.id == "arms")
    column = {name: [row[i] for row in table.rows] for i, name in enumerate(table.head)}
    assert column["different texts"] == ["0", "0", "100", "100", "800"]
    assert column["repeats"] == ["", "", "87.5 %", "0.0 %", "0.0 %"] and column["RL steps"][0] == "0"


def test_rows_that_an_older_version_repeated_are_known_from_its_funnel(found: Results) -> None:
    old = replace(found, arms=tuple(replace(a, distinct=None) for a in found.arms))
    assert repeats(old)["unguided-8-rl"] == 0  # this funnel has no step `repeated`
    example = read_results(Path(__file__).parents[2] / "docs/example-report/results.json")
    assert example.arms[2].distinct is None and round(repeats(example)["unguided"]) == 176


def test_why_there_is_no_control_is_said_as_it_is(found: Results) -> None:
    def only(*names: str, **changes: float) -> Results:
        arms = [a for a in found.arms if a.name in names]
        arms = [replace(a, **changes) if a.name == "polya-8-rl" else a for a in arms]
        left = tuple(r for r in found.differences if r.against in names)
        return replace(found, arms=tuple(arms), differences=left)

    base = ("base", "rl-only", "polya-8-rl")
    assert "No other arm was mid-trained" in variety(only(*base))
    fewer = variety(only(*base, "star-rl"))
    assert "No control had about as many solutions as the treatment (800 different solutions)" in fewer
    assert "“one own solution + RL” (100 different solutions)" in fewer
    assert "of one way" in variety(only(*base, "unguided-8-rl", ways=1.0))
    # a treatment of 1.6 effective ways still has unguided solutions as its control
    assert controls(only(*base, "unguided-8-rl", ways=1.6)).matched
    without = replace(only(*base, "unguided-8-rl"), differences=only(*base).differences)
    assert "no final evaluation on lab-test" in variety(without)


def test_an_interval_that_excludes_zero_and_is_not_shown_names_the_correction(found: Results) -> None:
    def with_(p_holm: float) -> Results:
        rows = []
        for r in found.differences:
            shown = replace(r.difference, value=-0.046, low=-0.086, high=-0.006)
            rows.append(replace(r, difference=shown, p_holm=p_holm))
        return replace(found, differences=tuple(rows))

    words = verdict(with_(0.091))
    assert "excludes zero, but not after Holm's correction for 4 comparisons (p = 0.091)" in words.sentences[0]
    other = next(text for text in words.limits if "lab-hard" in text)
    assert "−4.6 [−8.6, −0.6]; not after Holm's correction for 4 comparisons, p = 0.091" in other
    assert words.headline == "“8 ways + RL” is not shown to differ from “RL only” on lab-test."
    lower = verdict(with_(0.01))
    assert lower.tone == "bad" and any("shown to be lower on lab-hard" in text for text in lower.limits)


def test_no_interval_says_why() -> None:
    known = {"df": None, "p": None, "questions": 9, "seeds": (1,), "over": "questions"}
    assert interval(Estimate(0.0, None, None, se=0.0, **known), sign=True) == "0.0 (on every question)"
    assert interval(Estimate(0.5, None, None, se=None, **known)) == "50.0 (too few for an interval)"
    assert interval(Interval(None, None, None)) == "n/a"


def test_chance_and_floor_stand_beside_each_set(tmp_path: Path) -> None:
    path = make_run(tmp_path / "r", seeds=(0,), questions=40, samples=4, benchmarks=("lab-test",), options=4)
    found = read_results(build_report(path).results)
    assert found.benchmarks == (Benchmark("lab-test", 40, 4, chance=0.25),)
    base = next(s for s in found.scores if s.phase == layout.BASE).pass_at_1.value
    assert base is not None and 0.25 < base < 0.45
    low = replace(
        found,
        scores=tuple(
            replace(s, pass_at_1=replace(s.pass_at_1, value=0.28)) if s.arm == "base" else s for s in found.scores
        ),
    )
    assert at_floor(low, "lab-test") == "base model 28.0 %, chance 25.0 %"
    title = next(t.title for s in sections(low) for t in s.tables if t.id == "scores-0")
    assert title == "lab-test: 40 questions, 4 samples each; chance 25.0 %; at floor (base model 28.0 %, chance 25.0 %)"
    assert any("at floor" in text for text in verdict(low).limits)
    high = replace(low, benchmarks=(replace(low.benchmarks[0], chance=None),))
    assert at_floor(high, "lab-test") == ""  # 28 % where nothing can be guessed is no floor


def test_a_quantity_that_is_always_zero_is_a_sentence(tmp_path: Path) -> None:
    path = make_run(tmp_path / "r", seeds=(0, 1), questions=20, samples=2, benchmarks=("lab-test",))
    for arm in ("rl-only", "polya-8-rl"):
        for seed in (0, 1):
            file = Layout(path).metrics(layout.rl(arm, seed))
            rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            more = {"eval/lab-test/truncated": 0.0, "eval/lab-test/composed": 0.2}
            file.write_text("\n".join(json.dumps({**row, **more}) for row in rows), encoding="utf-8")
    html = build_report(path).html.read_text(encoding="utf-8")
    assert "Zero in every arm at every step, so not drawn: truncated on lab-test, during RL." in html
    assert "<h4>composed on lab-test, during RL</h4>" in html and "<h4>truncated on" not in html


def test_a_forecast_stands_beside_the_outcome(run: Path, tmp_path: Path) -> None:
    assert "Was it forecast?" not in page(run)
    path = make_run(tmp_path / "r", seeds=(0,), questions=60, samples=4, benchmarks=("lab-test",))
    found = read_results(build_report(path).results)
    came = next(r for r in found.differences if r.against == "rl-only").difference.value
    assert found.forecast is None and came is not None
    made = {
        "arms": {"polya-8-rl": {"gain": 0.2, "low": 0.1, "high": 0.3}},
        "lead": {"value": came + 0.01, "low": came - 0.02, "high": came + 0.04, "level": 0.8},
        "text": "Enough questions are reached by one way alone.",
        "made_at": "2026-11-26T12:00:00Z",
        "recipe_digest": found.digest,
    }
    write_json(Layout(path).forecast(), made)
    html = build_report(path).html.read_text(encoding="utf-8")
    assert "Was it forecast?" in html and "inside that interval" in html and "80 % interval" in html
    assert "Enough questions are reached by one way alone." in html
    (chart,) = [s.chart for s in sections(read_results(path / "report/results.json")) if s.id == "forecast"]
    assert chart is not None and [row[0] for row in chart.rows] == [
        "lead over the main control, forecast", "came out", "“8 ways + RL” over the base model, forecast", "came out",
    ]  # fmt: skip
    assert chart.rows[2][1] == "+20.0 [10.0, 30.0]" and 'id="fig-forecast"' in html
    rates = {s.arm: s.pass_at_1.value for s in found.scores if s.final}
    table = next(
        t for s in sections(read_results(path / "report/results.json")) for t in s.tables if t.id == "forecast-table"
    )
    got = 100 * (rates["polya-8-rl"] - rates["base"])
    assert table.rows[1] == ["“8 ways + RL” over the base model", "+20.0 [10.0, 30.0]", f"{got:+.1f}"]
    write_json(Layout(path).forecast(), {**made, "lead": {"value": 0.9, "low": 0.8, "high": 1.0}, "recipe_digest": "x"})
    html = build_report(path).html.read_text(encoding="utf-8")
    assert "outside that interval" in html and "another recipe than this run" in html
    for broken in ("[]", "{", '{"arms": 3, "lead": "soon"}'):
        Layout(path).forecast().write_text(broken, encoding="utf-8")
        assert read_results(build_report(path).results).forecast is None


def test_a_page_is_drawn_again_from_results_alone(run: Path, tmp_path: Path) -> None:
    stored = (run / "report" / "results.json").read_bytes()
    (tmp_path / "sent.json").write_bytes(stored)
    done = CliRunner().invoke(app, ["report", str(tmp_path / "sent.json"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "results.json").read_bytes() == stored
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert html.split('<section id="again">')[0] == page(run).split('<section id="again">')[0]
    assert "treatment: polya-8-rl" in html  # the recipe is in results.json
    refused = CliRunner().invoke(app, ["report", str(tmp_path / "sent.json"), "--treatment", "rl-only"])
    assert refused.exit_code == 2 and "need the run itself" in refused.output
    with pytest.raises(Exception, match=r"there is no .*nothing\.json"):
        redraw_report(tmp_path / "nothing.json")
