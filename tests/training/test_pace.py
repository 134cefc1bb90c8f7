"""The trainer's own word on its speed: figures that can be added up, nothing left on disk."""

from __future__ import annotations

from pathlib import Path

from midway import registry
from midway.lab.tiny import tiny_checkpoint
from midway.training.jobs import PaceAsked


def test_the_pace_of_a_model_is_measured(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path / "model", "llama")
    before = sorted(tmp_path.rglob("*"))
    asked = {"model": str(model), "revision": None, "dtype": "auto", "trust_remote_code": False, "lora": None}
    trainer = registry.find("trainers", "trl")
    shape = {"rows": 4, "prompt_tokens": 12, "new_tokens": 8}
    both = trainer.pace(PaceAsked(**asked, **shape, generates=True))
    assert all(value > 0 for value in (both.load, both.token, both.step, both.written)) and both.prompts >= 0
    alone = trainer.pace(PaceAsked(**asked, **shape))
    assert (alone.prompts, alone.written) == (0, 0), "what does not sample is not timed"
    assert sorted(tmp_path.rglob("*")) == before
