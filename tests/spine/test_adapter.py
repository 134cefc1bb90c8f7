"""A LoRA adapter of the vLLM engine writes pools; what is trained and evaluated is the base model without it. (Needs no vLLM: nothing is
opened here. That vLLM takes the adapter is tested with the real one.)"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from midway.plan import Plan, make_plan
from midway.recipe import load_recipe
from midway.rundir.layout import Layout
from midway.workbench import Workbench
from midway.workbench.engines import adapter_of


def test_the_content_of_an_adapter_is_part_of_what_a_pool_is(lay_out: Callable[..., Path], tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 8}))
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")

    def built(lora: str | None) -> tuple[Plan, Workbench]:
        recipe = load_recipe(str(lay_out(engine={"kind": "vllm", "lora": lora})))
        bench = Workbench(recipe, Layout(tmp_path / "run"))
        return make_plan(recipe, bench), bench

    def digests(plan: Plan) -> list[str]:
        return [
            plan.stages[rel].digest for rel in ("pools/guided/completions", "arms/base/seed-0/evaluations/test/base")
        ]

    (without, bare), (with_one, _) = built(None), built(str(adapter))
    plain, first = digests(without), digests(with_one)
    (adapter / "adapter_model.safetensors").write_bytes(b"others!")
    with_another, two = built(str(adapter))
    second = digests(with_another)
    assert len({plain[0], first[0], second[0]}) == 3 and plain[1] == first[1] == second[1]
    keys = {bench.leases.writer_key(bench.leases.writer()) for bench in (bare, two)}
    assert len(keys) == 2 and all(key.startswith(bare.models.base.key) for key in keys)
    assert adapter_of(two.leases.writer().config) == str(adapter)
    assert adapter_of(two.leases.base().config) is None
    assert adapter_of(two.leases.trained(two.models.base).config) is None
