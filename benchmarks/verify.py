"""Measures `midway.verifier` beside the alternatives, each pair in one run on one machine; prints ratios.

    python benchmarks/verify.py DATA [gsm8k] [forms] [programs] [hanging] [agreement] [golds] [plus] [mutants]

DATA is the folder of public benchmark files (`gsm8k_model_solutions/all.jsonl.gz`, `verifier/*.jsonl`, `humaneval/`,
...). Without further words: everything but `plus` and `mutants`, which take minutes.
"""

from __future__ import annotations

import ast
import gzip
import json
import logging
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from midway.domains import Verifier, check_gold
from midway.records import Question, Verdict
from midway.verifier.programs.judge import tests_of

HANG = "\\boxed{\\int_{0}^{\\infty} \\frac{\\sin(x^3) \\ln(x+1)}{x^2+\\cos x} dx}"


def rows(path: Path) -> list[dict[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def timed(pairs: list[tuple[Question, str]], workers: int = 1, **options: Any) -> tuple[list[Verdict], float]:
    with Verifier(workers, **options) as verifier:
        verifier.verify(Question("math", "", answer="6"), "\\boxed{\\sum_{n=1}^{3} n}")  # start what will be needed
        started = time.perf_counter()
        verdicts = list(verifier.verify_batch(pairs))
        return verdicts, time.perf_counter() - started


def math_verify_loop(pairs: list[tuple[str, str]]) -> tuple[list[bool], float]:
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)
    verify(parse("1"), parse("$x$"))
    started = time.perf_counter()
    answers = [bool(verify(parse(gold), parse(text))) for gold, text in pairs]
    return answers, time.perf_counter() - started


def throughput(name: str, table: list[tuple[str, str, bool]], few: int) -> None:
    """`few` rows (evenly taken) go through math-verify; all of them through midway; both per row."""
    pairs = [(Question("math", "", answer=g), t) for g, t, _ in table]
    part = table[:: max(1, len(table) // few)]
    mine, other, theirs = [], [], []
    for k in range(3):  # in turns, since others use the machine too; the best of three counts for both
        ours, seconds = timed(pairs)
        mine.append(seconds / len(table))
        third = part[k::3]
        answers, seconds = math_verify_loop([(g, t) for g, t, _ in third])
        other.append(seconds / len(third))
        theirs += [a == e for a, (_, _, e) in zip(answers, third, strict=True)]
    agreed = sum(v.correct == e for v, (_, _, e) in zip(ours, table, strict=True)) / len(table)
    agreed_other = sum(theirs) / len(part)
    per, per_other = min(mine), min(other)
    print(f"{name}: midway {1e6 * per:.0f} us a row ({len(table)} rows, agrees with the table {agreed:.2%});", end=" ")
    print(f"math-verify {1e6 * per_other:.0f} us ({len(part)} rows, {agreed_other:.2%}); ratio {per_other / per:.1f}")


def gsm8k(data: Path) -> None:
    table = rows(data / "gsm8k_model_solutions" / "all.jsonl.gz")
    throughput("GSM8K completions", [(r["answer"], r["completion"], r["correct"]) for r in table], 500)


def forms(data: Path) -> None:
    table = rows(data / "verifier" / "math_forms.jsonl")
    throughput("math_forms", [(f"${r['gold']}$", f"${r['answer']}$", True) for r in table], len(table))


def agreement(data: Path) -> None:
    for name in ("triples", "math_forms"):
        table = rows(data / "verifier" / f"{name}.jsonl")
        verdicts, _ = timed([(Question("math", "", answer=r["gold"]), r["answer"]) for r in table])
        right: Counter[tuple[str, bool]] = Counter()
        for r, v in zip(table, verdicts, strict=True):
            agrees = v.judgement != "unjudged" and v.correct == r["expected"]
            right[r["basis"], agrees] += 1
            if not agrees:
                print(
                    f"  {r['basis']} {r['id']} {r['gold'][-50:]!r} {r['answer'][-50:]!r} {v.judgement} {v.reason} | {r['note']}"
                )
        for basis in sorted({b for b, _ in right}):
            total = right[basis, True] + right[basis, False]
            print(f"{name} {basis}: {right[basis, True]}/{total} = {right[basis, True] / total:.2%}")


def golds(data: Path) -> None:
    with Verifier(2) as verifier:
        for name in (
            "gsm8k/train.jsonl.gz",
            "gsm8k/test.jsonl",
            "math/train.jsonl.gz",
            "math/test.jsonl.gz",
            "math500/test.jsonl",
        ):
            table = rows(data / name)
            questions = [
                Question("math", r["question"], answer=r["answer"], solution=r["solution"], name=r["id"]) for r in table
            ]
            started = time.perf_counter()
            problems = list(check_gold(questions, verifier))
            counts = Counter(p.check for p in problems)
            print(f"{name}: {len(questions)} golds, {counts['answer']} do not verify against themselves,", end=" ")
            print(f"{counts['solution']} not against their solution ({time.perf_counter() - started:.1f} s)")
            for p in problems:
                print(f"  {p.name} {p.check}: {p.reason}")


def programs(data: Path) -> None:
    table = rows(data / "humaneval" / "test.jsonl")
    table = (table * 2)[:200]
    pairs = [(Question("code", "", tests=tests_of(r)), r["canonical_solution"]) for r in table]
    bare = [f"{r['prompt']}{r['canonical_solution']}\n{r['test']}\ncheck({r['entry_point']})\n" for r in table]
    seconds: dict[str, list[float]] = {"bare": [], "midway": []}
    for _ in range(3):
        started = time.perf_counter()
        failed = sum(subprocess.run([sys.executable, "-c", p], capture_output=True).returncode != 0 for p in bare)
        seconds["bare"].append(time.perf_counter() - started)
        verdicts, took = timed(pairs)
        seconds["midway"].append(took)
    passed = sum(v.correct for v in verdicts)
    ratio = min(seconds["midway"]) / min(seconds["bare"])
    print(
        f"200 HumanEval programs, one at a time, best of 3: bare {min(seconds['bare']):.1f} s ({failed} fail);", end=" "
    )
    print(f"midway in its sandbox {min(seconds['midway']):.1f} s ({passed} pass); ratio {ratio:.2f}")


def hanging(_: Path, total: int = 100_000) -> None:
    question = Question("math", "", answer="5")

    def items() -> Iterator[tuple[Question, str]]:
        for k in range(total):
            yield question, HANG if k % 100 == 50 else f"so the answer is {k % 7}"

    started = time.perf_counter()
    counts: Counter[str] = Counter()
    right = True
    with Verifier(2, cpu_seconds=0.25) as verifier:
        for k, verdict in enumerate(verifier.verify_batch(items())):
            counts[verdict.judgement] += 1
            expected = "unjudged" if k % 100 == 50 else "correct" if k % 7 == 5 else "wrong"
            right = right and verdict.judgement == expected
        workers = len(verifier.pool().processes())
    print(f"{total} verdicts, 1% hanging: {dict(counts)}, each as expected: {right};", end=" ")
    print(f"{workers} workers alive; {time.perf_counter() - started:.0f} s")


CODE_TABLES = (
    "humaneval/test.jsonl",
    "mbpp/test.jsonl",
    "mbpp/sanitized.jsonl",
    "humaneval_plus/test.jsonl.gz",
    "mbpp_plus/test.jsonl.gz",
)


def plus(data: Path) -> None:
    for name in CODE_TABLES:
        table = rows(data / name)
        pairs = []
        for r in table:
            program = f"```python\n{r['code']}\n```" if "code" in r else r["canonical_solution"]
            pairs.append((Question("code", "", tests=tests_of(r)), program))
        verdicts, took = timed(pairs, 2)
        print(f"{name}: {sum(v.correct for v in verdicts)}/{len(table)} canonical programs pass ({took:.0f} s)")
        for r, v in zip(table, verdicts, strict=True):
            if not v.correct:
                print(f"  {r['task_id']}: {v.judgement} {v.reason}")


class _Change(ast.NodeTransformer):
    """Changes the one place number `which` of a program: a comparison, a number, an operation, a piece of text, or the
    value of a `return`, which becomes None."""

    compared: ClassVar = {
        ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
        ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    }  # fmt: skip
    computed: ClassVar = {
        ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
        ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult,
    }  # fmt: skip

    def __init__(self, kind: str, which: int) -> None:
        self.kind, self.left = kind, which

    def turn(self, kind: str) -> bool:
        self.left -= self.kind == kind
        return self.left == -1 and self.kind == kind

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if type(node.ops[0]) in self.compared and self.turn("comparison"):
            return ast.Compare(node.left, [self.compared[type(node.ops[0])](), *node.ops[1:]], node.comparators)
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if type(node.op) in self.computed and self.turn("operation"):
            return ast.BinOp(node.left, self.computed[type(node.op)](), node.right)
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, bool):
            return ast.Constant(not node.value) if self.turn("number") else node
        if isinstance(node.value, (int, float)) and self.turn("number"):
            return ast.Constant(node.value + 1)
        if isinstance(node.value, str) and self.turn("text"):
            return ast.Constant(node.value + "?")
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)  # a docstring does nothing

    def visit_Return(self, node: ast.Return) -> ast.AST:
        if node.value and self.turn("return"):
            return ast.Return(ast.Constant(None))
        return self.generic_visit(node)


KINDS = ("comparison", "number", "operation", "text", "return")


def mutants_of(program: str) -> Iterator[tuple[str, str]]:
    """Kind and text of every program that differs from this one in one place, the small changes first."""
    for kind in KINDS:
        for which in range(200):
            change = _Change(kind, which)
            tree = change.visit(ast.parse(program))
            if change.left >= 0:
                break
            yield kind, ast.unparse(ast.fix_missing_locations(tree))


def mutants(data: Path) -> None:
    """Every row's program, changed in one place after the other, until a change is judged wrong."""
    for name in CODE_TABLES:
        table = [{**r, "plus_input": []} for r in rows(data / name)]
        questions = [Question("code", "", tests=tests_of(r), meta={"time_limit": 3}) for r in table]
        whole = [r["code"] if "code" in r else r["prompt"] + r["canonical_solution"] for r in table]
        left = {k: mutants_of(p) for k, p in enumerate(whole)}
        caught: Counter[str] = Counter()
        passed: dict[int, list[str]] = {k: [] for k in left}
        started, tried = time.perf_counter(), 0
        with Verifier(2) as verifier:
            while left:
                turn = [(k, *m) for k, rest in left.items() if (m := next(rest, None))]
                verdicts = verifier.verify_batch((questions[k], f"```python\n{p}\n```") for k, _, p in turn)
                left = {k: left[k] for k, _, _ in turn}
                for (k, kind, _), verdict in zip(turn, verdicts, strict=True):
                    tried += 1
                    if verdict.judgement == "wrong":
                        caught[kind] += 1
                        del left[k], passed[k]
                    else:
                        passed[k].append(f"{kind}: {verdict.judgement}")
        took = time.perf_counter() - started
        kinds = ", ".join(f"{caught[kind]} by a changed {kind}" for kind in KINDS)
        print(
            f"{name}: of {len(table)} rows, {sum(caught.values())} have a changed program judged wrong ({kinds});",
            end=" ",
        )
        print(f"{tried} programs, {took:.0f} s")
        for k, seen in passed.items():
            print(f"  {table[k]['task_id']}: all of {len(seen)} changed programs pass: {Counter(seen)}\n{whole[k]}")


def main() -> None:
    tasks = {f.__name__: f for f in (agreement, golds, gsm8k, forms, programs, hanging, plus, mutants)}
    wanted = sys.argv[2:] or [t for t in tasks if t not in ("plus", "mutants")]
    for name in wanted:
        tasks[name](Path(sys.argv[1]))


if __name__ == "__main__":
    main()
