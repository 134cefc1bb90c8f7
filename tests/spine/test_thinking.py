"""A chat template that can switch reasoning off, as Qwen3's: what a recipe gives it reaches every stage of a run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midway.lab.tiny import CHATML, tiny_checkpoint, tiny_tokenizer
from midway.rundir import COMPLETIONS, read_json, read_table

SWITCH = CHATML.replace(
    "<|im_start|>assistant\n{% endif %}",
    "<|im_start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
)


@pytest.mark.slow
def test_a_run_without_thinking_goes_the_whole_way(
    here: Callable[..., Any], lay_out: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_checkpoint(tmp_path / "model", "qwen3")
    shutil.copytree(model, tmp_path / "switch")
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = SWITCH
    tokenizer.save_pretrained(tmp_path / "switch")
    recipe = lay_out(
        "qwen3",
        model={"path": str(tmp_path / "switch")},
        arms={"rl-only": [], "unguided": [{"pool": "unguided", "strategy": "wrong-but-diverse"}]},
        treatment="unguided",
        curve={"every": 2, "questions": 2},
    )
    counts = {}
    for name, given in (("with", []), ("without", ["prompt.chat_template_kwargs={enable_thinking: false}"])):
        here("run", recipe, *given, "--out", tmp_path / name)
        counts[name] = (
            read_table(tmp_path / name / "pools/unguided/completions", COMPLETIONS)["prompt_tokens"]
            .unique()
            .sort()
            .to_list()
        )
        assert (tmp_path / name / "report/results.json").exists()
    more = len(tokenizer("<think>\n\n</think>\n\n")["input_ids"])
    assert counts["without"] == [n + more for n in counts["with"]]
    job = read_json(tmp_path / "without/arms/unguided/seed-0/rl/job.json")
    assert job["template"] == {"enable_thinking": False} and job["curve"]["sets"][0]["template"] == {
        "enable_thinking": False
    }
