"""The forecast of a recipe: made before training, stored once, marked where it comes too late; `midway probe` of a recipe and the lab."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midway.forecast import Budget, budget_of, forecast_record, lines
from midway.forecast.features import features, groups_with_signal
from midway.plan import make_plan
from midway.recipe import ForecastConfig, RecipeError, load_recipe, loads_recipe
from midway.rundir import RunDir, layout, read_json
from midway.rundir.layout import Layout
from midway.stages.forecast import drawn
from midway.theory.probe import Probe
from midway.workbench import RL, Workbench

Here = Callable[..., Any]
SMALL = "forecast={questions: 10, unguided: 3, guided: 1}"
TWO = "pools.guided.heuristics=[working-backward, auxiliary-elements]"


def stages(overrides: list[str], folder: Path) -> Any:
    recipe = load_recipe("demo", overrides)
    return make_plan(recipe, Workbench(recipe, Layout(folder)))


def test_a_forecast_comes_before_any_training_and_changes_no_digest_of_it(tmp_path: Path) -> None:
    without, asked = stages([], tmp_path), stages(["forecast=true"], tmp_path)
    assert layout.PROBE not in without.stages and layout.PROBE in asked.stages
    assert {rel: s.digest for rel, s in asked.stages.items() if rel != layout.PROBE} == {
        rel: s.digest for rel, s in without.stages.items()
    }
    order = list(asked.stages)
    assert all(order.index(layout.PROBE) < n for n, rel in enumerate(order) if rel.endswith(("/midtrain", "/rl")))
    for part in ({"arm": "polya"}, {"arm": "rl-only"}, {"until": "rl"}, {"until": "forecast"}):
        assert layout.PROBE in {s.rel for s in asked.chosen(**part)}
    assert layout.PROBE not in {s.rel for s in asked.chosen(until="verify")}
    assert layout.PROBE in {s.rel for s in asked.chosen(arm="polya", until="forecast")}
    stage = asked.stages[layout.PROBE]
    assert stage.budgets == {"rl-only": Budget(steps=40), "polya": Budget(steps=40, midtrained=True)}
    other = stages(["forecast=true", "arms.polya.rl_args={max_steps: 20}"], tmp_path).stages[layout.PROBE]
    assert other.budgets["polya"].steps == 20 and other.digest != stage.digest


def test_a_recipe_asks_for_it_in_one_word_and_only_where_there_is_something_to_forecast() -> None:
    assert load_recipe("demo", ["forecast=true"]).forecast == ForecastConfig()
    assert load_recipe("demo", ["forecast=false"]).forecast is None
    with pytest.raises(RecipeError, match="forecast: name a `treatment`"):
        loads_recipe({"forecast": True})
    with pytest.raises(RecipeError, match="unguided"):
        load_recipe("demo", ["forecast={unguided: 1}"])


def test_the_budget_is_that_of_the_trainers_arguments() -> None:
    assert budget_of({"max_steps": 7, "num_generations": 4, "learning_rate": 1e-5}, 100).steps == 7
    by_epochs = budget_of(
        {"per_device_train_batch_size": 16, "gradient_accumulation_steps": 2, "num_train_epochs": 1}, 100
    )
    assert (by_epochs.completions, by_epochs.group, by_epochs.steps) == (32, 8, 25)


def test_probe_of_a_recipe_is_stored_before_training_and_never_made_anew(here: Here, tmp_path: Path) -> None:
    run = tmp_path / "run"
    numbers = ("--limit", "10", "--samples", "3", "--guided", "1", "--set", TWO, "--out", run)
    first = here("probe", "demo", *numbers)
    assert "10 questions, 50 samples" in first.stderr and "expected lead" in first.stdout
    file = Layout(run).forecast()
    record = read_json(file)
    assert record["pre_registered"] and record["trained_before"] == [] and record["made_at"]
    assert set(record["arms"]) == {"rl-only", "polya"} and record["arms"]["polya"]["midtrained"]
    for span in (*record["arms"].values(), {**record["lead"], "gain": record["lead"]["value"]}):
        assert span["low"] <= span["gain"] <= span["high"]
    assert record["text"] in first.stdout and record["features"]["questions"] == 10
    counts = Probe.from_dict(read_json(Layout(run).probe_counts()))
    assert counts.judged_Q.sum() == 30 and counts.asked_QW.sum() == 20 and counts.labelled
    manifest = read_json(Layout(run).manifest(layout.PROBE))
    assert manifest["state"] == "complete" and manifest["result"]["pre_registered"]

    again = here("probe", "demo", *numbers, "--json")
    assert json.loads(again.stdout)["forecast"] == record, "what is complete is not made anew"

    other = here("probe", "demo", *numbers, "--samples", "4", check=False)
    assert other.returncode == 2 and "made with another recipe" in other.stderr

    # training begins, and somebody wants another forecast
    stages([SMALL, TWO], run).stages[layout.midtrain("polya", 0)].folder(RunDir(run)).begin({})
    rows, verdicts = (sorted((run / layout.PROBE / part).glob("*.parquet")) for part in ("completions", "verdicts"))
    here("run", "demo", SMALL, TWO, "--until", "forecast", "--clean", "forecast", "--out", run)
    assert rows and set(rows) <= set((run / layout.PROBE / "completions").glob("*.parquet")), "samples are kept"
    assert not set(verdicts) & set((run / layout.PROBE / "verdicts").glob("*.parquet")), "and judged anew"
    late = here("probe", "demo", "--set", SMALL, "--set", TWO, "--out", run)
    record = read_json(file)
    assert not record["pre_registered"] and record["trained_before"] == [layout.midtrain("polya", 0)]
    assert "it is no forecast" in late.stdout


def test_probe_says_which_options_are_for_a_model_alone(here: Here, tmp_path: Path) -> None:
    done = here("probe", "demo", "--temperature", "1", "--out", tmp_path / "run", check=False)
    assert done.returncode == 2 and "a recipe has its own" in done.stderr


@pytest.mark.slow
def test_probe_of_the_lab_asks_its_own_questions(here: Here, tmp_path: Path) -> None:
    found = json.loads(here("probe", "lab", "--limit", "16", "--out", tmp_path / "probe", "--json").stdout)
    told = found["forecast"]
    assert told["features"]["follows"]["value"] > 0.8, "the shipped model does what it is asked"
    assert told["features"]["ways_asked"]["value"] > told["features"]["ways_unasked"]["value"]
    assert set(told["arms"]) == {"RL only", "several ways, then RL"}
    assert {row["way"] for row in found["rows"]} >= {"unguided", "working-backward", "all heuristics"}


def test_questions_are_drawn_at_random_and_the_same_each_time(tmp_path: Path) -> None:
    recipe = load_recipe("demo")
    questions = Workbench(recipe, Layout(tmp_path)).questions.get(RL)
    assert drawn(questions, 20) == drawn(list(reversed(questions)), 20) != questions[:20]


def counts(**changed: Any) -> Probe:
    given: dict[str, Any] = {
        "ways": ("a", "b"),
        "labelled": True,
        "judged_Q": [4, 4, 4, 4],
        "right_Q": [0, 0, 4, 2],
        "shown_QW": [[0, 0], [0, 0], [2, 0], [0, 1]],
        "shown_right_QW": [[0, 0], [0, 0], [2, 0], [0, 1]],
        "asked_QW": [[2, 2]] * 4,
        "solved_QW": [[2, 2], [0, 0], [0, 0], [2, 2]],
        "followed_QW": [[2, 2], [2, 0], [2, 2], [2, 2]],
        "followed_right_QW": [[2, 2], [0, 0], [0, 0], [2, 2]],
    }
    return Probe(**{k: np.array(v, float) if k.endswith(("Q", "QW")) else v for k, v in {**given, **changed}.items()})


def test_features_are_what_the_counts_say() -> None:
    found = features(counts(), 4)
    assert (found.pass_at_1.value, found.pass_at_k.value, found.samples) == (6 / 16, 0.5, 4)
    assert found.guided.value == 0.5 and (found.reach_k, found.guided_samples) == (4, 4)
    assert found.hidden_reach.value == 0.25, "the first question: guided samples solve it, unguided ones never"
    assert found.net_reach.value == 0 and found.net_reach.low < 0 < found.net_reach.high, "and they miss the third"
    assert found.signal.value == 0.25, "the last question: all subsets of 4 are mixed"
    assert found.ways_unasked is not None and found.ways_unasked.value == pytest.approx(
        np.exp(-2 / 3 * np.log(2 / 3) - 1 / 3 * np.log(1 / 3))
    )
    assert found.shown_unasked is not None and found.shown_unasked.value == 3 / 16
    assert found.ways_asked is not None and found.ways_asked.value == pytest.approx(2.0)
    assert found.follows is not None and found.follows.value == 14 / 16


def test_what_cannot_be_told_is_said(tmp_path: Path) -> None:
    none = np.zeros((4, 2))
    blind = counts(labelled=False, shown_QW=none, shown_right_QW=none, followed_QW=none, followed_right_QW=none)
    record = forecast_record(blind, {"alone": Budget(steps=5), "both": Budget(steps=5, midtrained=True)})
    assert record["features"]["follows"] is None and "cannot be told" in record["text"]
    assert any("cannot be told" in line for line in lines(record))
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    with pytest.raises(ValueError, match="two arms"):
        forecast_record(blind, {"alone": Budget(steps=5)})


@pytest.mark.parametrize(
    ("right_Q", "solved_QW", "told"),
    [
        ([4, 3, 4, 0], np.zeros((4, 2)), "75 % the other way round. So unguided samples reach more questions."),
        ([0, 0, 0, 4], np.full((4, 2), 2.0), " 0 % the other way round. So guided samples reach more questions."),
        (
            [0, 0, 2, 1],
            counts().solved_QW,
            "25 % the other way round. Which of the two reaches more questions is not shown.",
        ),
    ],
)
def test_which_reaches_more_is_said(right_Q: list[int], solved_QW: np.ndarray, told: str) -> None:
    budgets = {"alone": Budget(steps=5), "both": Budget(steps=5, midtrained=True)}
    none = np.zeros((4, 2))
    seen = {"shown_QW": none, "shown_right_QW": none, "followed_right_QW": none}
    probe = counts(right_Q=right_Q, solved_QW=solved_QW, **seen).take(np.arange(20) % 4)
    record = forecast_record(probe, budgets)
    assert told in record["text"]
    net = [line for line in lines(record) if line.startswith("net reach")]
    del record["features"]["net_reach"]
    assert len(net) == 1 and not any(line.startswith("net reach") for line in lines(record)), "older records are read"


@pytest.mark.parametrize(("n", "c", "group"), [(8, 0, 16), (8, 3, 16), (4, 4, 8)])
def test_groups_larger_than_the_samples_are_averaged_over_the_rate(n: int, c: int, group: int) -> None:
    p = np.random.default_rng(0).beta(c + 0.5, n - c + 0.5, size=400_000)
    simulated = (1 - p**group - (1 - p) ** group).mean()
    assert groups_with_signal(np.array([float(n)]), np.array([float(c)]), group)[0] == pytest.approx(
        simulated, abs=3e-3
    )
    many = groups_with_signal(np.array([16e6, 1.0]), np.array([4e6, 0.0]), group)[0]
    assert many == pytest.approx(1 - 0.25**group - 0.75**group, abs=1e-4), "what a known rate gives"
