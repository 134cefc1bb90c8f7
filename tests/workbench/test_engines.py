"""Who needs which engine: by role, through one door, local or on Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from midway.recipe import Recipe, load_recipe
from midway.rundir import RunError
from midway.rundir.layout import Layout
from midway.workbench import Weights, Workbench

SERVER = "{kind: openai, base_urls: ['http://127.0.0.1:1/v1'], model: judge}"


def bench(*overrides: str, executor: str = "local") -> Workbench:
    return Workbench(load_recipe("demo", overrides), Layout(Path("nowhere")), executor=executor)


def test_the_labellers_own_engine_counts_also_for_the_base_model() -> None:
    one = bench("labels={by: judge, engine: {kind: transformers, batch_size: 3}}")
    lease = one.leases.labels()
    assert lease.config.model_dump() == {"kind": "transformers", "batch_size": 3, "device": "auto"}
    assert lease.weights == one.models.base and lease != one.leases.base()
    again = bench("labels={by: judge, model: {path: lab}, engine: {kind: transformers, batch_size: 3}}")
    assert getattr(again.leases.labels().config, "batch_size", None) == 3
    assert bench("labels={by: judge}").leases.labels() == bench().leases.base()


def test_the_labelling_engine_runs_on_ray_where_the_others_do() -> None:
    one = bench("labels={by: judge, engine: {kind: transformers, batch_size: 3}}", executor="ray")
    assert one.engines.on_ray(one.leases.labels()) and one.engines.on_ray(one.leases.base())
    file = bench("pools.guided.engine={kind: recorded, path: x.jsonl}", executor="ray")
    assert not file.engines.on_ray(file.leases.pool("guided"))
    with pytest.raises(RunError, match="--executor slurm: write local or ray"):
        bench(executor="slurm")


def test_a_server_does_not_serve_what_was_just_trained() -> None:
    one = bench(f"engine={SERVER}")
    assert one.leases.base().config.kind == "openai"
    assert one.leases.trained(Weights("/runs/x/model", "digest")).config.kind == "transformers"


def test_a_judge_of_its_own_and_the_writers(tmp_path: Path) -> None:
    own = bench("adherence={scorer: judge, engine: " + SERVER + "}").leases.judge()
    assert own is not None and own.config.kind == "openai"
    shared = bench("adherence={scorer: judge}").leases
    assert shared.judge() == shared.writer()
    assert bench("adherence={scorer: reward-model, model: org/name}").leases.judge() is None


def test_an_arm_may_start_from_a_checkpoint_of_ones_own() -> None:
    recipe: Recipe = load_recipe("demo", ["arms.mine={checkpoint: 'tiny:llama', rl: false}"])
    found = Workbench(recipe, Layout(Path("nowhere"))).models
    assert found.start("mine").key != found.base.key and found.start("polya") == found.base
