"""Every screen in a real Chromium: what it shows equals what the tables hold; filter, sort, page, flip, link, back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from midway.rundir import layout
from midway.rundir.layout import Layout
from midway.view import ViewServer

SCREENS = (
    "",
    "/questions",
    "/question",
    "/solutions",
    "/rollouts",
    "/verifier?show=longest",
    "/heuristics?heuristic=working-backward",
)


@pytest.fixture
def at(server: ViewServer) -> Callable[[str], str]:
    return lambda rest: f"{server.url}#/run/small{rest}"


def samples(
    path: Path, arm: str, phase: str, benchmark: str = "single", seeds: tuple[int, ...] = (0, 1)
) -> pl.DataFrame:
    """Return the samples of an arm, read here from the files."""
    files = Layout(path)
    rels = [layout.evaluation(arm, seed, benchmark, phase) for seed in seeds]
    return pl.concat(
        [pl.read_parquet(files.evaluated(rel)).with_columns(seed=pl.lit(s)) for rel, s in zip(rels, seeds, strict=True)]
    )


def right_of(frame: pl.DataFrame) -> float:
    judged = frame.filter(pl.col("judgement").is_in(["correct", "wrong"]))
    return float((judged["judgement"] == "correct").mean())  # type: ignore[arg-type]


def near(shown: str, share: float) -> bool:
    """Whether a percentage of one decimal is this share."""
    return abs(float(shown.removesuffix(" %")) - 100 * share) < 0.0501


def test_overview_shows_what_the_tables_hold(page: Any, server: ViewServer, stored: Path) -> None:
    page.open(server.url)
    assert page.texts("table.runs tbody td:first-child b") == ["small"]
    page.click("table.runs a")
    assert page.hash == "#/run/small"
    for arm in ("polya", "unguided"):
        for side, phase in (("before", layout.BEFORE_RL), ("after", layout.AFTER_RL)):
            shown = page.text(f"a[data-arm={arm}][data-benchmark=single][data-side={side}]")
            assert near(shown, right_of(samples(stored, arm, phase)))
    base = samples(stored, "base", layout.BASE, seeds=(0,))
    assert near(page.text("a[data-arm=base][data-benchmark=single][data-side=after]"), right_of(base))
    assert near(page.text("a[data-arm=rl-only][data-benchmark=single][data-side=before]"), right_of(base))
    verdict = json.loads((stored / "report/results.json").read_text())["treatment"]
    assert verdict in page.text(".verdict").lower() and "54 of 54 stages" in page.text("main")
    page.click("a[data-arm=unguided][data-benchmark=composite][data-side=after]")
    assert "benchmark=composite" in page.hash and "arm=unguided" in page.hash
    page.back()
    assert page.hash == "#/run/small"


def test_questions_are_counted_filtered_sorted_paged_and_linked(
    page: Any, at: Callable[[str], str], stored: Path
) -> None:
    page.open(at("/questions?size=6"))
    after, before = samples(stored, "polya", layout.AFTER_RL), samples(stored, "polya", layout.BEFORE_RL)
    ids = page.js("[...document.querySelectorAll('tr[data-id]')].map(r => r.dataset.id)")
    assert len(ids) == 6 and "page 1 of 4" in page.text(".pager")
    heads = page.texts("thead th.arm")
    for id_ in ids:
        boxes = "c => [...c.querySelectorAll('.heat')].map(h => h.textContent)"
        cells = page.js(f"[...document.querySelectorAll('tr[data-id=\"{id_}\"] td.cell')].map({boxes})")
        mine = [after.filter((pl.col("question_id") == id_) & (pl.col("seed") == s)) for s in (0, 1)]
        assert cells[-1] == [f"{(m['judgement'] == 'correct').sum()}/{m.height}" for m in mine]
    assert len(heads) == len(cells) == 8
    rate = lambda frame: frame.group_by("question_id").agg(rate=(pl.col("judgement") == "correct").mean())  # noqa: E731
    both = rate(before).join(rate(after), on="question_id")
    gained = set(both.filter((pl.col("rate") < 0.5) & (pl.col("rate_right") >= 0.5))["question_id"])
    assert int(page.text("[data-filter=gained] b")) == len(gained) > 0
    page.click("[data-filter=gained]")
    assert set(page.js("[...document.querySelectorAll('tr[data-id]')].map(r => r.dataset.id)")) == gained
    page.click("[data-filter=gained]")
    page.click("[data-sort=gain]")
    gains = page.texts("tr[data-id] td:nth-child(3)")
    numbers = [float(g.replace("−", "-")) for g in gains]
    assert numbers == sorted(numbers)
    page.click("[data-sort=gain]")
    assert "order=down" in page.hash
    page.click("a[rel=next]")
    assert "page 2 of 4" in page.text(".pager") and "page=2" in page.hash
    kept = page.hash
    page.back()
    assert "page 1 of 4" in page.text(".pager")
    page.open(at("/questions?subject=forward&level=1"))
    assert set(page.texts("tr[data-id] .open")) and all("forward" in n for n in page.texts("tr[data-id] .open"))
    page.open(page.js("location.href.split('#')[0]") + kept)  # a link holds the whole state
    assert "page 2 of 4" in page.text(".pager")
    page.open(at("/questions"))
    asked = pl.read_parquet(Layout(stored).questions(layout.benchmark_set("single")))
    page.type("text", "shells")
    page.wait("location.hash.includes('q=shells')")
    page.ready()
    assert page.js("document.querySelectorAll('tr[data-id]').length") == asked["text"].str.contains("shells").sum()
    page.pick("arm", "unguided")
    page.pick("benchmark", "composite")
    assert "arm=unguided" in page.hash and "benchmark=composite" in page.hash


def test_one_question_two_arms_by_keyboard(page: Any, at: Callable[[str], str], stored: Path) -> None:
    page.open(at("/questions"))
    ids = page.js("[...document.querySelectorAll('tr[data-id]')].map(r => r.dataset.id)")
    page.click("tr[data-id] a.open")
    assert f"id={ids[0]}" in page.hash and "1 of 20" in page.text(".pager")
    for side, phase in (("left", layout.BEFORE_RL), ("right", layout.AFTER_RL)):
        mine = samples(stored, "polya", phase, seeds=(0,)).filter(pl.col("question_id") == ids[0]).sort("index")
        assert page.texts(f"[data-side={side}] .text") == mine["text"].to_list()
        assert page.texts(f"[data-side={side}] .text .answer") == mine["extracted"].to_list()
        assert page.text(f"[data-side={side}] .score b") == str((mine["judgement"] == "correct").sum())
    left, right = page.texts("[data-side=left] .text"), page.texts("[data-side=right] .text")
    page.key("f")
    assert page.texts("[data-side=left] .text") == right and page.texts("[data-side=right] .text") == left
    page.key("f")
    page.key("n")
    assert f"id={ids[1]}" in page.hash and "2 of 20" in page.text(".pager")
    page.key("n").key("p")
    assert f"id={ids[1]}" in page.hash
    page.pick("right", "rl-only.after-rl.1")
    mine = samples(stored, "rl-only", layout.AFTER_RL, seeds=(1,)).filter(pl.col("question_id") == ids[1]).sort("index")
    assert page.texts("[data-side=right] .text") == mine["text"].to_list()
    page.back()
    assert "rl-only.after-rl.1" not in page.hash
    two = samples(stored, "polya", layout.AFTER_RL, "composite", seeds=(0,)).filter(pl.col("ways").list.len() > 1)
    page.open(at(f"/question?benchmark=composite&id={two['question_id'][0]}"))
    assert (
        len(set(page.js("[...document.querySelectorAll('[data-side=right] .text mark.way')].map(m => m.className)")))
        > 1
    )


def test_solutions_kept_beside_dropped(page: Any, at: Callable[[str], str], stored: Path) -> None:
    page.open(at("/solutions"))
    files = Layout(stored)
    funnel = pl.read_parquet(files.funnel("polya", 0)).group_by("step", maintain_order=True).agg(pl.col("count").sum())
    for step, count in funnel.iter_rows():
        assert page.text(f"tr[data-step='{step}'] td.n") == str(count)
    page.click("[data-filter=copies]")
    removed, kept = pl.read_parquet(files.removed("polya", 0)), pl.read_parquet(files.solutions("polya", 0))
    copied = removed.filter(pl.col("step") == "not a copy")
    assert page.js("document.querySelectorAll('tr[data-id]').length") == copied["question_id"].n_unique()
    page.click("tr[data-id] a.open")
    id_ = page.js("new URLSearchParams(location.hash.split('?')[1]).get('id')")
    fates = page.js("[...document.querySelectorAll('[data-fate]')].map(e => e.dataset.fate)")
    assert fates.count("kept") == kept.filter(pl.col("question_id") == id_).height
    assert fates.count("not a copy") == copied.filter(pl.col("question_id") == id_).height
    assert set(page.texts("[data-fate=kept] .text")) == set(kept.filter(pl.col("question_id") == id_)["text"])
    page.click(".diff-button")
    assert "of the characters are the same" in page.text(".diff")
    page.click("button.prompt")
    assert "Exactly what the model saw" in page.wait("(document.querySelector('.exact') || {}).textContent")
    question = pl.read_parquet(files.questions("train")).filter(pl.col("id") == id_)["text"][0]
    assert page.text(".prompt-box .text").endswith(question) and page.text(".prompt-box .text") != question
    page.pick("arm", "unguided")
    assert "arm=unguided" in page.hash
    page.back()
    page.open(at("/solutions?sort=name&size=7"))
    assert page.texts("tr[data-id] .open") == sorted(page.texts("tr[data-id] .open")) and "page 1 of 9" in page.text(
        ".pager"
    )


def test_rollouts_by_step_and_over_training(page: Any, at: Callable[[str], str], stored: Path) -> None:
    frame = pl.read_parquet(stored / layout.rl("polya", 0) / "rollouts/*.parquet")
    page.open(at("/rollouts?step=2"))
    two = frame.filter(pl.col("step") == 2)
    assert page.text(".mean-reward") == f"{two['reward'].mean():.3f}"
    assert page.text(".slider .right") == str((two["judgement"] == "correct").sum())
    assert page.js("document.querySelectorAll('.rollout').length") == two.height == 8
    assert page.texts(".group .reward")[:4] == [f"{r:.2f}" for r in two.sort("group", "index")["reward"][:4]]
    assert page.texts(".rollout .tag.bad") == ["cut off"] * two["cut_off"].sum()
    page.key("ArrowRight")
    assert "step=3" in page.hash and page.text(".slider b[data-step]") == "3"
    page.pick("step", "0")
    page.wait("location.hash.includes('step=1')")
    page.ready()
    page.click("a.over-time")
    id_ = page.js("new URLSearchParams(location.hash.split('?')[1]).get('id')")
    times = frame.filter(pl.col("question_id") == id_)["step"].unique().sort().to_list()
    assert (
        page.js("[...document.querySelectorAll('section.time')].map(s => +s.dataset.step)") == times and len(times) > 1
    )
    page.back()
    assert page.js("!!document.querySelector('.group')") and page.js("!!document.querySelector('.chart canvas')")


def test_verifier_shows_how_it_read_and_makes_a_row(
    page: Any, at: Callable[[str], str], stored: Path, tmp_path: Path
) -> None:
    page.open(at("/verifier"))
    places = [
        "base.base.0",
        *(f"{a}.{p}" for a in ("polya", "unguided", "one-heuristic") for p in ("before-rl", "after-rl")),
        "rl-only.after-rl",
    ]
    every = pl.concat(
        [
            samples(stored, "base", layout.BASE, seeds=(0,)),
            *(samples(stored, *place.split(".")) for place in places[1:]),
        ]
    )
    assert page.text("[data-kind=longest] b") == str(every.height)
    assert page.text("[data-kind=wrong] b") == str((every["judgement"] == "wrong").sum())
    guessed = every["reason"].str.contains(r":(number|bare|math)$")
    assert page.text("[data-kind=guessed] b") == str(guessed.sum()) != "0"
    page.click("[data-kind=longest]")
    longest = page.texts(".sample footer")[0]
    assert longest.startswith(f"{every['completion_tokens'].max()} tokens")
    page.click("a[rel=next]")
    assert "page=2" in page.hash and "page 2" in page.text(".pager")
    page.click("[data-kind=guessed]")
    page.click("button.how")
    assert any(
        "a guess" in line for line in page.wait("[...document.querySelectorAll('.reading li')].map(l => l.textContent)")
    )
    page.click("button.bug")
    row = json.loads(page.text("pre.row"))
    (tmp_path / "bug.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "midway", "verify", tmp_path / "bug.jsonl"], capture_output=True, text=True, check=True
    )
    again = json.loads(done.stdout)
    assert {k: again[k] for k in ("verdict", "extracted", "reason")} == {
        k: row[k] for k in ("verdict", "extracted", "reason")
    }
    page.pick("look at", "pool:guided")
    verdicts = pl.read_parquet(stored / "pools/guided/verdicts/*.parquet")
    assert page.text("[data-kind=wrong] b") == str((verdicts["judgement"] == "wrong").sum())
    page.pick("look at", "rollouts:polya")
    assert page.text("[data-kind=cut-off] b") == "12"


def test_heuristics_reach_and_overlap(page: Any, at: Callable[[str], str], stored: Path) -> None:
    page.open(at("/heuristics"))
    pool = pl.read_parquet(stored / "pools/guided/completions/*.parquet").join(
        pl.read_parquet(stored / "pools/guided/verdicts/*.parquet"), on="id"
    )
    solved = pool.filter(pl.col("judgement") == "correct").group_by("question_id").agg(pl.col("heuristic").unique())
    for slug in pool["heuristic"].unique():
        with_it = solved.filter(pl.col("heuristic").list.contains(slug))
        assert page.text(f"tr[data-heuristic={slug}] .solved") == str(with_it.height)
        assert page.text(f"tr[data-heuristic={slug}] .only") == str((with_it["heuristic"].list.len() == 1).sum())
    label = samples(stored, "polya", layout.AFTER_RL)
    used = label["ways"].list.contains("decomposing-and-recombining").sum() / label.height
    shown = page.text("section[data-arm=polya] tr[data-way=decomposing-and-recombining] td:nth-child(3)")
    assert near(shown, used)
    count = page.text("tr[data-heuristic=working-backward] .only")
    page.click("tr[data-heuristic=working-backward] .only")
    assert page.js("document.querySelectorAll('tr[data-id]').length") == int(count) > 0
    page.back()
    page.click("tr[data-heuristic=working-backward] a.examples")
    assert page.js("document.querySelectorAll('.examples-of .sample').length") == 3


@pytest.mark.parametrize("width", [400, 1400])
def test_no_screen_is_wider_than_the_window(page: Any, at: Callable[[str], str], width: int) -> None:
    page.size(width)
    for screen in SCREENS:
        page.open(at(screen))
        assert page.overflow() == 0, screen


def test_a_link_to_nothing_says_what_there_is(page: Any, at: Callable[[str], str]) -> None:
    page.call("Page.navigate", url=at("/questions?arm=poly"))
    assert "did you mean polya" in page.wait("(document.querySelector('[role=alert]') || {}).textContent").lower()
    assert page.problems and all("400" in problem for problem in page.problems)
    page.problems.clear()


def test_what_a_run_does_not_have_is_no_error(page: Any, server: ViewServer, stored: Path) -> None:
    folder = stored / layout.rl("polya", 0) / "rollouts"
    hidden = folder.rename(folder.with_name("elsewhere"))
    try:
        page.open(f"{server.url}#/run/small/rollouts")
        assert "keeps no rollouts" in page.text("[role=alert]")
    finally:
        hidden.rename(folder)
