"""midway's evaluation beside lm-evaluation-harness and evalplus, question by question: are texts equal, are verdicts equal?

    python -m venv .venv-crosscheck && .venv-crosscheck/bin/pip install 'lm-eval[hf]' evalplus
    python benchmarks/crosscheck.py stored DATA --peers .venv-crosscheck/bin/python
    python benchmarks/crosscheck.py run smollm2 --peers .venv-crosscheck/bin/python [--limit 200] [--tokens 200]
    python benchmarks/crosscheck.py programs smollm2 --tests DATA/humaneval_plus/test.jsonl.gz --peers ... [--samples 4] [--tokens 320]

- stored: completions that are on disk are judged by both; no model is needed. GSM8K: 5,276 answers of real models with the verdict that
  their publisher gave them (DATA/gsm8k_model_solutions/all.jsonl.gz). HumanEval: the reference programs, and programs that differ from one
  in one place (DATA/humaneval/test.jsonl, DATA/humaneval_plus/test.jsonl.gz).
- run: a model answers GSM8K and SVAMP (`--limit` questions of each) in midway and in lm-eval: same prompts, greedy, same
  checkpoint, float32, batch 1. Texts are compared to the letter, verdicts one by one.
- programs: a model answers HumanEval in midway, greedily and `--samples` times at temperature 0.8. Both judge the same texts: midway finds
  the program in its own way and runs the published tests; evalplus finds it in another and compares results with its reference program.

Prints two-by-two tables with Cohen's kappa, and every disagreement with what each side read. `--json FILE` keeps them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from verify import mutants_of

from midway.domains import Verifier
from midway.engines import TransformersEngine, open_engine
from midway.engines.text import render, turn_end
from midway.heuristics import build_prompt
from midway.questions import load
from midway.recipe import ModelConfig, SourceConfig
from midway.records import CodeTests, Question, Request, Sampling
from midway.workbench import find_model

MUTANTS = 3
"""Changed programs of a HumanEval task, where `--mutants` does not say."""


def jsonl(path: Path) -> list[dict[str, Any]]:
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def peer(python: str, kind: str, rows: Sequence[Mapping[str, Any]], *more: str) -> dict[str, dict[str, Any]]:
    """Have the other library judge rows in its own environment; return its answers by id."""
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "in.jsonl", Path(folder) / "out.jsonl"
        given.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        script = Path(__file__).with_name("crosscheck_peers.py")
        command = [python, str(script), kind, str(given), str(out), *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return {row["id"]: row for row in jsonl(out)}


def kappa(pairs: Sequence[tuple[bool, bool]]) -> float:
    """Return Cohen's kappa of two judges: (observed - expected agreement) / (1 - expected); NaN where both always say the same."""
    n = len(pairs)
    seen = sum(a == b for a, b in pairs) / n
    first, second = sum(a for a, _ in pairs) / n, sum(b for _, b in pairs) / n
    chance = first * second + (1 - first) * (1 - second)
    return (seen - chance) / (1 - chance) if chance < 1 else float("nan")


def table(name: str, first: str, second: str, pairs: Sequence[tuple[bool, bool]]) -> dict[str, Any]:
    """Print and return a two-by-two table."""
    counts = Counter(pairs)
    both, only_first, only_second, neither = (
        counts[k] for k in ((True, True), (True, False), (False, True), (False, False))
    )
    value = kappa(pairs)
    print(
        f"{name}: both right {both:,}, right by {first} alone {only_first:,}, by {second} alone {only_second:,}, both wrong {neither:,}; "
        f"agreement {(both + neither) / len(pairs):.2%}, kappa {value:.4f}"
    )
    return {
        "set": name, "first": first, "second": second, "both_right": both, "only_first": only_first, "only_second": only_second,
        "both_wrong": neither, "kappa": value,
    }  # fmt: skip


def stored_gsm8k(data: Path, python: str) -> dict[str, Any]:
    """Answers of real models, judged by midway, by lm-eval and by their publisher."""
    rows = jsonl(data / "gsm8k_model_solutions" / "all.jsonl.gz")
    questions = [Question(domain="math", text=row["question"], answer=str(row["answer"])) for row in rows]
    started = time.perf_counter()
    with Verifier(2) as verifier:
        ours = list(
            verifier.verify_batch((q, row["completion"], False) for q, row in zip(questions, rows, strict=True))
        )
    took = time.perf_counter() - started
    theirs = peer(
        python,
        "lm-eval",
        [
            {"id": str(n), "prompt": row["question"], "answer": str(row["answer"]), "text": row["completion"]}
            for n, row in enumerate(rows)
        ],
    )
    print(f"GSM8K, {len(rows):,} stored completions; midway took {took:.0f} s")
    published = [bool(row["correct"]) for row in rows]
    mine = [verdict.correct for verdict in ours]
    flexible = [theirs[str(n)]["flexible"] for n in range(len(rows))]
    tables = [
        table("GSM8K", "midway", "lm-eval", list(zip(mine, flexible, strict=True))),
        table("GSM8K", "midway", "the publisher", list(zip(mine, published, strict=True))),
        table("GSM8K", "lm-eval", "the publisher", list(zip(flexible, published, strict=True))),
    ]
    apart = []
    for n, row in enumerate(rows):
        if len({mine[n], flexible[n], published[n]}) > 1:
            apart.append(
                {
                    "id": row.get("id", n),
                    "gold": str(row["answer"]),
                    "midway": mine[n],
                    "midway_read": ours[n].extracted,
                    "reason": ours[n].reason,
                    "lm_eval": flexible[n],
                    "lm_eval_read": theirs[str(n)]["flexible_extracted"],
                    "published": published[n],
                    "end": row["completion"][-160:],
                }
            )
    return {"tables": tables, "apart": apart}


def stored_humaneval(data: Path, python: str, mutants: int = MUTANTS) -> dict[str, Any]:
    """The reference programs of HumanEval and programs that differ in one place, judged by midway's published tests and by evalplus."""
    file = data / "humaneval_plus" / "test.jsonl.gz"
    published = {row["task_id"]: row for row in jsonl(data / "humaneval" / "test.jsonl")}
    rows, questions = [], []
    for task in published.values():
        whole = task["prompt"] + task["canonical_solution"]
        tests = CodeTests(prompt=task["prompt"], entry_point=task["entry_point"], test=task["test"])
        changed = [text for _, text in zip(range(mutants), (text for _, text in mutants_of(whole)), strict=False)]
        for k, program in enumerate([whole, *changed]):
            rows.append({"id": f"{task['task_id']}-{k}", "task_id": task["task_id"], "program": program})
            questions.append(Question("code", task["prompt"], tests=tests, meta={"time_limit": 5}))
    items = [(q, f"```python\n{row['program']}\n```", False) for q, row in zip(questions, rows, strict=True)]
    print(
        f"HumanEval, {len(rows):,} programs: {len(published)} references, {len(rows) - len(published)} changed in one place"
    )
    return judged_by_both("HumanEval", rows, items, python, file)


def judged_by_both(
    name: str, rows: Sequence[Mapping[str, Any]], items: Sequence[tuple[Question, str, bool]], python: str, tests: Path
) -> dict[str, Any]:
    """Answers to HumanEval, judged by midway (`items`) and by evalplus (`rows`, in the same order): the table, and those apart."""
    with Verifier(2) as verifier:
        ours = list(verifier.verify_batch(items))
    theirs = peer(python, "evalplus", rows, "--tests", str(tests))
    pairs = [(verdict.correct, theirs[row["id"]]["correct"]) for verdict, row in zip(ours, rows, strict=True)]
    apart = [
        {
            "id": row["id"],
            "midway": a,
            "reason": verdict.reason,
            "evalplus": b,
            "status": theirs[row["id"]]["status"],
            "cut_off": cut,
            "text": text,
            "program": theirs[row["id"]]["program"],
        }
        for (a, b), verdict, row, (_, text, cut) in zip(pairs, ours, rows, items, strict=True)
        if a != b
    ]
    return {"tables": [table(name, "midway", "evalplus", pairs)], "apart": apart}


def run(model: str, python: str, names: Sequence[str], limit: int, tokens: int) -> dict[str, Any]:
    """The same questions, prompts and checkpoint in both, greedy, float32, one row at a time."""
    path = find_model(model)
    config = ModelConfig(path=path, dtype="float32")
    engine: Any = open_engine(TransformersEngine(batch_size=1), config, model_path=path)
    chat = bool(engine.tokenizer.chat_template)
    tables, apart = [], []
    sets = {name: list(load(SourceConfig(source=name, split="test", limit=limit))) for name in names}
    for source, questions in sets.items():
        prompts = [build_prompt(q, None, chat=chat) for q in questions]
        shown = [render(prompt, engine.tokenizer, chat)[0] for prompt in prompts]
        sampling = Sampling(temperature=0.0, max_tokens=tokens)
        started = time.perf_counter()
        made = [Request(q.id, p, sampling, q.id, "", 0) for q, p in zip(questions, prompts, strict=True)]
        ours = {c.question_id: c for c in engine.generate(made)}
        took = time.perf_counter() - started
        with Verifier(1) as verifier:
            cut = {q.id: ours[q.id].completion_tokens >= tokens for q in questions}
            verdicts = list(verifier.verify_batch((q, ours[q.id].text, cut[q.id]) for q in questions))
        rows = [{"id": q.id, "prompt": text, "answer": q.answer} for q, text in zip(questions, shown, strict=True)]
        end = turn_end(engine.tokenizer) if chat else engine.tokenizer.eos_token
        started = time.perf_counter()
        theirs = peer(python, "lm-eval", rows, "--model", path, "--tokens", str(tokens), "--stop", str(end))
        same = sum(ours[q.id].text == theirs[q.id]["text"] for q in questions)
        print(f"{source}: {same} of {len(questions)} texts are equal to the letter", flush=True)
        print(f"{source}: midway {took:.0f} s, lm-eval {time.perf_counter() - started:.0f} s, with loading", flush=True)
        pairs = [(verdict.correct, theirs[q.id]["flexible"]) for q, verdict in zip(questions, verdicts, strict=True)]
        tables.append({**table(source, "midway", "lm-eval", pairs), "texts": len(questions), "equal_texts": same})
        for q, verdict in zip(questions, verdicts, strict=True):
            mine, other = ours[q.id].text, theirs[q.id]
            if mine != other["text"] or verdict.correct != other["flexible"]:
                first = next(
                    (k for k, (a, b) in enumerate(zip(mine, other["text"], strict=False)) if a != b),
                    min(len(mine), len(other["text"])),
                )
                apart.append(
                    {
                        "set": source,
                        "id": q.id,
                        "gold": q.answer,
                        "midway": verdict.correct,
                        "midway_read": verdict.extracted,
                        "reason": verdict.reason,
                        "lm_eval": other["flexible"],
                        "lm_eval_read": other["flexible_extracted"],
                        "equal_texts": mine == other["text"],
                        "differ_at": first,
                        "end": mine[-160:],
                        "their_end": other["text"][-160:],
                    }
                )
    engine.close()
    return {"tables": tables, "apart": apart}


def programs(model: str, python: str, tests: Path, limit: int, tokens: int, samples: int) -> dict[str, Any]:
    """Answers of a model to HumanEval, judged by midway and by evalplus, each reading the program in its own way."""
    path = find_model(model)
    engine: Any = open_engine(TransformersEngine(batch_size=64), ModelConfig(path=path), model_path=path)
    questions = list(load(SourceConfig(source="humaneval", split="test", limit=limit)))
    made = []
    for q in questions:
        prompt = build_prompt(q, None, chat=bool(engine.tokenizer.chat_template))
        for k in range(1 + samples):
            sampling = Sampling(temperature=0.8 if k else 0.0, max_tokens=tokens)
            made.append(Request(f"{q.id}-{k}", prompt, sampling, q.id, "", k))
    by_id = {q.id: q for q in questions}
    rows, items = [], []
    for one in engine.generate(made):
        q = by_id[one.question_id]
        rows.append({"id": f"{q.name}-{one.index}", "task_id": q.name, "text": one.text})
        items.append((q, one.text, one.completion_tokens >= tokens))
    engine.close()
    print(f"HumanEval, {len(rows):,} answers of {model}: {len(questions)} tasks, greedy and {samples} samples each")
    return judged_by_both("HumanEval, answered", rows, items, python, tests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["stored", "run", "programs"])
    parser.add_argument("name", help="stored: the folder DATA; run, programs: the model")
    parser.add_argument(
        "--peers", default=".venv-crosscheck/bin/python", help="Python of the environment with lm-eval and evalplus"
    )
    parser.add_argument(
        "--sets", nargs="+", default=["gsm8k", "svamp_embedded"], help="run: of mathematics, by midway's names"
    )
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--only", choices=["gsm8k", "humaneval"])
    parser.add_argument("--mutants", type=int, default=MUTANTS)
    parser.add_argument("--tests", type=Path, help="programs: HumanEvalPlus' file")
    parser.add_argument(
        "--samples", type=int, default=4, help="programs: samples of each task besides the greedy answer"
    )
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.what == "run":
        found = [run(given.name, given.peers, given.sets, given.limit, given.tokens)]
    elif given.what == "programs":
        if given.tests is None or not given.tests.is_file():
            parser.error("programs: give HumanEvalPlus' file of tests, --tests DATA/humaneval_plus/test.jsonl.gz")
        found = [programs(given.name, given.peers, given.tests, given.limit, given.tokens, given.samples)]
    else:
        jobs = {"gsm8k": stored_gsm8k, "humaneval": partial(stored_humaneval, mutants=given.mutants)}
        found = [job(Path(given.name), given.peers) for name, job in jobs.items() if given.only in (None, name)]
    apart = [one for part in found for one in part["apart"]]
    for one in apart[:40]:
        print(json.dumps({k: v for k, v in one.items() if k != "program"}, ensure_ascii=False))
    print(f"{len(apart)} rows on which somebody disagrees" + (", the first 40 shown" if len(apart) > 40 else ""))
    if given.json:
        given.json.write_text(
            json.dumps(
                {"tables": [t for part in found for t in part["tables"]], "apart": apart}, indent=1, ensure_ascii=False
            )
        )


if __name__ == "__main__":
    main()
