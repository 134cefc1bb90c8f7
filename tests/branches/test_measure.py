"""The theory's quantities in stored runs: real entropies of the shipped lab model, ways and success by kind, what is left out is named."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from midway.branches import accounts, learning, measure  # noqa: E402
from midway.engines.parts import TransformersEngine  # noqa: E402
from midway.engines.transformers import HFEngine  # noqa: E402
from midway.engines.transformers.spread import spreads  # noqa: E402
from midway.evidence.branch import entropy_of_logits  # noqa: E402
from midway.lab.checkpoints import SHIPPED  # noqa: E402
from midway.lab.world import plain_messages, questions  # noqa: E402
from midway.recipe import ModelConfig  # noqa: E402
from midway.records import Prompt  # noqa: E402
from midway.results import Run  # noqa: E402
from midway.theory import markdown  # noqa: E402

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run-e7b8f3f.tar.xz"
TEXTS = ["Work back from 9. 9 - 2 = 7. #### 7", "", "#### 12"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder, filter="data")
    return Run(folder / "run")


def test_spreads_are_those_of_the_model_s_own_logits() -> None:
    engine = HFEngine(TransformersEngine(kind="transformers"), ModelConfig(path=str(SHIPPED)))
    prompts = [Prompt(messages=tuple(plain_messages(q))) for q in questions("test", len(TEXTS), 3)]
    found = list(spreads(engine, zip(prompts, TEXTS, strict=True)))
    assert [len(s.entropy_T) > 0 for s in found] == [True, False, True]
    for prompt, text, spread in zip(prompts, TEXTS, found, strict=True):
        if not text:
            continue
        shown = engine.tokenizer.apply_chat_template(list(prompt.messages), tokenize=False, add_generation_prompt=True)
        head, tail = (engine.tokenizer(part, add_special_tokens=False)["input_ids"] for part in (shown, text))
        with torch.no_grad():
            logits = engine.model(torch.tensor([head + tail])).logits[0, len(head) - 1 : -1].numpy()
        assert spread.entropy_T == pytest.approx(entropy_of_logits(logits), abs=1e-4)
        assert "".join(text[a:b] for a, b in spread.span_T) == text
    sums = list(engine.logprobs(zip(prompts, TEXTS, strict=True)))
    assert [sum(s.logprob_T) for s in found] == pytest.approx([total for total, _ in sums], abs=1e-3)
    engine.close()


def test_a_run_whose_trained_models_are_gone(run: Run) -> None:
    """The base model is measured, of the others only the ways; what is missing is named."""
    found = measure(run, questions=6, samples=2)
    base = found.state("base", "base")
    assert base is not None and base.entropies is not None
    assert 0 < base.entropies.inside.value < math.log(1_000)
    assert base.entropies.tokens > 1
    assert {s.arm for s in found.states if s.entropies is None} == set(run.arms) - {"base"}
    assert any("polya" in text and "removed" in text for text in found.missing)
    assert found.questions == 6
    assert set(accounts(found, learning(run, found))) == {"entropy", "ways", "curves"}


def test_ways_and_success_are_those_of_the_samples(run: Run) -> None:
    name = run.benchmarks[0]
    found = measure(run, name, entropies=False, samples=99)
    for state in found.states:
        rows = run.samples(name, state.arm, phase=state.phase)
        judged = rows.filter(rows["judgement"].is_in(["correct", "wrong"]))
        assert sum(m.samples for m in state.mixes.values()) == judged.height
        assert sum(sum(m.right_W) for m in state.mixes.values()) == (judged["judgement"] == "correct").sum()
        assert 1 <= state.effective <= 1e-9 + max(np.count_nonzero(m.count_W) for m in state.mixes.values())
    learned = learning(run, found)
    assert {one.arm for one in learned} == {a for a, arm in run.arms.items() if arm.rl}
    for one in learned:
        assert one.change.total == pytest.approx(one.measured_gain, abs=0.2)  # kinds are weighted as before RL
        assert one.ceiling >= one.measured_T[0] - 1e-9
    text = markdown(accounts(found, learned)["ways"])
    assert text.startswith("### Ways: ") and "effective" in text


@pytest.mark.slow
def test_the_verb_prints_json_and_loads_no_torch_for_ways_alone(
    run: Run, midway: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    code = (
        "import sys; from midway.cli import app; "
        "app(['theory', '--run', sys.argv[1], '--no-entropies', '--json', '--figures', sys.argv[2]], standalone_mode=False); "
        "print(sorted({'torch', 'trl'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run.path), str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip().splitlines()[-1] == "[]"
    found = json.loads(done.stdout)
    assert set(found) == {"found", "learning", "accounts"}
    assert (tmp_path / "curves.svg").read_text(encoding="utf-8").startswith("<svg ")
    missing = midway("theory", "--run", tmp_path / "none", check=False)
    assert missing.returncode == 2 and "none" in missing.stderr
