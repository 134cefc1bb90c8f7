"""`midway run --executor ray`: the same experiment as on one machine, with actors killed on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midway.rundir import COMPLETIONS, VERDICTS, read_json, read_table

pytestmark = pytest.mark.slow


def test_a_run_on_ray_is_the_run_on_one_machine(
    ray_cluster: Any, lay_out: Callable[..., Path], here: Callable[..., Any], tmp_path: Path
) -> None:
    pool = {"heuristics": ["working-backward", "analogy"], "samples": 40, "sampling": {"max_tokens": 32}}
    recipe = lay_out(
        arms={"polya": {"rl": False, "midtrain": [{"pool": "guided", "strategy": "wrong-but-diverse"}]}},
        pools={"guided": pool},
        engine={"kind": "transformers", "batch_size": 8},
    )
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    here("run", recipe, "--out", calm)
    killed: list[int] = []

    there = rough / "pools/guided/completions"
    thread = ray_cluster.kill_one("EngineWorker", lambda pid: ray_cluster.stored_by(pid, there) >= 4, killed)
    done = here("run", recipe, "--out", rough, "--executor", "ray")
    thread.join(30)
    assert "an engine actor died" in done.stderr and "engine in process" in done.stderr
    stage = read_json(rough / "pools/guided/completions/stage.json")
    assert stage["result"]["deaths"] >= 1 and stage["result"]["rescued"] > 0 and stage["state"] == "complete"
    table = read_table(rough / "pools/guided/completions", COMPLETIONS)
    assert (
        stage["cost"]["completion_tokens"] == table["completion_tokens"].sum() == stage["result"]["completion_tokens"]
    )
    for rel, schema in (
        ("pools/guided/completions", COMPLETIONS),
        ("pools/guided/verdicts", VERDICTS),
        ("arms/base/seed-0/evaluations/test/base/completions", COMPLETIONS),
        ("arms/base/seed-0/evaluations/test/base/verdicts", VERDICTS),
        ("arms/polya/seed-0/evaluations/test/before-rl/verdicts", VERDICTS),
    ):
        one, two = (read_table(run / rel, schema, ["id"])["id"].sort().to_list() for run in (calm, rough))
        assert one == two and one, rel
        rows = sum(len(read_table(f.parent, schema)) for f in (rough / rel).glob("*.parquet"))
        assert rows and not list((rough / rel).glob("*.jsonl"))
    assert not ray_cluster.actors("EngineWorker") and not ray_cluster.actors("VerifierWorker")
    shown = here("status", rough).stdout
    assert "rescued" in shown and "cut at max_tokens" in shown
