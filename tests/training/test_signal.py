"""RL questions that the base model always or never solves are left out, for all arms alike. Groups without signal are expected."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rl_runs import lab_recipe

import midway
from midway.checks import Subject, signal
from midway.evidence.signal import no_signal, no_signal_of_counts
from midway.recipe import FilterConfig, Recipe, RecipeError, loads_recipe
from midway.results import Run
from midway.rundir import COMPLETIONS, RunError, layout, read_json, read_table
from midway.rundir.layout import Layout
from midway.stages.filter import chosen
from midway.workbench import RL, Workbench

POOL = {"unguided": {"samples": 8, "sampling": {"max_tokens": 40}}}
NARROW = {"min": 0.1, "max": 0.9, "samples": 8}


def filtered(rl_filter: dict[str, float] | None, **sections: object) -> Recipe:
    questions = {"train": [{"source": "lab", "split": "train", "limit": 40, "options": {"families": ["single"]}}]}
    arms = {"one": [], "two": {"rl_args": {"learning_rate": 1e-4}}}
    return lab_recipe(arms, questions={**questions, "rl_filter": rl_filter}, rl={"max_steps": 2}, **sections)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return midway.run(filtered(NARROW, pools=POOL), out=tmp_path_factory.mktemp("filter") / "run")


def table(run: Run) -> pl.DataFrame:
    return pl.read_parquet(run.files.filtered())


def test_a_pools_verdicts_choose_the_same_questions_for_all_arms(run: Run) -> None:
    frame, verdicts = table(run), run.completions("unguided")
    assert frame.height == 40 and (frame["judged"] == 8).all()
    rates = verdicts.group_by("question_id").agg((pl.col("judgement") == "correct").mean())
    kept = set(rates.filter(pl.col("judgement").is_between(0.1, 0.9))["question_id"])
    assert 0 < len(kept) < 40 and set(frame.filter("kept")["question_id"]) == kept
    for arm in ("one", "two"):
        assert set(pl.read_parquet(run.files.stage(layout.rl(arm, 0)) / "rows.parquet")["question_id"]) == kept
        assert set(run.rollouts(arm)["question_id"]) <= kept
    result = read_json(run.files.manifest(layout.RL_FILTER))["result"]
    assert result["kept"] == len(kept) and result["questions"] == 40
    assert result["kept"] + result["too_hard"] + result["too_easy"] == 40
    assert not (run.files.stage(layout.RL_FILTER) / "completions").exists(), "nothing was drawn for it"
    (note,) = {arm.rl_note for arm in run.results.arms if arm.rl}
    assert note == "questions that the base model solves in 0.1 to 0.9 of samples"


def test_samples_are_drawn_where_no_pool_has_enough(tmp_path: Path) -> None:
    recipe = filtered({**NARROW, "samples": 4})
    found = midway.run(recipe, out=tmp_path / "run", until="filter")
    drawn = read_table(found.files.stage(layout.RL_FILTER) / "completions", COMPLETIONS)
    assert drawn.height == 160 and set(table(found)["judged"]) == {4}
    few = midway.run(filtered(NARROW, pools={"unguided": {"samples": 2}}), out=tmp_path / "few", until="filter")
    assert set(table(few)["judged"]) == {8}, "a pool of two samples is not enough for eight"


def test_it_is_part_of_rls_identity_only_when_it_is_set(tmp_path: Path, run: Run) -> None:
    from midway.plan import make_plan

    def digests(recipe: Recipe) -> dict[str, str]:
        plan = make_plan(recipe, Workbench(recipe, Layout(tmp_path)))
        return {rel: stage.digest for rel, stage in plan.stages.items()}

    plain, narrow = digests(filtered(None, pools=POOL)), digests(filtered(NARROW, pools=POOL))
    wide = digests(filtered({**NARROW, "max": 1.0}, pools=POOL))
    assert layout.RL_FILTER not in plain and layout.RL_FILTER in narrow
    rl = layout.rl("one", 0)
    assert len({plain[rl], narrow[rl], wide[rl]}) == 3
    assert {rel for rel in plain if plain[rel] != narrow[rel]} == {rl, layout.rl("two", 0)}


def test_when_none_is_left_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"of 40 RL questions none is solved in 0.5 to 0.5 of the base model's samples \(\d+ in fewer"
    ):
        midway.run(filtered({"min": 0.5, "max": 0.5, "samples": 1}), out=tmp_path / "run", until="filter")
    with pytest.raises(RecipeError, match=r"min 0.9 is above max 0.1"):
        loads_recipe({"questions": {"rl_filter": {"min": 0.9, "max": 0.1}}})


def test_what_was_not_judged_stays(run: Run) -> None:
    questions = Workbench(run.recipe, run.files).questions.get(RL)[:4]
    counts = pl.DataFrame(
        {"question_id": [q.id for q in questions[:3]], "judged": [8, 8, 8], "correct": [0, 4, 8]},
        schema_overrides={"judged": pl.Int32, "correct": pl.Int32},
    )
    assert chosen(questions, counts, FilterConfig())["kept"].to_list() == [False, True, False, True]


@pytest.mark.parametrize(("n", "c", "group"), [(8, 3, 4), (8, 0, 8), (8, 8, 2), (5, 4, 5), (6, 3, 4)])
def test_the_estimate_is_the_share_of_subsets(n: int, c: int, group: int) -> None:
    samples = [1] * c + [0] * (n - c)
    alike = [len(set(subset)) == 1 for subset in itertools.combinations(samples, group)]
    assert no_signal_of_counts([n], [c], group)[0] == pytest.approx(sum(alike) / len(alike))


def test_the_estimate_is_unbiased_and_says_what_it_cannot_know() -> None:
    p, n, group = 0.3, 10, 4
    counts = np.arange(n + 1)
    weights = np.array([math.comb(n, c) for c in counts]) * p**counts
    weights = weights * (1 - p) ** (n - counts)
    mean = float((weights * no_signal_of_counts(np.full(n + 1, n), counts, group)).sum())
    assert mean == pytest.approx(no_signal(p, group)) == pytest.approx(0.3**4 + 0.7**4)
    assert np.isnan(no_signal_of_counts([3], [1], 4)[0])


def test_the_check_expects_it(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def said(recipe: Recipe) -> list[str]:
        return [finding.text for finding in signal.run(Subject(recipe, Workbench(recipe, Layout(tmp_path / "x"))))]

    (before,) = said(run.recipe)
    assert "66% of draws where the model solves 5%" in before and "not known yet" in before
    Path("runs").mkdir()
    Path("runs/rl").symlink_to(run.path)
    every, left = said(run.recipe)
    frame = table(run)
    shares = no_signal_of_counts(frame["judged"].to_numpy(), frame["correct"].to_numpy(), 8)
    assert f"signal: {shares.mean():.0%} of groups of 8 are expected to have none" in every
    assert f"signal: {shares[frame['kept'].to_numpy()].mean():.0%} of groups" in left and "leaves" in left
    (no_rl,) = [said(lab_recipe({"data": {"rl": False}}))]
    assert no_rl == []
