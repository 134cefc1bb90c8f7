"""A place to play: draw or type a problem and see what each model answers, step by step, with the labels.

Promises: models are loaded once; a typed problem that the world cannot read is still asked, and then labelled by its
arithmetic and opening words alone. Needs torch and transformers. Raises ValueError with what to type next.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from midway.lab.checkpoints import SHIPPED
from midway.lab.reader import read_question
from midway.lab.world import CUES, WAYS, guided_messages, label, plain_messages, questions
from midway.records import Question

RIGHT, WRONG = "✓", "✗"
HELP = "Enter: draw a problem. Or type one. /ways: ask again with every cue. /again: ask again. /quit: leave."


def find_models(given: Sequence[str], run: Path | None) -> dict[str, Path]:
    """The shipped base model, those given as NAME=DIRECTORY, and the mid-trained and RL models of a run."""
    models = {"base": SHIPPED}
    for item in given:
        name, _, directory = item.partition("=")
        if not directory:
            raise ValueError(f"--model takes NAME=DIRECTORY, not {item!r}")
        models[name] = Path(directory)
    if run is not None:
        if not (run / "arms").is_dir():
            raise ValueError(f"{run} is no run directory: it has no folder arms")
        for path in sorted((run / "arms").glob("*/**/config.json")):
            if "checkpoint-" not in str(path):
                models["/".join(path.parent.relative_to(run / "arms").parts)] = path.parent
    for name, path in models.items():
        if not (path / "config.json").is_file():
            raise ValueError(f"no model for {name}: {path} has no config.json")
    return models


class Table:
    """The models, the source of problems, and the printing."""

    def __init__(self, models: Mapping[str, Path], families: Sequence[str], levels: Sequence[int], seed: int) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.families, self.levels, self.seed, self.count = families, levels, seed, 0
        self.models: dict[str, tuple[Any, Any]] = {
            name: (AutoModelForCausalLM.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path))
            for name, path in models.items()
        }

    def drawn(self) -> Question:
        """The next problem of the seed."""
        self.count += 1
        return questions("test", self.count, self.seed, self.families, self.levels)[-1]

    def typed(self, text: str) -> Question:
        """A problem from its text; its answer and numbers are worked out when the world can read it."""
        return read_question(text) or Question("math", text, "")

    def ask(self, name: str, question: Question, way: str, samples: int, temperature: float) -> list[str]:
        """Sample answers of one model; `way` '' asks without a cue."""
        import torch

        model, tokenizer = self.models[name]
        messages = guided_messages(question, way) if way else plain_messages(question)
        inputs = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        inputs.pop("token_type_ids", None)
        torch.manual_seed(random.Random(f"{self.seed}/{question.id}/{name}/{way}").randrange(2**31))
        how: dict[str, Any] = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {}
        out = model.generate(**inputs, **how, num_return_sequences=samples if temperature else 1, max_new_tokens=128)
        return list(tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True))

    def show(self, question: Question, way: str, samples: int, temperature: float) -> None:
        """Print the problem and every model's answers with the labels."""
        where = f"{question.meta['family']}, level {question.meta['level']}" if question.meta else "not of this world"
        print(f"\n[{where}] {question.text}" + (f"  -> {question.answer}" if question.answer else ""))
        if way and way != "all" and way not in WAYS:
            raise ValueError(f"unknown way {way!r}: choose from all, {', '.join(WAYS)}")
        for name in self.models:
            for one in WAYS if way == "all" else (way,):
                for text in self.ask(name, question, one, samples, temperature):
                    self.print_answer(name + (f" ({CUES[one]})" if one else ""), question, text)

    def print_answer(self, title: str, question: Question, text: str) -> None:
        found = label(question, text)
        mark = (RIGHT if found.answer_right else WRONG) if question.answer else " "
        print(f"  {title}: {found.answer or 'no answer'} {mark}{'  hybrid' if found.composed else ''}")
        for step in found.steps:
            print(f"      {RIGHT if step.right else WRONG} {step.text:<40} {step.way}")
        if found.direct:
            print("        (answered at once)")

    def loop(self, way: str, samples: int, temperature: float) -> None:
        """Read lines until /quit or the end of input."""
        print(HELP)
        question: Question | None = None
        while True:
            try:
                line = input("> ").strip()
            except EOFError:
                return
            if line == "/quit":
                return
            if line in ("/ways", "/again") and question is None:
                print(HELP)
                continue
            if line not in ("/ways", "/again"):
                question = self.typed(line) if line else self.drawn()
            assert question is not None
            self.show(question, "all" if line == "/ways" else way, samples, temperature)
