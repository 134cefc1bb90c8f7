"""Task metrics while RL runs: every N steps a few questions of each benchmark are answered and judged inside TRL's loop.

Promises: the figures go where TRL's own go (metrics.jsonl and every tracker in `report_to`), under `eval/BENCHMARK/...`: `pass@1`,
`no-answer`, `truncated`, `unjudged`, and, where a program can label, `composed`, the share of answers that it says to use two or more ways
(the lab's: besides splitting into parts), as in the report; the share that uses each way is `ways/BENCHMARK/SLUG`. The same questions and
seeds at every step, so a curve moves only because the model does.

Weights that FSDP shards over processes are gathered for it (`whole`). When things go wrong: under DeepSpeed they are not; the callback says
so once and stays silent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
import torch
from transformers import TrainerCallback

from midway.domains import Verifier
from midway.engines.transformers import HFEngine
from midway.questions import from_frame
from midway.records import Finish, Judgement, Prompt, Question, Request, Sampling, completion_id
from midway.registry import load_object
from midway.training.trainers.trl.whole import possible, whole_weights


class CurveCallback(TrainerCallback):  # type: ignore[misc]
    """See the module. `sets` maps a benchmark's name to its slice: `rows` (Parquet with question records and prompts), `sampling`,
    `samples`, `labeller` (`module:function`, or None)."""

    def __init__(self, trainer: Any, every: int, sets: Sequence[Mapping[str, Any]], verifier: Verifier) -> None:
        self.trainer, self.every, self.verifier = trainer, every, verifier
        self.sets = [_Slice(**one) for one in sets]
        self.possible = True

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 0:
            self._measure(args, state, control)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.every == 0:
            self._measure(args, state, control)

    def _measure(self, args: Any, state: Any, control: Any) -> None:
        if not self.possible:
            return
        if not possible(self.trainer):
            self.possible = False
            if state.is_world_process_zero:
                print("midway: no curves during RL: DeepSpeed holds the weights")
            return
        with whole_weights(self.trainer) as model:
            if model is not None:
                self._measure_with(model, args, state, control)

    def _measure_with(self, model: Any, args: Any, state: Any, control: Any) -> None:
        rng = torch.random.get_rng_state()
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                engine = HFEngine.around(model, self.trainer.processing_class)
                logs = {k: v for one in self.sets for k, v in one.measure(engine, self.verifier).items()}
        finally:
            model.train(training)
            torch.random.set_rng_state(rng)
        # not trainer.log(): that would empty TRL's own averages of the current step; and on_log takes back the wish to log them
        wish = control.should_log
        self.trainer.callback_handler.on_log(args, state, control, logs)
        control.should_log = wish


class _Slice:
    def __init__(
        self,
        name: str,
        rows: str,
        sampling: Mapping[str, Any],
        samples: int,
        labeller: str | None = None,
        template: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        frame = pl.read_parquet(rows)
        self.questions = from_frame(frame)
        self.label: Callable[[Question, str], Any] | None = None
        if labeller:
            self.label = load_object(labeller)
        how = Sampling(**{**sampling, "stop": tuple(sampling.get("stop", ()))})
        self.requests = []
        for question, shown in zip(self.questions, frame["prompt"].to_list(), strict=True):
            prompt = (
                Prompt(text=shown) if isinstance(shown, str) else Prompt(messages=tuple(shown), template=template or {})
            )
            for index in range(samples):
                id_ = completion_id(question.id, "curve", prompt.key(), name, how, index)
                self.requests.append(Request(id_, prompt, how, question.id, "curve", index))

    def measure(self, engine: HFEngine, verifier: Verifier) -> dict[str, float]:
        """Return the slice's metrics for the engine's weights."""
        by_id = {q.id: q for q in self.questions}
        done = [c for c in engine.generate(self.requests) if c.finish is not Finish.ERROR]
        verdicts = list(verifier.verify_batch((by_id[c.question_id], c.text, c.finish is Finish.LENGTH) for c in done))
        judged = [v for v in verdicts if v.judgement is not Judgement.UNJUDGED]
        count = max(1, len(done))
        out = {
            "pass@1": sum(v.correct for v in judged) / max(1, len(judged)),
            "no-answer": sum(v.reason.startswith("no-answer") for v in verdicts) / count,
            "truncated": sum(c.finish is Finish.LENGTH for c in done) / count,
            "unjudged": (len(verdicts) - len(judged)) / count,
        }
        mix: dict[str, float] = {}
        if self.label:
            ways: Counter[str] = Counter()
            composed = 0
            for completion in done:
                found = self.label(by_id[completion.question_id], completion.text)
                ways.update(set(found.ways))
                composed += bool(found.composed)
            mix = {f"ways/{self.name}/{way}": n / count for way, n in ways.items()}
            out["composed"] = composed / count
        return {**{f"eval/{self.name}/{key}": value for key, value in out.items()}, **mix}
