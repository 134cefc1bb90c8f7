"""The transformers engine against the model itself: greedy text, log-probabilities, distribution of samples, limits."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import FAMILIES

from midway.engines import EngineError, TransformersEngine, model_key, open_engine
from midway.engines.transformers.sampling import filtered, uniform
from midway.recipe import ModelConfig
from midway.records import Finish, Prompt, Request, Sampling

SHARED = "Let x be the unknown. Look back: does the answer make sense? Try a simpler problem first. " * 3
TAILS = (
    "How many clips?",
    "x",
    "2 + 3 = what, then 7 + 8",
    "How many clips did Natalia sell altogether in April and May to friends?",
)
Open = Callable[..., object]


@pytest.fixture(scope="module")
def engine(checkpoint: Callable[..., Path]) -> Callable[..., object]:
    made: dict[str, object] = {}

    def make(family: str = "llama", **options: object) -> object:
        key = f"{family}{sorted(options.items())}"
        if key not in made:
            made[key] = open_engine(TransformersEngine(), ModelConfig(path=str(checkpoint(family, **options))))
        return made[key]

    return make


def asked(sampling: Sampling, samples: int = 1, chat: bool = False, shared: str = SHARED) -> list[Request]:
    return [
        Request(
            f"{i}-{s}",
            Prompt(messages=({"role": "user", "content": shared + tail},)) if chat else Prompt(text=shared + tail),
            sampling,
            f"q{i}",
            index=s,
        )
        for i, tail in enumerate(TAILS)
        for s in range(samples)
    ]


@torch.inference_mode()
def reference(engine: object, request: Request) -> tuple[list[int], float]:
    """Greedy tokens of `model.generate` for one prompt alone, and their log-probability from one plain forward pass."""
    model = engine.model  # type: ignore[attr-defined]
    ids = torch.tensor([engine._encode(request.prompt)])  # type: ignore[attr-defined]
    full = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=request.sampling.max_tokens,
        do_sample=False,
        eos_token_id=list(engine.eos),  # type: ignore[attr-defined]
        pad_token_id=0,
    )
    logp = model(full).logits[0, ids.shape[1] - 1 : -1].float().log_softmax(-1)
    new = full[0, ids.shape[1] :]
    return new.tolist(), float(logp.gather(-1, new[:, None]).sum())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("chat", [False, True])
def test_greedy_text_is_that_of_generate(engine: Open, family: str, chat: bool) -> None:
    it = engine(family)
    requests = asked(Sampling(temperature=0, max_tokens=20), chat=chat)
    got = {c.id: c for c in it.generate(requests)}  # type: ignore[attr-defined]
    assert set(got) == {r.id for r in requests}
    for request in requests:
        tokens, logprob = reference(it, request)
        completion = got[request.id]
        assert completion.text == it.tokenizer.decode(tokens, skip_special_tokens=True)  # type: ignore[attr-defined]
        assert completion.completion_tokens == len(tokens)
        assert completion.finish is (Finish.STOP if tokens[-1] in it.eos else Finish.LENGTH)  # type: ignore[attr-defined]
        assert completion.logprob == pytest.approx(logprob, abs=2e-3)
    assert sum(c.cached_tokens for c in got.values()) > 0.4 * sum(c.prompt_tokens for c in got.values())


def test_sliding_windows_see_the_right_tokens(engine: Open) -> None:
    it = engine("qwen2", use_sliding_window=True, sliding_window=24, max_window_layers=0)
    requests = asked(Sampling(temperature=0, max_tokens=12))
    alone = it.generate(requests[1:2])  # type: ignore[attr-defined]
    for completion in [*it.generate(requests), *alone]:  # type: ignore[attr-defined]
        request = next(r for r in requests if r.id == completion.id)
        tokens, logprob = reference(it, request)
        assert completion.text == it.tokenizer.decode(tokens, skip_special_tokens=True)  # type: ignore[attr-defined]
        assert completion.logprob == pytest.approx(logprob, abs=2e-3)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_logprobs_are_those_of_a_plain_pass(engine: Open, family: str) -> None:
    it = engine(family)
    items = [(r.prompt, text) for r in asked(Sampling()) for text in ("So 48 / 2 = 24, and 72.", "x", "")]
    items.append((Prompt(text="alone"), "yes"))
    for (prompt, text), (total, count) in zip(items, it.logprobs(items), strict=True):  # type: ignore[attr-defined]
        head = it._encode(prompt)  # type: ignore[attr-defined]
        tail = it.tokenizer(text, add_special_tokens=False)["input_ids"]  # type: ignore[attr-defined]
        with torch.inference_mode():
            logp = it.model(torch.tensor([head + tail])).logits[0].float().log_softmax(-1)  # type: ignore[attr-defined]
        want = sum(float(logp[len(head) - 1 + i, token]) for i, token in enumerate(tail))
        assert count == len(tail) and total == pytest.approx(want, abs=2e-3)


def test_a_sample_depends_on_its_seed_not_on_its_neighbours(engine: Open) -> None:
    it = engine("qwen3")
    sampling = Sampling(temperature=0.9, top_p=0.95, top_k=40, min_p=0.01, max_tokens=16)
    four, eight = asked(sampling, 4), asked(sampling, 8)
    together = {c.id: c.text for c in it.generate(eight)}  # type: ignore[attr-defined]
    assert {c.id: c.text for c in it.generate(four)} == {r.id: together[r.id] for r in four}  # type: ignore[attr-defined]
    assert [c.text for r in eight[:5] for c in it.generate([r])] == [together[r.id] for r in eight[:5]]  # type: ignore[attr-defined]
    assert len(set(together.values())) == len(eight)


def test_samples_follow_the_model_distribution(engine: Open) -> None:
    """Chi-square of the first token of 4,000 samples against softmax(logits / T)."""
    it = engine("llama")
    sampling = Sampling(temperature=0.7, top_k=12, max_tokens=1)
    prompt = Prompt(text="How many clips?")
    with torch.inference_mode():
        logits = it.model(torch.tensor([it._encode(prompt)])).logits[0, -1:]  # type: ignore[attr-defined]
    probs = filtered(logits, sampling)[0]
    n = 4000
    texts: Counter[str] = Counter()
    for c in it.generate(Request(f"s{i}", prompt, sampling, "q", index=i) for i in range(n)):  # type: ignore[attr-defined]
        texts[c.text] += 1
    expected: Counter[str] = Counter()
    for token in probs.nonzero().flatten().tolist():
        expected[it.tokenizer.decode([token], skip_special_tokens=True)] += float(probs[token]) * n  # type: ignore[attr-defined,assignment]
    assert set(texts) <= set(expected)
    chi2 = sum((texts[t] - e) ** 2 / e for t, e in expected.items())
    assert chi2 < 36  # 11 degrees of freedom: p < 0.0002


def test_filters_agree_with_hugging_face() -> None:
    from transformers.generation.logits_process import (
        MinPLogitsWarper,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    torch.manual_seed(0)
    logits = torch.randn(64, 300) * 3
    for sampling in (
        Sampling(0.8, 0.9),
        Sampling(1.3, 1.0, 20),
        Sampling(1.0, 1.0, 0, 0.05),
        Sampling(0.7, 0.8, 50, 0.02),
    ):
        want = TemperatureLogitsWarper(sampling.temperature)(None, logits)
        if sampling.top_k:
            want = TopKLogitsWarper(sampling.top_k)(None, want)
        if sampling.top_p < 1:
            want = TopPLogitsWarper(sampling.top_p)(None, want)
        if sampling.min_p:
            want = MinPLogitsWarper(sampling.min_p)(None, want)
        got = filtered(logits, sampling)
        assert torch.allclose(got / got.sum(-1, keepdim=True), want.softmax(-1), atol=1e-6)


def test_random_numbers_are_uniform_and_independent_of_order() -> None:
    seeds = torch.arange(20000)
    a, b = uniform(seeds, 3), uniform(seeds, 4)
    assert float(a.min()) >= 0 and float(a.max()) < 1
    assert abs(float(a.mean()) - 0.5) < 0.01 and abs(float((a * 12 - 6).var()) - 12) < 0.4
    assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 0.03
    assert torch.equal(uniform(seeds[100:101], 3), a[100:101])


def test_stop_strings(engine: Open) -> None:
    it = engine("llama")
    (full,) = it.generate(asked(Sampling(temperature=0, max_tokens=20))[:1])  # type: ignore[attr-defined]
    stop = full.text[4:7]
    (cut,) = it.generate(asked(Sampling(temperature=0, max_tokens=20, stop=("never", stop)))[:1])  # type: ignore[attr-defined]
    assert cut.finish is Finish.STOP
    assert cut.text == full.text[: full.text.index(stop)] and cut.completion_tokens < full.completion_tokens


def test_a_prompt_that_does_not_fit_is_a_failure_with_the_numbers(engine: Open) -> None:
    it = engine("gpt2", context=64)
    fits, too_long = Prompt(text="x"), Prompt(text="x " * 80)
    n = len(it.tokenizer(too_long.text)["input_ids"])  # type: ignore[attr-defined]
    got = {
        c.id: c
        for c in it.generate(Request(i, p, Sampling(max_tokens=8), "q") for i, p in (("a", fits), ("b", too_long)))
    }  # type: ignore[attr-defined]
    assert got["a"].finish is not Finish.ERROR
    assert got["b"].finish is Finish.ERROR
    assert got["b"].error == f"prompt of {n} tokens + max_tokens 8 exceeds the context of 64"
    (whole,) = it.generate([Request("c", fits, Sampling(temperature=0, max_tokens=63), "q")])  # type: ignore[attr-defined]
    assert whole.completion_tokens <= 63
    with pytest.raises(EngineError, match=r"prompt of \d+ tokens \+ continuation of 1 exceeds the context of 64"):
        list(it.logprobs([(too_long, "x")]))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("most", "after"), [(20, 0), (20, 2), (0, 0)])
def test_running_out_of_memory_halves_the_batch_and_goes_on(
    checkpoint: Callable[..., Path], most: int, after: int
) -> None:
    """The allocator really fails, with its own error: a hook asks it for a petabyte where more than `most` rows go through the model,
    in the prompt's pass or only after some tokens."""
    lines: list[str] = []
    engine = open_engine(
        TransformersEngine(batch_size=64), ModelConfig(path=str(checkpoint("llama"))), log=lines.append
    )
    rows_seen: list[int] = []

    def petabyte(module: torch.nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        rows_seen.append(kwargs["input_ids"].shape[0])  # type: ignore[attr-defined]
        if rows_seen[-1] > most and len(rows_seen) > after:
            torch.empty(1 << 50, dtype=torch.uint8)

    engine.model.register_forward_pre_hook(petabyte, with_kwargs=True)  # type: ignore[attr-defined]
    sampling = Sampling(max_tokens=3)
    requests = [Request(str(i), Prompt(text=f"{i} clips and"), sampling, "q", index=i) for i in range(64)]
    if not most:
        with pytest.raises(EngineError, match=r"not enough memory for a single sequence .*alloc"):
            list(engine.generate(requests))
        return
    done = [c.id for c in engine.generate(requests)]
    assert sorted(done) == sorted(r.id for r in requests)  # each once
    assert max(rows_seen) == 64
    assert len(rows_seen) == after + 2 + 4 * 3  # two failures, then four batches of three tokens
    assert lines == [
        "out of memory with 64 sequences at once: going on with 32",
        "out of memory with 32 sequences at once: going on with 16",
    ]


def test_what_cannot_be_loaded_says_what_to_do(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    def opened(path: Path, **options: object) -> None:
        open_engine(TransformersEngine(), ModelConfig(path=str(path), **options))  # type: ignore[arg-type]

    with pytest.raises(EngineError, match=r"no model directory .*\n.*model\.path"):
        opened(tmp_path / "nothing")
    with pytest.raises(EngineError, match="holds no weights"):
        opened(tmp_path)
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in checkpoint("llama").iterdir():
        if "token" not in file.name and "chat" not in file.name:
            (bare / file.name).write_bytes(file.read_bytes())
    with pytest.raises(EngineError, match=r"has no tokenizer .*\n.*save_pretrained"):
        opened(bare)
    with pytest.raises(EngineError, match=r"no chat template\n.*model\.chat"):
        opened(checkpoint("gpt2"), chat=True)
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in checkpoint("llama").iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "config.json").write_text("{")
    with pytest.raises(EngineError, match=r"cannot be loaded.*\n.*model\.path"):
        opened(broken)


def test_model_keys_name_the_content(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    source = checkpoint("llama")
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in source.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    for name in ("trainer_state.json", "stage.json", "training_args.bin", "README.md"):
        (copy / name).write_text("{}")  # says nothing about what the model writes
    key = model_key(str(source))
    assert key.startswith("dir@") and model_key(str(copy)) == key == model_key(str(copy) + "/")
    weights = next(copy.glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert model_key(str(copy)) != key
    assert model_key("org/model", "abc") == "org/model@abc" and model_key("org/model") == "org/model@main"


def test_the_end_of_a_turn_ends_a_completion_though_it_is_not_the_eos(
    checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    """As in Qwen2.5's base checkpoints: the template ends turns with another token than the tokenizer's EOS."""
    from transformers import AutoTokenizer

    folder = tmp_path / "other-eos"
    shutil.copytree(checkpoint("qwen2"), folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    tokenizer.eos_token = "<|endoftext|>"
    tokenizer.save_pretrained(folder)
    for name in ("config.json", "generation_config.json"):
        settings = json.loads((folder / name).read_text())
        settings["eos_token_id"] = tokenizer.eos_token_id
        (folder / name).write_text(json.dumps(settings))
    engine = open_engine(TransformersEngine(), ModelConfig(path=str(folder)))
    assert end in engine.eos  # type: ignore[attr-defined]
    plain = open_engine(TransformersEngine(), ModelConfig(path=str(folder), chat=False))
    assert end not in plain.eos  # type: ignore[attr-defined]


def test_the_first_of_two_tokens_after_a_turn_ends_it(checkpoint: Callable[..., Path]) -> None:
    """As in Phi-3, whose template puts the EOS after the end of the turn."""
    from transformers import AutoTokenizer

    from midway.engines.text import turn_end

    tokenizer = AutoTokenizer.from_pretrained(checkpoint("qwen2"))
    assert turn_end(tokenizer) == "<|im_end|>"
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}<|im_end|>\n{% endfor %}<|endoftext|>"
    assert turn_end(tokenizer) == "<|im_end|>"
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }} the end {% endfor %}"
    assert turn_end(tokenizer) is None
