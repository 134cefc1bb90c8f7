"""The reward-model scorer on a real sequence-classification checkpoint, built here with random weights."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from midway.adherence import RewardModelScorer, discrimination, open_scorer
from midway.adherence.reward import criterion
from midway.recipe.schema import AdherenceConfig

_spec = importlib.util.spec_from_file_location("tiny", Path(__file__).with_name("tiny.py"))
assert _spec and _spec.loader
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)

TEMPLATE = "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} </s> {% endfor %}"


def checkpoint(folder: Path, template: str | None = TEMPLATE, labels: int = 1) -> str:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

    torch.manual_seed(0)
    special = ["<unk>", "<pad>", "</s>", "<user>", "<assistant>"]
    words = [*special, "Solve", "it", "with", "this", "approach:", "-", "cue", *tiny.VOCABULARY, *tiny.SLUGS]
    raw = Tokenizer(models.WordLevel({w: i for i, w in enumerate(dict.fromkeys(words))}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>", pad_token="<pad>", eos_token="</s>")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(raw.get_vocab()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=96,
        num_labels=labels,
        pad_token_id=1,
    )
    LlamaForSequenceClassification(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return checkpoint(tmp_path_factory.mktemp("reward"))


def test_scores_equal_the_models_own_one_by_one(model: str) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    items, _ = tiny.pool(tiny.TinyLM(0.5), 4)
    scorer = open_scorer(AdherenceConfig(scorer="reward-model", model=model), None, tiny.prompts, tiny.CATALOGUE)
    got = list(scorer.score(items))
    assert [a.completion_id for a in got] == [c.id for _, c in items]
    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    reference: Any = AutoModelForSequenceClassification.from_pretrained(model).eval()
    for (question, completion), adherence in list(zip(items, got, strict=True))[:8]:
        heuristic = tiny.CATALOGUE[completion.heuristic]
        text = f"<user> {criterion(question, heuristic)} </s> <assistant> {completion.text} </s> "
        with torch.inference_mode():
            want = float(reference(**tokenizer(text, return_tensors="pt")).logits[0, 0])
        assert adherence.score == pytest.approx(want, abs=1e-5) and adherence.scorer == "reward-model"


def test_random_weights_cannot_tell_heuristics_apart_and_are_reported(model: str) -> None:
    items, _ = tiny.pool(tiny.TinyLM(0.5), 40)
    scorer = RewardModelScorer(model, tiny.CATALOGUE)
    found = discrimination(scorer, items, tiny.CATALOGUE)
    assert not found.tells_apart and 0.4 < found.auc.value < 0.6
    assert found.completions == len(items) and found.unscored == 0


def test_the_criterion_and_the_template_are_what_the_model_reads(model: str, tmp_path: Path) -> None:
    (question, completion), *_ = tiny.pool(tiny.TinyLM(0.5), 1)[0]
    chat = RewardModelScorer(model, tiny.CATALOGUE)
    plain = RewardModelScorer(checkpoint(tmp_path, template=None), tiny.CATALOGUE)
    spelled = chat.tokenizer.decode(chat.tokens(question, completion, completion.heuristic))
    assert spelled.startswith("<user>") and "<assistant>" in spelled and question.text in spelled
    assert tiny.CATALOGUE[completion.heuristic].description in spelled and completion.text in spelled
    assert "<user>" not in plain.tokenizer.decode(plain.tokens(question, completion, completion.heuristic))


def test_what_is_too_long_has_no_score_and_is_counted(model: str) -> None:
    items, _ = tiny.pool(tiny.TinyLM(0.5), 1)
    question, completion = items[0]
    scorer = RewardModelScorer(model, tiny.CATALOGUE)
    got = list(scorer.score([(question, replace(completion, text="w1 " * 90)), items[1]]))
    assert got[0].score is None and got[1].score is not None
    assert scorer.state() == {"scored": 1, "too_long": 1}


def test_a_classifier_with_two_outputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has 2 outputs"):
        RewardModelScorer(checkpoint(tmp_path, labels=2), tiny.CATALOGUE)
