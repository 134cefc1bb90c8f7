"""Can the adherence scorers tell whether a lab completion really took the way that it was asked for? Area under the curve, by seed.

    python benchmarks/adherence.py [--model DIR] [--questions 40] [--seeds 0 1 2]

The lab's model writes solutions; the lab's labeller says which ways a text uses. The model nearly always does as its cue says, so a share
of the completions (--drift, half) is written under another cue than the one they are filed under: a model that ignores its prompt
half of the time. For each seed (of questions and of sampling) and scorer: AUC against `the way asked for is among the ways used`, with
its interval; whether the asked cue wins over rivals (`discrimination`, which needs no labels); agreement of the scorers.

- likelihood: the model itself, four rivals.
- reward-model: the lab's model with a scalar head, trained here for a minute at most on labelled completions of other questions.
- reward-model, untrained: the same with a random head. It cannot tell, and has to be reported so.

No judge: nothing that fits on a laptop can follow its rubric.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from midway.adherence import LikelihoodScorer, RewardModelScorer, Scorer, agreement, discrimination, label_auc
from midway.engines.transformers import HFEngine
from midway.lab.checkpoints import base_checkpoint
from midway.lab.world import CUES, guided_messages, label, questions
from midway.records import PHASES, Completion, Heuristic, Prompt, Question, Request, Sampling, content_id

CATALOGUE = {way: Heuristic(way, cue, "", dict.fromkeys(PHASES, "")) for way, cue in CUES.items()}
Item = tuple[Question, Completion]


def prompt(question: Question, heuristic: Heuristic | None) -> Prompt:
    """Return the lab's guided prompt."""
    if heuristic is None:
        return Prompt(messages=({"role": "user", "content": question.text},))
    return Prompt(messages=tuple(guided_messages(question, heuristic.slug)))


def written(engine: HFEngine, split: Any, n: int, seed: int, drift: float) -> list[Item]:
    """Return one completion of each question and fitting way; a share `drift` is written under another way's cue."""
    asked, made, rng = {}, [], random.Random(seed)
    for question in questions(split, n, seed):
        for way in question.meta["ways"]:
            cue = rng.choice([w for w in CATALOGUE if w != way]) if rng.random() < drift else way
            id_ = content_id(seed, question.id, way)
            asked[id_] = question
            made.append(Request(id_, prompt(question, CATALOGUE[cue]), Sampling(max_tokens=96), question.id, way))
    return sorted(((asked[c.id], c) for c in engine.generate(made) if c.text), key=lambda item: item[1].id)


def train_reward(base: str, items: list[Item], folder: Path, steps: int) -> None:
    """Fine-tune a scalar head and the body to say whether a text uses the way of the criterion; save it."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if not steps:
        return
    reader = RewardModelScorer(str(folder), CATALOGUE)
    model, rng = reader.model.train(), random.Random(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(steps):
        batch = []
        for question, completion in rng.choices(items, k=32):
            used = label(question, completion.text).ways
            way = rng.choice(used) if used and rng.random() < 0.5 else rng.choice(list(CATALOGUE))
            batch.append((reader.tokens(question, completion, way), float(way in used)))
        width = max(len(ids) for ids, _ in batch)
        ids = torch.tensor([t + [reader.tokenizer.pad_token_id] * (width - len(t)) for t, _ in batch])
        mask = torch.tensor([[1] * len(t) + [0] * (width - len(t)) for t, _ in batch])
        logits = model(input_ids=ids, attention_mask=mask).logits[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor([y for _, y in batch]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None, help="A lab checkpoint; the shipped one if left out.")
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--drift", type=float, default=0.5, help="Share of completions written under another cue.")
    parser.add_argument("--steps", type=int, default=250, help="Training steps of the reward model.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.model = args.model or str(base_checkpoint())
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    engine = HFEngine.around(AutoModelForCausalLM.from_pretrained(args.model).eval(), tokenizer, batch_size=64)
    with tempfile.TemporaryDirectory() as folder:
        trained, untrained = Path(folder) / "trained", Path(folder) / "untrained"
        for path, steps in ((trained, args.steps), (untrained, 0)):
            train_reward(args.model, written(engine, "train", 60, 99, args.drift) if steps else [], path, steps)
        for seed in args.seeds:
            items = written(engine, "test", args.questions, seed, args.drift)
            followed = {c.id: c.heuristic in label(q, c.text).ways for q, c in items}
            print(
                f"seed {seed}: {len(items)} completions of {args.questions} questions, {sum(followed.values())} took the way asked for"
            )
            scorers: dict[str, Scorer] = {
                "likelihood": LikelihoodScorer(engine, prompt, CATALOGUE),
                "reward-model": RewardModelScorer(str(trained), CATALOGUE),
                "reward-model, untrained": RewardModelScorer(str(untrained), CATALOGUE),
            }
            scores = {}
            for name, scorer in scorers.items():
                start = time.monotonic()
                scores[name] = {a.completion_id: a.score for a in scorer.score(items)}
                known = [(s, followed[c.id], q.id) for q, c in items if (s := scores[name][c.id]) is not None]
                auc = label_auc([s for s, _, _ in known], [f for _, f, _ in known], [q for _, _, q in known])
                found = discrimination(scorer, items, CATALOGUE)
                print(
                    f"  {name}: AUC against the true way {auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}] on {len(known)}"
                )
                print(f"    {found.sentence()} ({time.monotonic() - start:.1f} s)")
                if "calibration" in scorer.state():
                    fit = scorer.state()["calibration"]
                    print("    held out: " + ", ".join(f"{k} {v:.3f}" for k, v in fit.items() if isinstance(v, float)))
            pair = agreement(scores["likelihood"], scores["reward-model"])
            print("  likelihood and reward-model: " + ", ".join(f"{k} {v:.2f}" for k, v in pair.items()))


if __name__ == "__main__":
    main()
