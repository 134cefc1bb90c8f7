"""The five questions of docs/view.md, each answered from the run's first screen in at most six clicks; and the static copy, from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from midway.rundir import RunError, layout
from midway.rundir.layout import Layout
from midway.view import ViewServer, write_bundle
from midway.view.reading import asked, readings
from midway.view.viewed import Runs, Viewed

MOST = 6


class Walk:
    """Clicks from the overview on, counted."""

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.clicks = page.open(url), 0

    def click(self, selector: str) -> Walk:
        self.clicks += 1
        assert self.clicks <= MOST
        self.page.click(selector)
        return self


@pytest.fixture
def walk(page: Any, server: ViewServer) -> Callable[[], Walk]:
    return lambda: Walk(page, f"{server.url}#/run/small")


def rates(path: Path, arm: str, phase: str, benchmark: str = "single") -> dict[str, float]:
    """Return each question's share of right samples, read here from the files."""
    files = Layout(path)
    rels = [layout.evaluation(arm, seed, benchmark, phase) for seed in (0, 1)]
    frame = pl.concat([pl.read_parquet(files.evaluated(rel)) for rel in rels])
    return dict(frame.group_by("question_id").agg((pl.col("judgement") == "correct").mean()).iter_rows())


def shown(page: Any) -> list[str]:
    return list(page.js("[...document.querySelectorAll('tr[data-id]')].map(r => r.dataset.id)"))


def test_show_me_a_question_that_rl_broke(walk: Callable[[], Walk], stored: Path) -> None:
    found = walk().click("a[data-screen=questions]").click("[data-filter=lost]")  # solved before RL, and never after it
    before, after = rates(stored, "polya", layout.BEFORE_RL), rates(stored, "polya", layout.AFTER_RL)
    assert sorted(shown(found.page)) == sorted(q for q in before if before[q] > 0 and after[q] == 0) != []
    found.click("tr[data-id] a.open")
    texts = found.page.texts("[data-side=left] .score b") + found.page.texts("[data-side=right] .score b")
    assert texts[-1] == "0" and "before RL" in found.page.text("[data-side=left] option:checked")
    assert found.clicks == 3


def test_which_heuristic_solves_what_no_other_does(walk: Callable[[], Walk], stored: Path) -> None:
    found = walk().click("a[data-screen=heuristics]")
    counts = {
        slug: int(found.page.text(f"tr[data-heuristic={slug}] .only"))
        for slug in found.page.js(
            "[...document.querySelectorAll('table.reach tr[data-heuristic]')].map(r => r.dataset.heuristic)"
        )
    }
    most = max(counts, key=lambda slug: counts[slug])
    found.click(f"tr[data-heuristic={most}] .only")
    assert len(shown(found.page)) == counts[most] > 0
    found.click("tr[data-id] a.open")
    right = found.page.texts("section.heuristic:has(.judged.correct) h2")
    assert len(right) == 1 and found.clicks == 3


def test_is_the_verifier_wrong_anywhere(walk: Callable[[], Walk]) -> None:
    found = walk().click("a[data-screen=verifier]").click("[data-kind=agreed]")
    assert "judged samples give this answer" in found.page.text("a.same")
    found.click("button.how")
    lines = found.page.wait("[...document.querySelectorAll('.reading li')].map(l => l.textContent)")
    assert lines[0].startswith("gold:") and any("not equal" in line or "undecided" in line for line in lines)
    found.click("button.bug")
    assert found.page.text("pre.row").startswith("{") and found.clicks == 4


def test_what_did_rl_stop_doing(walk: Callable[[], Walk], stored: Path) -> None:
    found = walk().click("a[data-screen=heuristics]")
    changes = found.page.texts("section[data-arm=polya] td.diff")
    numbers = [float(c.replace("−", "-")) for c in changes]
    assert numbers == sorted(numbers) and numbers[0] < 0  # what fell most comes first
    way = found.page.js("document.querySelector('section[data-arm=polya] tr[data-way]').dataset.way")
    found.click("section[data-arm=polya] a.gone")
    assert f"way={way}" in found.page.hash and shown(found.page)
    found.click("tr[data-id] a.open")
    files, id_ = Layout(stored), found.page.js("new URLSearchParams(location.hash.split('?')[1]).get('id')")
    uses = [
        pl.concat([pl.read_parquet(files.evaluated(layout.evaluation("polya", s, "single", phase))) for s in (0, 1)])
        .filter((pl.col("question_id") == id_) & pl.col("ways").list.contains(way))
        .height
        for phase in (layout.BEFORE_RL, layout.AFTER_RL)
    ]
    assert uses[0] > 0 == uses[1] and found.clicks == 3


def test_what_would_i_train_on(walk: Callable[[], Walk], stored: Path) -> None:
    found = walk().click("a[data-screen=solutions]").click("tr[data-id] a.open")
    id_ = found.page.js("new URLSearchParams(location.hash.split('?')[1]).get('id')")
    kept = pl.read_parquet(Layout(stored).solutions("polya", 0)).filter(pl.col("question_id") == id_)
    assert sorted(found.page.texts("[data-fate=kept] .text")) == sorted(kept["text"]) != []
    found.click("details.trained summary")
    rows = pl.read_parquet(stored / layout.midtrain("polya", 0) / "rows.parquet").filter(pl.col("question_id") == id_)
    prompt = rows["prompt"][0]
    assert found.page.text("details.trained .text") == (prompt if isinstance(prompt, str) else prompt[0]["content"])
    found.click("button.prompt")
    assert "Exactly what the model saw" in found.page.wait("(document.querySelector('.exact') || {}).textContent")
    assert found.clicks == 4


def test_a_text_that_cannot_be_read_keeps_no_other_from_being_read(stored: Path) -> None:
    found = Viewed(stored).question("single", next(iter(rates_of_base(stored))))
    sound = asked(found, {"text": "#### 5"})
    broken = {**sound, "question": {**sound["question"], "domain": "no such domain"}}
    lines = readings([sound, broken, sound])
    assert lines[0] == lines[2] and lines[0][0].startswith("gold:")
    assert len(lines[1]) == 1 and lines[1][0].startswith("reading this text failed") and "no such domain" in lines[1][0]
    assert readings([sound], seconds=-0.999) == [
        ["reading this text takes longer than -0.999 s: that is worth a bug report"]
    ]


def test_a_copy_opens_from_a_file(browser: Any, stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    assert write_bundle(Runs([stored]), out, 5, {"filter": "never-base"}) < 3_000_000
    held = "".join(file.read_text(encoding="ascii") for file in (out / "data").glob("*.js"))
    assert str(stored.parent) not in held
    page = browser.size(1400)
    page.problems.clear()
    page.requests.clear()
    page.open((out / "index.html").as_uri() + "#/run/small")
    assert "static copy" in page.text("header")
    page.click("a[data-screen=questions]")
    ids = shown(page)
    base = rates_of_base(stored)
    assert len(ids) == 5 and all(base[id_] == 0 for id_ in ids)
    page.click("tr[data-id] a.open")
    texts = page.texts("[data-side=right] .text")
    page.key("f")
    assert page.texts("[data-side=left] .text") == texts != []
    page.key("n")
    assert f"id={ids[1]}" in page.hash
    page.back()
    page.pick("right", "rl-only.after-rl.0")
    for screen in ("heuristics", "verifier", "rollouts", "solutions"):
        page.click(f"a[data-screen={screen}]")
        assert page.overflow() == 0
    page.click("tr[data-id] a.open").click("button.prompt")
    assert "Exactly what the model saw" in page.wait("(document.querySelector('.exact') || {}).textContent")
    page.click("a[data-screen=verifier]").click("[data-kind=wrong]").click("button.how")
    lines = page.wait("[...document.querySelectorAll('.reading li')].map(l => l.textContent)")
    assert lines[0].startswith("gold:") and any("not equal" in line or "undecided" in line for line in lines)
    assert page.problems == [] and all(url.startswith(("file:", "data:")) for url in page.requests)
    with pytest.raises(RunError, match="give another directory"):
        write_bundle(Runs([stored]), stored)


def rates_of_base(path: Path) -> dict[str, float]:
    frame = pl.read_parquet(Layout(path).evaluated(layout.base_evaluation("single")))
    return dict(frame.group_by("question_id").agg((pl.col("judgement") == "correct").mean()).iter_rows())
