"""What a lab model can do: sampled accuracy per family, unprompted and with each fitting way's cue.

Promises: the same model, seed and thread count give the same figures; nothing is written. Needs torch and transformers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from midway.lab.world import (
    COMPOSITES,
    FAMILIES,
    OOD,
    SINGLES,
    WorldConfig,
    guided_messages,
    label,
    plain_messages,
    questions,
)
from midway.records import Message, Question


@dataclass(frozen=True, slots=True)
class Ability:
    """Of `n` sampled answers the shares that are right, that are right in every step, and that use the way asked
    for."""

    n: int
    right: float
    sound: float
    adherent: float


def sample(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[Message]],
    *,
    seed: int = 0,
    temperature: float = 1.0,
    max_new_tokens: int = 64,
    batch: int = 256,
) -> list[str]:
    """Return one answer for each prompt, sampled from the full distribution (greedy at temperature 0)."""
    import torch

    torch.manual_seed(seed)
    texts = [tokenizer.apply_chat_template(list(p), tokenize=False, add_generation_prompt=True) for p in prompts]
    order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
    out = [""] * len(texts)
    how: dict[str, Any] = (
        {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    )
    for at in range(0, len(order), batch):
        rows = order[at : at + batch]
        inputs = tokenizer(
            [texts[i] for i in rows], return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
        )
        inputs.pop("token_type_ids", None)
        with torch.no_grad():
            ids = model.generate(**inputs, **how, max_new_tokens=max_new_tokens, pad_token_id=tokenizer.pad_token_id)
        answers = tokenizer.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for i, answer in zip(rows, answers, strict=True):
            out[i] = answer
    return out


def measure(
    model: Any,
    tokenizer: Any,
    n: int,
    seed: int = 0,
    families: Sequence[str] = tuple(FAMILIES),
    world: WorldConfig | None = None,
) -> dict[str, Ability]:
    """Sample `n` answers per family without a cue (`FAMILY`) and with the cue of each way that fits in `world` (`FAMILY / WAY`)."""
    asked: list[tuple[str, Question, str]] = []
    for family in families:
        drawn = questions("test", n, seed, [family], config=world)
        asked += [(family, question, "") for question in drawn]
        for way in dict.fromkeys(way for question in drawn for way in question.meta["ways"]):
            asked += [(f"{family} / {way}", question, way) for question in drawn]
    prompts = [guided_messages(q, way) if way else plain_messages(q) for _, q, way in asked]
    texts = sample(model, tokenizer, prompts, seed=seed, max_new_tokens=96 if world and world.explicit else 64)
    count: Counter[str] = Counter()
    right: Counter[str] = Counter()
    sound: Counter[str] = Counter()
    adherent: Counter[str] = Counter()
    for (key, question, way), text in zip(asked, texts, strict=True):
        found = label(question, text)
        count[key] += 1
        right[key] += found.answer_right
        sound[key] += found.sound
        adherent[key] += way in found.ways if way else found.direct
    return {k: Ability(count[k], right[k] / count[k], sound[k] / count[k], adherent[k] / count[k]) for k in count}


def table(abilities: dict[str, Ability]) -> str:
    """The figures as a Markdown table. For rows without a way the last column is the share of bare answers."""
    kinds = {**dict.fromkeys(SINGLES, "single"), **dict.fromkeys(COMPOSITES, "composite"), **dict.fromkeys(OOD, "ood")}
    lines = [
        "| kind | family | cue | n | right | every step right | in the way asked for |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, a in abilities.items():
        family, _, way = key.partition(" / ")
        last = f"{100 * a.adherent:.0f} %" if way else f"({100 * a.adherent:.0f} % answer at once)"
        cells = [
            kinds[family],
            family,
            way or "none",
            str(a.n),
            f"{100 * a.right:.0f} %",
            f"{100 * a.sound:.0f} %",
            last,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
