"""Evaluations as Inspect's logs: what is in them by the schema of inspect_ai, and read by its own reader where that is installed."""

from __future__ import annotations

import json
import zipfile
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from midway.cli import app
from midway.results import open_run
from midway.rundir import layout
from midway.rundir.layout import Layout

_spec = spec_from_file_location("make_run", Path(__file__).with_name("make_run.py"))
assert _spec and _spec.loader
_module = module_from_spec(_spec)
_spec.loader.exec_module(_module)
make_run = _module.make_run
HOSTILE = "<script>alert(1)</script> \x00 \u202e rtl \udc80"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_run(tmp_path_factory.mktemp("runs") / "logged", seeds=(0, 1), questions=12, samples=4, options=3)
    file = Layout(path).evaluated(layout.evaluation("polya-8-rl", 1, "lab-test", layout.AFTER_RL))
    frame = pl.read_parquet(file)
    first = pl.int_range(pl.len()) == 0
    frame.with_columns(
        text=pl.when(first).then(pl.lit(HOSTILE[:-1])).otherwise("text"),
        judgement=pl.when(first).then(pl.lit("unjudged")).otherwise("judgement"),
        finish=pl.when(first).then(pl.lit("length")).otherwise("finish"),
    ).write_parquet(file)
    return path


@pytest.fixture(scope="module")
def logs(run: Path) -> Path:
    done = CliRunner().invoke(app, ["export", str(run), "--to", "inspect"])
    assert done.exit_code == 0, done.output
    folder = run / "exports" / "inspect"
    # base once; three mid-trained arms before and after RL; RL only after it (before it is the base model); two seeds, two benchmarks
    assert (
        f"{folder}: {2 * (1 + 2 * (2 * 2 + 1 + 2))} logs" in done.output
        and f"inspect view --log-dir {folder}" in done.output
    )
    return folder


def of(logs: Path, task: str) -> zipfile.ZipFile:
    (file,) = logs.glob(f"*_{task}_*.eval")
    return zipfile.ZipFile(file)


def test_a_log_holds_the_samples_with_their_verdicts(run: Path, logs: Path) -> None:
    stored = open_run(run).samples("lab-test", "polya-8-rl", seed=1)
    with of(logs, "lab-test-polya-8-rl-after-rl-seed-1") as log:
        header, summaries = (json.loads(log.read(f"{name}.json")) for name in ("header", "summaries"))
        start = json.loads(log.read("_journal/start.json"))
        samples = {name: json.loads(log.read(name)) for name in log.namelist() if name.startswith("samples/")}
    assert start == {key: header[key] for key in ("version", "eval", "plan")} and header["status"] == "success"
    assert (
        header["eval"]["model"] == "midway/logged/polya-8-rl" and header["eval"]["metadata"]["title"] == "8 ways + RL"
    )
    assert len(samples) == len(summaries) == stored.height == header["results"]["total_samples"] == 48
    for row in stored.iter_rows(named=True):
        sample = samples[f"samples/{row['question_id']}_epoch_{row['index'] + 1}.json"]
        assert sample["output"]["completion"] == row["text"] and sample["target"] == "A" and len(sample["choices"]) == 3
        value = {"correct": "C", "wrong": "I"}.get(row["judgement"])
        assert (sample["scores"]["verdict"]["value"] if sample["scores"] else None) == value
        assert sample["metadata"]["judgement"] == row["judgement"]
    judged = stored.filter(pl.col("judgement") != "unjudged")
    rate = judged.group_by("question_id").agg(r=(pl.col("judgement") == "correct").mean())["r"].mean()
    score = header["results"]["scores"][0]
    assert score["metrics"]["accuracy"]["value"] == pytest.approx(rate)
    assert (score["scored_samples"], score["unscored_samples"]) == (judged.height, 48 - judged.height)
    hostile = next(s for s in samples.values() if "script" in s["output"]["completion"])
    assert hostile["output"]["choices"][0]["stop_reason"] == "max_tokens" and hostile["scores"] == {}


def test_parts_of_a_run_and_what_is_not_there(run: Path, tmp_path: Path) -> None:
    ask = ["export", str(run), "--to", "inspect", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, [*ask, "--arm", "rl-only", "--seed", "1"])
    assert done.exit_code == 0 and sorted(file.name.split("_")[1] for file in tmp_path.iterdir()) == [
        "lab-hard-rl-only-after-rl-seed-1",
        "lab-test-rl-only-after-rl-seed-1",
    ]
    for more, told in (
        (["--arm", "polya"], "there is no arm 'polya'"),
        (["--arm", "base", "--seed", "7"], "no seed 7"),
    ):
        refused = CliRunner().invoke(app, [*ask, *more])
        assert refused.exit_code != 0 and told in str(refused.exception or refused.output)
    other = CliRunner().invoke(app, ["export", str(run), "--to", "inspct"])
    assert other.exit_code != 0 and "openrlhf, inspect" in str(other.exception or other.output)


@pytest.mark.skipif(not find_spec("inspect_ai"), reason="inspect_ai is not installed here")
def test_inspect_reads_them(logs: Path) -> None:
    from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample_summaries

    found = list_eval_logs(str(logs))
    assert len(found) == len(list(logs.iterdir()))
    for info in found:
        log = read_eval_log(info)
        assert log.version == 2 and log.status == "success" and log.eval.task == info.task
        assert log.samples and len(log.samples) == log.results.total_samples == len(
            read_eval_log_sample_summaries(info)
        )
        assert log.results.scores[0].metrics["accuracy"].value == pytest.approx(
            sum(s.scores["verdict"].value == "C" for s in log.samples if s.scores)
            / sum(bool(s.scores) for s in log.samples),
            abs=0.02,
        )
