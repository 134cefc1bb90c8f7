"""Make a base checkpoint: tokenizer, Llama of under a million parameters, a bare training loop.

Promises: a standard Hugging Face directory (config, safetensors, tokenizer, chat template) that AutoModelForCausalLM
and AutoTokenizer load; deterministic for a seed on one machine and thread count. Needs torch and transformers.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from midway.lab.corpus import CorpusConfig, documents, lexicon, sums, worked

PAD, END, USER, ASSISTANT, SYSTEM = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "<|assistant|>{% generation %}{{ message['content'] }}<|end|>{% endgeneration %}"
    "{%- else -%}"
    "{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)
CONTEXT = 512
STEPS = 9000
"""Optimizer steps of the shipped checkpoint."""
MINUTES = 30
"""What that takes on one core, about; with the early lessons at hand (`trunk`), 12."""
BATCH = 32
"""Documents a step."""
LAST_LESSON = 0.65
"""The share of the steps after which the full mix, with its unprompted documents, begins."""
PIECES = r" ?\d+| ?[A-Za-z]+|'s| ?[^\sA-Za-z\d]+|\s"


def make_tokenizer() -> Any:
    """A byte-level tokenizer in which every word of the world, and every number to 99, is one token.

    Text from elsewhere falls back to bytes. Merges are spelled out (no trainer), so it is the same everywhere.
    """
    import re

    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = sorted({piece for text in lexicon() for piece in re.findall(PIECES, text)})
    words = [word.replace(" ", "Ġ") for word in words] + [f"Ġ{number}" for number in range(100)]
    special = [PAD, END, USER, ASSISTANT, SYSTEM]
    vocab = {token: i for i, token in enumerate(special + alphabet)}
    merges: list[tuple[str, str]] = []
    for word in words:
        for i in range(2, len(word) + 1):
            if word[:i] not in vocab:
                vocab[word[:i]] = len(vocab)
                merges.append((word[: i - 1], word[i - 1]))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT, SYSTEM],
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def make_model(tokenizer: Any, seed: int, hidden: int = 128, layers: int = 4) -> Any:
    """A randomly initialised Llama whose vocabulary is the tokenizer's."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.04,
    )
    return LlamaForCausalLM(config)


def encode(tokenizer: Any, docs: list[Any]) -> list[tuple[list[int], int]]:
    """Token ids of each document and the length of its prompt."""
    prompts = ["".join(f"<|{m['role']}|>{m['content']}" for m in messages) + ASSISTANT for messages, _ in docs]
    heads = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    tails = tokenizer([text + END for _, text in docs], add_special_tokens=False)["input_ids"]
    return [(head + tail, len(head)) for head, tail in zip(heads, tails, strict=True)]


def tensors(rows: list[tuple[list[int], int]], pad: int, question_weight: float) -> tuple[Any, Any]:
    """Pad rows on the right; the weights are 1 on the answer and its end, `question_weight` on the prompt."""
    import torch

    width = max(len(row) for row, _ in rows)
    input_ids = torch.full((len(rows), width), pad)
    weight = torch.zeros((len(rows), width))
    for i, (row, head) in enumerate(rows):
        input_ids[i, : len(row)] = torch.tensor(row)
        weight[i, 1:head] = question_weight
        weight[i, head : len(row)] = 1.0
    return input_ids, weight


def pretrain(
    out: Path,
    config: CorpusConfig | None = None,
    *,
    seed: int = 0,
    minutes: float = 8.0,
    steps: int = 0,
    batch: int = BATCH,
    parts: int = 2,
    lr: float = 3e-3,
    hidden: int = 128,
    layers: int = 4,
    question_weight: float = 0.3,
    trunk: Path | None = None,
    start: Path | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, float]:
    """Train a base checkpoint and write it to `out`; returns figures (loss, tokens, seconds, steps).

    Runs for `steps` optimizer steps, or, when that is 0, for `minutes` of wall-clock time (then how far it gets depends
    on the machine). `batch` is in documents, and goes through the model in `parts`.

    `trunk` (only with `steps`) is a file for the state before the last lesson: read when it is there, else written. The
    lessons before it do not depend on the knobs `shown`, `slip`, `misfit`, `prompted` and `direct_*`, so checkpoints
    along these share it, and come out as without it. The caller names one file for each seed, size and world.

    `start` is the directory of a checkpoint of this size to go on from: there are no early lessons then, the full mix comes
    from the first step. With a few hundred steps and a lower `lr` that makes variants of one checkpoint (another `shown`,
    another world) in a minute or two. Raises ValueError together with `trunk`.
    """
    import torch
    import torch.nn.functional as F

    if start and trunk:
        raise ValueError("give either a trunk to share or a checkpoint to start from")
    tokenizer = make_tokenizer()
    model = make_model(tokenizer, seed, hidden, layers)
    if start:
        from transformers import LlamaForCausalLM

        model.load_state_dict(LlamaForCausalLM.from_pretrained(start).float().state_dict())
    say(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens in the vocabulary")
    matrices = [
        p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name and "lm_head" not in name
    ]
    ids = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in ids]
    muon_lr = 0.02 * lr / 3e-3
    muon = torch.optim.Muon(matrices, lr=muon_lr, momentum=0.95, weight_decay=0.01, adjust_lr_fn="original")
    adam = torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.98), weight_decay=0.0)
    config = config or CorpusConfig()
    lessons = (
        (0.05, sums(config, seed)),
        (0.40, documents(worked(config), seed, levels=(1,))),
        (1.00, documents(worked(config), seed + 1)),
    )
    mix = documents(config, seed + 2)
    rng = random.Random(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device).train()
    pool: list[list[tuple[list[int], int]]] = []
    mixing = False
    began, step, tokens, running, told = time.time(), 0, 0, 0.0, 0.0
    branch = 0 if start else round(LAST_LESSON * steps)
    if trunk and trunk.is_file():
        state = torch.load(trunk, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, kept in zip((muon, adam), state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        step, tokens, running = branch, state["tokens"], state["running"]
        say(f"goes on from the shared trunk {trunk} at step {step}")
    before = tokens
    while True:
        done = step / steps if steps else (time.time() - began) / (60 * minutes)
        if done >= 1:
            break
        if trunk and step == branch and not trunk.is_file():
            state = {
                "model": model.state_dict(),
                "optimizers": [muon.state_dict(), adam.state_dict()],
                "tokens": tokens,
                "running": running,
            }
            torch.save(state, trunk.with_suffix(f".{os.getpid()}"))
            os.replace(trunk.with_suffix(f".{os.getpid()}"), trunk)
        last = step >= branch if steps else start is not None or done >= LAST_LESSON
        if last and not mixing:
            pool, mixing = [], True
            rng.seed(seed + 1)
        if len(pool) < parts:
            # chunks of near-equal length in random order: little padding, yet every step sees all kinds of documents
            lesson = mix if last else next(stream for until, stream in lessons if done < until)
            fresh = encode(tokenizer, list(islice(lesson, 32 * batch)))
            fresh.sort(key=lambda item: len(item[0]))
            size = batch // parts
            pool = [fresh[i : i + size] for i in range(0, len(fresh), size)]
            rng.shuffle(pool)
        scale = min(1.0, (step + 1) / 50) * min(1.0, (1 - done) / 0.4)
        for optimizer, base in ((muon, muon_lr), (adam, lr)):
            for group in optimizer.param_groups:
                group["lr"] = base * scale
        told_loss = 0.0
        for rows in [pool.pop() for _ in range(parts)]:
            input_ids, weight = tensors(rows, tokenizer.pad_token_id, question_weight)
            tokens += sum(len(row) for row, _ in rows)
            input_ids, weight = input_ids.to(device), weight.to(device)
            hidden_states = model.model(input_ids).last_hidden_state[:, :-1]
            target, w = input_ids[:, 1:], weight[:, 1:]
            chosen = w > 0
            losses = F.cross_entropy(model.lm_head(hidden_states[chosen]), target[chosen], reduction="none")
            loss = (losses * w[chosen]).sum() / w.sum() / parts
            loss.backward()
            told_loss += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        muon.step()
        adam.step()
        model.zero_grad(set_to_none=True)
        step += 1
        running = told_loss if step == 1 else 0.98 * running + 0.02 * told_loss
        if time.time() - told > 20:
            told = time.time()
            say(
                f"step {step}  {done:.0%}  loss {running:.4f}  {(tokens - before) / (time.time() - began):,.0f} tokens/s"
            )
    seconds = time.time() - began
    model.to("cpu").eval()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return {"loss": running, "tokens": tokens, "seconds": seconds, "steps": step}
