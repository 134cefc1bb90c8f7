"""Adherence by a reward model: any Hugging Face sequence-classification checkpoint with one output, with the heuristic as criterion.

Promises: the model sees the question with the instruction to use the heuristic as the user's turn, and the completion as the assistant's,
in the model's own chat template (plain text, one below the other, if it has none). The score is the raw reward: comparable among the
solutions of one question, on no fixed scale. A text longer than the model can read is not cut: its score is None, and it is counted.

When things go wrong: ValueError for a checkpoint that has not exactly one output. Importing this module loads no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from midway.adherence.base import Comparison, Item, own
from midway.records import PHASES, Adherence, Completion, Heuristic, Question

WINDOW = 256
"""Texts that are sorted by length together."""


def criterion(question: Question, heuristic: Heuristic) -> str:
    """Return the user's turn: the question and the approach that is asked for."""
    choices = [f"({chr(65 + i)}) {choice}" for i, choice in enumerate(question.choices)]
    cues = [f"- {heuristic.cues[p]}" for p in PHASES if heuristic.cues.get(p)]
    return "\n".join(
        [question.text, *choices, "", f"Solve it with this approach: {heuristic.title}. {heuristic.description}", *cues]
    )


class RewardModelScorer:
    """A reward model; see the module."""

    name = "reward-model"

    def __init__(
        self,
        path: str,
        catalogue: Mapping[str, Heuristic],
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 8,
        trust_remote_code: bool = False,
    ) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        known = {"revision": revision, "trust_remote_code": trust_remote_code}
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path, **known)
        self.model: Any = AutoModelForSequenceClassification.from_pretrained(path, dtype=dtype, **known)
        if self.model.config.num_labels != 1:
            raise ValueError(
                f"{path} has {self.model.config.num_labels} outputs: a reward model has one\n"
                "  set `adherence.model` to a sequence-classification checkpoint with num_labels 1"
            )
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.model.config.pad_token_id = self.tokenizer.pad_token_id
        self.model.to(device).eval()
        self.device, self.batch_size, self.catalogue = device, batch_size, catalogue
        self.limit = int(getattr(self.model.config, "max_position_embeddings", None) or 10**9)
        self.too_long = self.scored = 0

    def state(self) -> dict[str, Any]:
        return {"scored": self.scored, "too_long": self.too_long}

    def score(self, items: Iterable[Item]) -> Iterator[Adherence]:
        """Yield raw rewards in the order of `items`."""
        rows = ((q, c, [own(c, self.catalogue).slug]) for q, c in items)
        for (_, completion, _), scores in self._scored(rows):
            yield Adherence(completion.id, scores[0], self.name)

    def compare(self, items: Iterable[Comparison]) -> Iterator[list[float | None]]:
        """Yield the raw reward under each heuristic as criterion."""
        for _, scores in self._scored(items):
            yield scores

    def tokens(self, question: Question, completion: Completion, slug: str) -> list[int]:
        """Return what the model reads."""
        asked = criterion(question, self.catalogue[slug])
        if self.tokenizer.chat_template:
            turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": completion.text}]
            return list(self.tokenizer.apply_chat_template(turns, tokenize=True, return_dict=True)["input_ids"])
        return list(self.tokenizer(f"{asked}\n\n{completion.text}")["input_ids"])

    def _scored(self, items: Iterable[Comparison]) -> Iterator[tuple[Comparison, list[float | None]]]:
        stream = iter(items)
        while window := list(islice(stream, WINDOW)):
            texts = [self.tokens(q, c, slug) for q, c, slugs in window for slug in slugs]
            scores = iter(self._rewards(texts))
            for item in window:
                yield item, [next(scores) for _ in item[2]]

    def _rewards(self, texts: list[list[int]]) -> list[float | None]:
        import torch

        out: list[float | None] = [None] * len(texts)
        fit = sorted((i for i, t in enumerate(texts) if 0 < len(t) <= self.limit), key=lambda i: len(texts[i]))
        self.too_long += len(texts) - len(fit)
        self.scored += len(fit)
        for start in range(0, len(fit), self.batch_size):
            batch = fit[start : start + self.batch_size]
            width = max(len(texts[i]) for i in batch)
            ids = torch.full((len(batch), width), self.tokenizer.pad_token_id, dtype=torch.long)
            mask = torch.zeros((len(batch), width), dtype=torch.long)
            for row, i in enumerate(batch):  # padding on the right, as the models find the last token by it
                ids[row, : len(texts[i])] = torch.tensor(texts[i])
                mask[row, : len(texts[i])] = 1
            with torch.inference_mode():
                logits = self.model(input_ids=ids.to(self.device), attention_mask=mask.to(self.device)).logits
            for i, value in zip(batch, logits[:, 0].float().tolist(), strict=True):
                out[i] = value
        return out
