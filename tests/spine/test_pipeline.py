"""The whole path, from questions to a report, with the real command line in real processes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from midway.recipe.load import FIXTURES
from midway.rundir import COMPLETIONS, VERDICTS, read_json, read_table

Midway = Callable[..., subprocess.CompletedProcess[str]]
Here = Callable[..., Any]
LayOut = Callable[..., Path]


def ids(run: Path) -> dict[str, list[str]]:
    """Every stored completion id, by the stage that holds it."""
    found = {}
    for stage in sorted(run.rglob("stage.json")):
        manifest = read_json(stage)
        folder = stage.parent / ("completions" if manifest["stage"] == "evaluate" else "")
        if manifest["stage"] in ("generate", "evaluate"):
            rows = [
                i for f in folder.glob("*.parquet") if f.name != "results.parquet" for i in pl.read_parquet(f)["id"]
            ]
            found[stage.parent.relative_to(run).as_posix()] = sorted(rows)
    return found


def snapshot(run: Path) -> dict[str, float]:
    return {
        p.relative_to(run).as_posix(): p.stat().st_mtime_ns
        for p in run.rglob("*")
        if p.is_file() and p.name != "log.jsonl"
    }


SELDOM = [pytest.param(family, marks=pytest.mark.slow) for family in ("qwen2", "gemma")]


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2", *SELDOM])
def test_every_architecture_goes_the_whole_way(family: str, lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    recipe = lay_out(family, arms={"rl-only": [], "polya": [{"pool": "guided", "strategy": "wrong-but-diverse"}]})
    done = here("run", recipe, "--out", tmp_path / "run")
    results = read_json(tmp_path / "run/report/results.json")
    assert results, done.stderr
    for arm in ("rl-only", "polya"):
        model = tmp_path / f"run/arms/{arm}/seed-0/rl/model"
        assert (model / "model.safetensors").exists() and (model / "tokenizer.json").exists()
    rows = pl.read_parquet(tmp_path / "run/arms/polya/seed-0/evaluations/test/after-rl/results.parquet")
    assert rows.height == 4 * 2
    assert set(rows["judgement"]) <= {"correct", "wrong", "unjudged"}
    steps = [
        json.loads(line)["step"]
        for line in (tmp_path / "run/arms/polya/seed-0/rl/metrics.jsonl").read_text().splitlines()
    ]
    assert sorted(set(steps)) == [1, 2, 3]


def test_again_skips_refuses_and_cleans(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    recipe, run = lay_out(), tmp_path / "run"
    here("run", recipe, "--out", run)
    before = snapshot(run)
    again = here("run", recipe, "--out", run)
    assert "everything is complete" in again.stdout
    assert snapshot(run) == before

    refused = here("run", recipe, "pools.guided.samples=4", "--out", run, check=False)
    assert refused.returncode == 2
    assert "pool.samples: 2 -> 4" in refused.stderr
    for way in ("name=NEW", "--clean pools/guided/completions", "leave the change out"):
        assert way in refused.stderr
    assert snapshot(run) == before

    held = ids(run)["pools/guided/completions"]
    here("run", run, "--until", "generate")  # nothing to do
    more = here("run", recipe, "pools.guided.samples=4", "--out", run, "--clean", "pools/guided/completions")
    grown = ids(run)["pools/guided/completions"]
    assert set(held) < set(grown) and len(grown) == 2 * len(held), more.stderr
    assert f"{len(held)} were there already, {len(held)} are new" in more.stderr

    rl = pl.read_parquet(run / "arms/unguided/seed-0/selection/solutions.parquet").height
    assert rl == pl.read_parquet(run / "arms/polya/seed-0/selection/solutions.parquet").height, (
        "controls are matched to the treatment"
    )
    steps = {
        read_json(run / f"arms/{arm}/seed-0/midtrain/stage.json")["result"]["steps"]
        for arm in ("polya", "unguided", "reference")
    }
    assert len(steps) == 1

    other = here(
        "run",
        recipe,
        "pools.guided.samples=1",
        "arms.unguided=null",
        "arms.reference=null",
        "--out",
        tmp_path / "other",
    )
    assert "everything is complete" not in other.stdout


@pytest.mark.slow
def test_killed_at_random_moments_and_gone_on(lay_out: LayOut, midway: Midway, tmp_path: Path) -> None:
    recipe = lay_out(arms={"polya": [{"pool": "guided", "strategy": "wrong-but-diverse"}]})
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    midway("run", recipe, "--out", calm)
    kinds = ["generate", "midtrain", "rl", "evaluate"]
    chance = random.Random(7)
    for kind in kinds:
        kill_during(kind, recipe, rough, chance.uniform(0.0, 0.4))
    midway("run", recipe, "--out", rough)
    assert ids(rough) == ids(calm)
    for rows in ids(rough).values():
        assert len(rows) == len(set(rows))
    assert not list(rough.rglob("*.tmp"))
    attempts = {
        rel: read_json(rough / rel / "stage.json")["attempts"]
        for rel in ("arms/polya/seed-0/midtrain", "arms/polya/seed-0/rl")
    }
    assert max(attempts.values()) >= 2, attempts


def kill_during(kind: str, recipe: Path, run: Path, wait: float) -> None:
    """Start the run, wait until a stage of `kind` begins, a little longer, then SIGKILL."""
    log = run / "log.jsonl"
    seen = log.read_text().count("\n") if log.exists() else 0
    with subprocess.Popen(
        [sys.executable, "-m", "midway", "run", str(recipe), "--out", str(run)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        while process.poll() is None:
            lines = log.read_text().splitlines()[seen:] if log.exists() else []
            began = [json.loads(line)["stage"] for line in lines if '"begin"' in line]
            if any(STAGE_OF[kind] in rel for rel in began):
                time.sleep(wait)
                break
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)


STAGE_OF = {"generate": "/completions", "midtrain": "/midtrain", "rl": "/rl", "evaluate": "/evaluations/"}


def test_rl_goes_on_from_its_last_checkpoint(lay_out: LayOut, midway: Midway, tmp_path: Path) -> None:
    recipe, run = lay_out(arms={"rl-only": []}, pools={}, treatment=None), tmp_path / "run"
    args = ["rl.max_steps=12", "--out", str(run)]
    with subprocess.Popen(
        [sys.executable, "-m", "midway", "run", str(recipe), *args],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while not list(run.glob("arms/rl-only/seed-0/rl/checkpoints/checkpoint-*/midway-complete")):
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    midway("run", recipe, *args)
    manifest = read_json(run / "arms/rl-only/seed-0/rl/stage.json")
    assert manifest["result"]["resumed_from"] >= 1
    assert manifest["result"]["steps"] == 12
    steps = [
        json.loads(line)["step"] for line in (run / "arms/rl-only/seed-0/rl/metrics.jsonl").read_text().splitlines()
    ]
    assert [s for s in steps if steps.count(s) > 2] == []
    assert set(steps) == set(range(1, 13))


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(lay_out: LayOut, midway: Midway, tmp_path: Path) -> None:
    recipe, run = lay_out(arms={"rl-only": []}, pools={}, treatment=None), tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-m", "midway", "run", str(recipe), "rl.max_steps=500", "--out", str(run)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        while not list(run.glob("arms/rl-only/seed-0/rl/metrics.jsonl")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Go on with: midway run" in err
    assert read_json(run / "arms/rl-only/seed-0/rl/stage.json")["state"] == "interrupted"
    assert list(run.glob("arms/rl-only/seed-0/rl/checkpoints/checkpoint-*/midway-complete"))


def test_a_failed_arm_does_not_stop_the_others(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    recipe = lay_out(
        arms={
            "rl-only": [],
            "bad": {"midtrain": [{"pool": "guided"}]},  # a random model is never right: nothing to select
            "reference": [{"strategy": "reference"}],
        },
        treatment="reference",
    )
    done = here("run", recipe, "--out", tmp_path / "run", check=False)
    assert done.returncode == 1
    assert "arm bad: no solution is left" in done.stderr
    assert "commonest reason" in done.stderr
    assert (tmp_path / "run/arms/reference/seed-0/rl/model/model.safetensors").exists()
    assert (tmp_path / "run/report/report.html").exists()


def test_two_runs_on_one_directory(lay_out: LayOut, midway: Midway, tmp_path: Path) -> None:
    recipe, run = lay_out(arms={"rl-only": []}, pools={}, treatment=None), tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-m", "midway", "run", str(recipe), "--out", str(run)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while not (run / "log.jsonl").exists():
            time.sleep(0.05)
        time.sleep(0.2)
        second = midway("run", recipe, "--out", run, check=False)
        process.kill()
    assert second.returncode == 2
    assert f"in use by process {process.pid}" in second.stderr


def test_without_tokenizer(lay_out: LayOut, here: Here, tmp_path: Path, checkpoint: Callable[[str], Path]) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(checkpoint("llama"), bare)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (bare / name).unlink(missing_ok=True)
    done = here("run", lay_out(model={"path": str(bare)}), "--out", tmp_path / "run", check=False)
    assert done.returncode == 2
    assert "tokenizer" in done.stderr and "save_pretrained" in done.stderr


def test_prompt_longer_than_the_context(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    recipe = lay_out(pools={"guided": {"heuristics": ["analogy"], "samples": 1, "sampling": {"max_tokens": 2000}}},
                     arms={"polya": [{"pool": "guided"}]})  # fmt: skip
    done = here("run", recipe, "--out", tmp_path / "run", check=False)
    assert done.returncode == 2
    assert "context" in done.stderr and "1024" in done.stderr
    assert "type the same command again" in done.stderr


def test_status_lists_stages(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    recipe = lay_out(arms={"polya": [{"pool": "guided", "strategy": "wrong-but-diverse"}]})
    here("run", recipe, "--out", tmp_path / "run")
    shown = here("status", tmp_path / "run").stdout
    assert shown.count("complete ") == len(list((tmp_path / "run").rglob("stage.json")))
    assert "tokens/s" in shown
    table = read_table(tmp_path / "run/pools/guided/completions", COMPLETIONS)
    assert table.height == 8 * 2 * 2
    told = {a["name"]: a for a in read_json(tmp_path / "run/report/results.json")["answers"]}
    pool = told["pool guided"]
    assert (pool["completions"], pool["failed"]) == (32, 0)
    for key in ("prompt_tokens", "completion_tokens", "cached_tokens"):
        assert pool[key] == table[key].sum()
    cut = table.filter(pl.col("finish") == "length")
    assert pool["cut"] == cut.height
    for heuristic, share in pool["by_heuristic"].items():
        assert share == pytest.approx(cut.filter(pl.col("heuristic") == heuristic).height / 16)
    assert {"evaluations of base", "evaluations of polya"} <= set(told)
    assert "What the engines did" in (tmp_path / "run/report/report.md").read_text()


def test_curves_during_rl_stand_beside_trls_own_metrics(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    recipe = lay_out(arms={"rl-only": []}, pools={}, treatment=None, curve={"every": 2, "questions": 2})
    here("run", recipe, "rl.max_steps=4", "--out", tmp_path / "run")
    rows = [
        json.loads(line) for line in (tmp_path / "run/arms/rl-only/seed-0/rl/metrics.jsonl").read_text().splitlines()
    ]
    assert [r["step"] for r in rows if "eval/test/pass@1" in r] == [0, 2, 4]
    assert [r["step"] for r in rows if "reward" in r and "train_runtime" not in r] == [1, 2, 3, 4]
    assert all(0 <= r["eval/test/pass@1"] <= 1 for r in rows if "eval/test/pass@1" in r)


@pytest.mark.slow
def test_training_in_processes_of_its_own(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    recipe = lay_out(arms={"reference": [{"strategy": "reference"}]}, pools={}, treatment=None, launch=[sys.executable])
    here("run", recipe, "--out", tmp_path / "run")
    for stage in ("midtrain", "rl"):
        folder = tmp_path / "run/arms/reference/seed-0" / stage
        assert (folder / "train.log").exists()
        assert read_json(folder / "stage.json")["result"]["steps"] == 3
        assert (folder / "model/model.safetensors").exists()


@pytest.mark.slow
def test_a_launched_training_that_fails_shows_its_last_words(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    recipe = lay_out(arms={"reference": [{"strategy": "reference"}]}, pools={}, treatment=None, launch=[sys.executable])
    done = here("run", recipe, "rl.epsilon=nonsense", "--out", tmp_path / "run", check=False)
    assert done.returncode == 1
    assert "train.log" in done.stderr and "nonsense" in done.stderr


def test_a_model_in_half_precision_stays_in_half_precision(
    lay_out: LayOut, here: Here, tmp_path: Path, checkpoint: Callable[[str], Path]
) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    half = tmp_path / "half"
    shutil.copytree(checkpoint("qwen2"), half)
    AutoModelForCausalLM.from_pretrained(half, dtype=torch.bfloat16).save_pretrained(half)
    recipe = lay_out(
        model={"path": str(half)},
        arms={"reference": [{"strategy": "reference"}]},
        pools={},
        treatment=None,
        benchmarks=[],
    )
    here("run", recipe, "--out", tmp_path / "run")
    for stage in ("midtrain", "rl"):
        assert AutoConfig.from_pretrained(tmp_path / f"run/arms/reference/seed-0/{stage}/model").dtype == torch.bfloat16


def test_adapters_are_merged_and_kept(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    recipe = lay_out(
        arms={"reference": [{"strategy": "reference"}]},
        pools={},
        treatment=None,
        benchmarks=[],
        lora={"r": 4, "target_modules": "all-linear"},
    )
    here("run", recipe, "--out", tmp_path / "run")
    for stage in ("midtrain", "rl"):
        folder = tmp_path / "run/arms/reference/seed-0" / stage
        assert (folder / "adapter/adapter_config.json").exists()
        assert not (folder / "model/adapter_config.json").exists()
        assert (folder / "model/model.safetensors").exists()


def test_completions_of_another_sampling_are_not_selected(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    recipe, run = (
        lay_out(arms={"polya": [{"pool": "guided", "strategy": "wrong-but-diverse"}]}, benchmarks=[]),
        tmp_path / "run",
    )
    here("run", recipe, "arms.polya.rl=false", "--out", run)
    old = set(ids(run)["pools/guided/completions"])
    change = [
        "arms.polya.rl=false",
        "pools.guided.sampling.temperature=0.7",
        "--out",
        run,
        "--clean",
        "pools/guided/completions",
    ]
    done = here("run", recipe, *change)
    assert f"{len(old)} stored completions are of other prompts, samplings or weights" in done.stderr
    asked = set(pl.read_parquet(run / "pools/guided/completions/asked/ids.parquet")["id"])
    assert not asked & old and len(asked) == len(old)
    chosen = set(pl.read_parquet(run / "arms/polya/seed-0/selection/solutions.parquet")["completion_id"])
    assert chosen <= asked
    assert read_json(run / "pools/guided/verdicts/stage.json")["state"] == "complete"


def test_clean_takes_nothing_back_when_another_change_is_refused(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    recipe, run = lay_out(arms={"reference": [{"strategy": "reference"}]}, pools={}, treatment=None), tmp_path / "run"
    here("run", recipe, "--out", run)
    done = here("run", recipe, "midtrain.max_steps=2", "--out", run, "--clean", "rl", check=False)
    assert done.returncode == 2
    assert "max_steps: 3 -> 2" in done.stderr
    assert (run / "arms/reference/seed-0/rl/model/model.safetensors").exists()


def test_titles_and_the_control_change_the_report_alone(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    recipe, run = (
        lay_out(arms={"rl-only": [], "reference": [{"strategy": "reference"}]}, pools={}, treatment="reference"),
        tmp_path / "run",
    )
    here("run", recipe, "--out", run)
    here("run", recipe, "arms.reference.title=The book's way", "--out", run)
    assert "The book's way" in {a["title"] for a in read_json(run / "report/results.json")["arms"]}


def test_compute_matched_arm_gets_the_seconds_of_the_treatment_as_steps(
    lay_out: LayOut, here: Here, tmp_path: Path
) -> None:
    arms = {"polya": [{"pool": "guided", "strategy": "wrong-but-diverse"}], "more-rl": {"compute_matched": True}}
    recipe, run = lay_out(arms=arms, treatment="polya", benchmarks=[]), tmp_path / "run"
    here("run", recipe, "--out", run)
    cost = {
        rel: read_json(run / rel / "stage.json")["cost"]["seconds"]
        for rel in (
            "pools/guided/completions",
            "pools/guided/verdicts",
            "arms/polya/seed-0/midtrain",
            "arms/polya/seed-0/rl",
        )
    }
    step = cost.pop("arms/polya/seed-0/rl") / 3
    more = read_json(run / "arms/more-rl/seed-0/rl/stage.json")["result"]["steps"] - 3
    assert (more - 1) * step <= sum(cost.values()) <= more * step


def test_real_questions_and_real_completions_go_the_whole_way(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = tmp_path / "run"
    done = here("run", "gsm8k-recorded", "--out", run)
    verdicts = read_table(run / "pools/recorded/verdicts", VERDICTS)
    assert verdicts.height == 400
    published = [json.loads(line) for line in (FIXTURES / "gsm8k_recorded.jsonl").read_text().splitlines()]
    assert verdicts["judgement"].to_list().count("correct") == sum(row["correct"] for row in published)
    assert read_json(run / "arms/recorded/seed-0/midtrain/stage.json")["result"]["steps"] == 4
    results = read_json(run / "report/results.json")
    assert {a["name"] for a in results["arms"]} == {"base", "rl-only", "recorded", "reference"}
    assert "gsm8k-held-out: pass@1" in done.stdout
