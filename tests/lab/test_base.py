"""The shipped checkpoint: a standard directory, small, with the abilities that its card states; and making another
one."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from midway.lab.abilities import measure, sample
from midway.lab.checkpoints import SHIPPED, base_checkpoint
from midway.lab.corpus import CorpusConfig
from midway.lab.play import Table, find_models
from midway.lab.pretrain import make_tokenizer, pretrain
from midway.lab.world import label, plain_messages, questions


@pytest.fixture(scope="module")
def base() -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(SHIPPED).eval(), AutoTokenizer.from_pretrained(SHIPPED)


def test_it_is_small_and_standard(base: tuple[Any, Any]) -> None:
    model, tokenizer = base
    assert sum(p.numel() for p in model.parameters()) <= 5_000_000
    assert sum(f.stat().st_size for f in SHIPPED.iterdir()) <= 20_000_000
    assert model.config.model_type == "llama"
    assert tokenizer.eos_token_id == model.generation_config.eos_token_id != tokenizer.pad_token_id
    assert (SHIPPED / "README.md").is_file()


def test_tokenizer(base: tuple[Any, Any]) -> None:
    tokenizer = base[1]
    assert tokenizer.get_vocab() == make_tokenizer().get_vocab()
    for text in ("Tom has 12 apples.", "Émile’s 3 ducks\n\tlay 1.5 eggs (x^2) 日本", "#### 42", ""):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer("Tom has 12 apples.")["input_ids"]) == 5
    for question in questions("test", 60, 0, ["all"]):
        assert len(tokenizer(question.text)["input_ids"]) < 100


def test_chat_template_prompts_are_prefixes(base: tuple[Any, Any]) -> None:
    tokenizer = base[1]
    user = [{"role": "user", "content": "Tom has 2 pens."}]
    prompt = tokenizer.apply_chat_template(user, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*user, {"role": "assistant", "content": "#### 2"}], tokenize=False)
    assert prompt == "<|user|>Tom has 2 pens.<|assistant|>"
    assert whole == prompt + "#### 2<|end|>"
    system = [{"role": "system", "content": "Be brief."}, *user]
    assert tokenizer.apply_chat_template(system, tokenize=False).startswith("<|system|>Be brief.<|user|>")


def test_card_figures_are_reproduced(base: tuple[Any, Any]) -> None:
    """Each figure of the card lies within the 99.99 % interval of a fresh, smaller sample (other problems, other
    draws)."""
    card = json.loads((SHIPPED / "abilities.json").read_text())
    found = measure(
        *base, n=24, seed=77, families=["forward", "backward", "difference", "mixture", "legs", "backward-pair"]
    )
    assert len(found) > 10
    for key, ability in found.items():
        p, n, m = card[key]["right"], card[key]["n"], ability.n
        pooled = (p * n + ability.right * m) / (n + m)
        sigma = math.sqrt(max(pooled * (1 - pooled), 1 / (n + m)) * (1 / n + 1 / m))
        assert abs(ability.right - p) <= 3.9 * sigma, (key, ability, card[key])
    text = (SHIPPED / "README.md").read_text()
    for key, figures in card.items():
        family, _, way = key.partition(" / ")
        assert f"| {family} | {way or 'none'} | {figures['n']} | {100 * figures['right']:.0f} % |" in text


def test_default_is_peaked(base: tuple[Any, Any]) -> None:
    """Unprompted, hardly any answer outside forward chains shows a way, although asking for it brings it out."""
    drawn = questions("test", 120, 5, ["backward", "difference", "compare", "mixture", "legs", "backward-pair"])
    texts = sample(*base, [plain_messages(q) for q in drawn], seed=3)
    assert sum(label(q, t).direct for q, t in zip(drawn, texts, strict=True)) >= 108


def test_shipped_checkpoint_is_the_default(tmp_path: Path) -> None:
    assert base_checkpoint() == SHIPPED
    with pytest.raises(ValueError, match="either config or"):
        base_checkpoint(config=CorpusConfig(), shown=0.1)
    with pytest.raises(ValueError, match="either config or"):
        base_checkpoint(config=CorpusConfig(), world="two-ways")
    with pytest.raises(ValueError, match="unknown world 'flat'"):
        base_checkpoint(world="flat")
    with pytest.raises(FileNotFoundError, match="base-"):
        base_checkpoint(shown=0.3, cache=tmp_path, make=False)
    assert not list(tmp_path.iterdir())


def test_making_one_is_deterministic_and_cached(tmp_path: Path) -> None:
    def weights(path: Path) -> str:
        return hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()

    one = base_checkpoint(shown=0.25, steps=2, cache=tmp_path)
    stamp = (one / "model.safetensors").stat().st_mtime_ns
    assert base_checkpoint(shown=0.25, steps=2, cache=tmp_path) == one
    assert (one / "model.safetensors").stat().st_mtime_ns == stamp
    (trunk,) = (p for p in tmp_path.iterdir() if p != one)
    assert trunk.name.startswith("trunk-"), "nothing half-made is left"
    pretrain(tmp_path / "again", CorpusConfig(shown=0.25), steps=2, say=lambda _: None)
    assert weights(tmp_path / "again") == weights(one)
    pretrain(tmp_path / "other", CorpusConfig(shown=0.25), steps=2, seed=1, say=lambda _: None)
    assert weights(tmp_path / "other") != weights(one)


@pytest.mark.slow
def test_checkpoints_along_a_knob_share_the_early_lessons_and_come_out_as_without(tmp_path: Path) -> None:
    def weights(path: Path) -> bytes:
        return (path / "model.safetensors").read_bytes()

    one = base_checkpoint(shown=0.25, steps=3, cache=tmp_path)
    two = base_checkpoint(shown=1.0, slip=0.3, steps=3, cache=tmp_path)
    assert len(list(tmp_path.glob("trunk-*"))) == 1
    whole = pretrain(tmp_path / "whole", CorpusConfig(shown=1.0, slip=0.3), steps=3, say=lambda _: None)
    assert weights(tmp_path / "whole") == weights(two) != weights(one)
    assert whole["steps"] == 3


def test_play_shows_steps_and_labels(capsys: pytest.CaptureFixture[str]) -> None:
    play = Table(find_models([], None), ["backward"], [1], seed=1)
    play.show(play.drawn(), "working-backward", 2, 1.0)
    out = capsys.readouterr().out
    assert "[backward, level 1]" in out and out.count("base (Work backward.)") == 2
    assert "Work back from" in out and "working-backward" in out
    play.show(play.typed("What is the capital of France?"), "", 1, 0.0)
    assert "not of this world" in capsys.readouterr().out
    with pytest.raises(ValueError, match="unknown way"):
        play.show(play.drawn(), "magic", 1, 1.0)


RUN = "import typer; from midway.cli import lab; app = typer.Typer(); lab.register(app); app.command()(print); app()"


def midway(*args: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", RUN, *map(str, args)], capture_output=True, text=True, check=check)


def test_command_line(tmp_path: Path) -> None:
    out = midway("lab", "world", "-n", "3", "--family", "mixture").stdout
    assert out.count("auxiliary-elements: Suppose all are") == 3
    rows = [json.loads(line) for line in midway("lab", "world", "-n", "4", "--jsonl").stdout.splitlines()]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({**row, "text": f"#### {row['answer']}"}) + "\n" for row in rows))
    found = [json.loads(line) for line in midway("lab", "label", path).stdout.splitlines()]
    assert [row["answer_right"] for row in found] == [True] * 4
    path.write_text('{"question": "x"}\n')
    bad = midway("lab", "label", path, check=False)
    assert bad.returncode == 2 and "line 1" in bad.stderr and "needs question, answer and text" in bad.stderr
    bad = midway("lab", "world", "--family", "nope", check=False)
    assert bad.returncode == 2 and "unknown family" in bad.stderr and "backward" in bad.stderr
    bad = midway("lab", "play", "--model", "nope", check=False)
    assert bad.returncode == 2 and "NAME=DIRECTORY" in bad.stderr
