"""The other side of `crosscheck.py`: lm-evaluation-harness and evalplus, in an environment of their own. Imports nothing of midway.

    python crosscheck_peers.py lm-eval IN.jsonl OUT.jsonl [--model PATH --tokens N --stop TEXT]
    python crosscheck_peers.py evalplus IN.jsonl OUT.jsonl --tests HumanEvalPlus.jsonl.gz

lm-eval: rows of {id, prompt, answer}; each has `text` (a stored completion), unless --model writes them: greedy, float32, batch 1. They are
judged as lm-eval's own GSM8K task does it: `flexible` takes the last number, `strict` what follows `####`. evalplus: rows of {id, task_id}
with a `program`, or with a `text` in which evalplus finds one (`sanitize`), judged on the base inputs of HumanEval by the results of the
reference program.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

TASK = """
task: crosscheck
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: generate_until
doc_to_text: "{{prompt}}"
doc_to_target: "{{answer}}"
num_fewshot: 0
target_delimiter: ""
generation_kwargs: {until: STOP, do_sample: false, temperature: 0.0, max_gen_toks: TOKENS}
filter_list:
  - name: strict
    filter:
      - {function: regex, regex_pattern: '#### (\\\\-?[0-9\\\\.\\\\,]+)'}
      - {function: take_first}
  - name: flexible
    filter:
      - {function: regex, group_select: -1, regex_pattern: '(-?[$0-9.,]{2,})|(-?[0-9]+)'}
      - {function: take_first}
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    ignore_case: true
    ignore_punctuation: false
    regexes_to_ignore: [',', '\\\\$', '(?s).*#### ', '\\\\.$']
""".replace("\\\\", "\\")


WAIT = 30.0
"""Seconds of wall clock that evalplus waits for one input: with its own 4 s a busy machine would judge, not a program."""


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def lm_eval(rows: list[dict[str, Any]], model: str | None, tokens: int, stop: list[str]) -> list[dict[str, Any]]:
    """Return for each row its text and lm-eval's verdicts."""
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    class Stored(LM):
        """Answers with what is stored."""

        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            return [texts[request.doc["id"]] for request in requests]

        def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> Any:
            raise NotImplementedError

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> Any:
            raise NotImplementedError

    texts = {row["id"]: row.get("text", "") for row in rows}
    if model is None:
        engine: Any = Stored()
    else:
        from lm_eval.models.huggingface import HFLM

        engine = HFLM(pretrained=model, dtype="float32", batch_size=1, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.jsonl"
        keep = ("id", "prompt", "answer")
        data.write_text("".join(json.dumps({key: row[key] for key in keep}) + "\n" for row in rows), encoding="utf-8")
        task = (
            TASK.replace("DATA", json.dumps(str(data))).replace("TOKENS", str(tokens)).replace("STOP", json.dumps(stop))
        )
        (Path(folder) / "crosscheck.yaml").write_text(task, encoding="utf-8")
        found = simple_evaluate(
            model=engine,
            tasks=["crosscheck"],
            task_manager=TaskManager(include_path=folder, include_defaults=False),
            log_samples=True,
            bootstrap_iters=0,
        )
    out: dict[str, dict[str, Any]] = {row["id"]: {"id": row["id"]} for row in rows}
    for sample in found["samples"]["crosscheck"]:
        one = out[sample["doc"]["id"]]
        one["text"] = sample["resps"][0][0]
        one[sample["filter"]] = bool(sample["exact_match"])
        one[f"{sample['filter']}_extracted"] = sample["filtered_resps"][0]
    return list(out.values())


def evalplus(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return evalplus' verdict on each program, and the program."""
    from evalplus.evaluate import check_correctness
    from evalplus.gen.util import trusted_exec
    from evalplus.sanitize import sanitize

    tasks = {one["task_id"]: one for one in tests}
    expected: dict[str, dict[str, Any]] = {}
    out = []
    for row in rows:
        task = tasks[row["task_id"]]
        if row["task_id"] not in expected:
            whole = task["prompt"] + task["canonical_solution"]
            results, seconds = trusted_exec(whole, task["base_input"], task["entry_point"], record_time=True)
            expected[row["task_id"]] = {"base": results, "base_time": seconds, "plus": [], "plus_time": []}
        program = row["program"] if "program" in row else sanitize(row["text"], task["entry_point"])
        found = check_correctness(
            "humaneval", 0, task, program, expected[row["task_id"]], base_only=True, min_time_limit=WAIT
        )
        status = str(found["base"][0])
        out.append({"id": row["id"], "correct": status == "pass", "status": status, "program": program})
    return out


tests: list[dict[str, Any]] = []


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=["lm-eval", "evalplus"])
    parser.add_argument("rows", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--stop", action="append", default=[])
    parser.add_argument("--tests", type=Path)
    given = parser.parse_args()
    rows = read(given.rows)
    if given.peer == "lm-eval":
        out = lm_eval(rows, given.model, given.tokens, given.stop)
    else:
        import gzip

        with gzip.open(given.tests, "rt", encoding="utf-8") as file:
            tests.extend(json.loads(line) for line in file)
        out = evalplus(rows)
    given.out.write_text("".join(json.dumps(one) + "\n" for one in out), encoding="utf-8")


if __name__ == "__main__":
    main()
