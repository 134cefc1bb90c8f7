"""A LoRA adapter of the vLLM engine writes pools; what is trained and evaluated is the base model without it. (Needs no vLLM: nothing is
opened here. That vLLM takes the adapter is tested with the real one.)"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from midway.experiment import Experiment
from midway.materials import Materials

from midway.recipe import load_recipe
from midway.rundir import RunDir


def test_the_content_of_an_adapter_is_part_of_what_a_pool_is(lay_out: Callable[..., Path], tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 8}))
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")

    def built(lora: str | None) -> Experiment:
        recipe = load_recipe(str(lay_out(engine={"kind": "vllm", "lora": lora})))
        run = RunDir(tmp_path / "run")
        return Experiment(recipe, run, Materials(recipe, run))

    def digests(experiment: Experiment) -> list[str]:
        return [
            experiment.steps[rel].stage.digest
            for rel in ("pools/guided/completions", "arms/base/seed-0/evaluations/test/base")
        ]

    bare, one = built(None), built(str(adapter))
    plain, first = digests(bare), digests(one)
    (adapter / "adapter_model.safetensors").write_bytes(b"others!")
    two = built(str(adapter))
    second = digests(two)
    assert len({plain[0], first[0], second[0]}) == 3 and plain[1] == first[1] == second[1]
    keys = {experiment.materials.writer_key() for experiment in (bare, two)}
    assert len(keys) == 2 and all(key.startswith(bare.materials.base.key) for key in keys)
    materials = two.materials
    assert getattr(materials.engine_config(materials.base, adapter=True), "lora", None) == str(adapter)
    assert getattr(materials.engine_config(materials.base), "lora", "?") is None
