"""Tries every task of reasoning-gym and writes which may be used: src/midway/domains/gym/tasks.json.

    python tools/gym_allow_list.py            # all tasks, a quarter of an hour; needs pip install 'midway[gym]' and bubblewrap
    python tools/gym_allow_list.py chain_sum  # print what is found for some, write nothing

A task is allowed where: the same seed gives the same question; most seeds give different ones; its own answers get full marks; nonsense,
and its answer together with another one, get less and raise nothing; and no hostile answer gets full marks. Everything that is tried
stands below. This script imports reasoning-gym, but no answer is scored outside the sandbox.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from midway.domains.gym import box

FILE = Path(__file__).resolve().parents[1] / "src/midway/domains/gym/tasks.json"
SEEDS = list(range(1000, 1020))
GOLDS = 8
"""So many questions are answered with their own answers."""
DISTINCT = 0.6
"""Share of seeds that must give questions of their own."""
JUNK = ("xyzzy", "I do not know.", "????", "[]", "{}", "None", "[[]]", "((", "-", "the answer")
HANGS = ("9**9**9**9", "'a'*10**11")
ENDS = "exit()"
HOSTILE = (
    "__import__('os').system('true')",
    "().__class__.__base__.__subclasses__()",
    "type('A', (str,), {'__eq__': lambda s, o: True})('x')",
    "[type('A', (list,), {'__eq__': lambda s, o: True, '__len__': lambda s: 1})()]",
    "open('/etc/passwd').read()",
    "[x for x in [globals()]]",
    "(lambda f: f(f))(lambda f: f(f))",
    "(x.gi_frame.f_back.f_globals for x in [1])",
    "S('__import__(\"os\").getcwd()')",
    "Function('f', (Basic,), {'__eq__': lambda s, o: True})(1)",
    "getattr(1, '__' + 'class__')",
    "[" * 2000,
    "(" * 2000 + ")" * 2000,
    "9" * 5000,
    ENDS,
    "raise SystemExit",
    'print(\'{"result": [true, 1.0, "", true]}\')',
    "\u0000",
)


def found_of(task: str, module: str, equality: bool) -> dict[str, Any]:
    """Return what is known of a task; `refused` says why it may not be used, and is empty where it may."""
    started = time.monotonic()
    row: dict[str, Any] = {"module": module, "scorer": "equality" if equality else "own", "evaluates": False}
    try:
        row["refused"] = _tried(task, module, row)
    except box.BoxError as error:
        row["refused"] = f"fails: {error}"[:160]
    row["tried_seconds"] = round(time.monotonic() - started, 1)
    return row


def _tried(task: str, module: str, row: dict[str, Any]) -> str:
    asked = box.make(module, task, {}, SEEDS)
    if box.make(module, task, {}, SEEDS) != asked:
        return "the same seed gives another question"
    if len({question for question, _ in asked}) < DISTINCT * len(asked):
        return f"{len(asked)} seeds give {len({q for q, _ in asked})} different questions"
    if any(not answer.strip() for _, answer in asked):
        return "some of its questions have an empty answer"
    placed = list(zip(SEEDS, asked, strict=True))
    golds = [(seed, answer, question) for seed, (question, answer) in placed[:GOLDS]]
    other = [(seed, text, question) for seed, (question, _) in placed[:3] for text in JUNK]
    hedges = [
        (seed, f"{answer} or {asked[n + 1][1]}", question)
        for n, (seed, (question, answer)) in enumerate(placed[:GOLDS])
        if asked[n + 1][1] != answer
    ]
    right = box.scores(module, task, golds)
    row["evaluates"] = _evaluates(module, task, golds[0])
    if wrong := [one for one in right if isinstance(one, str) or not one.full]:
        said = wrong[0] if isinstance(wrong[0], str) else f"score {wrong[0].score:g}"
        return f"{len(wrong)} of {len(right)} of its own answers do not get full marks ({said})"
    for what, tries in (("nonsense", other), ("two answers at once", hedges)):
        for (_, answer, _), one in zip(tries, box.scores(module, task, tries), strict=True):
            if isinstance(one, str):
                return f"its scorer raises on {what}: {answer[:20]!r} ({one[:80]})"
            if one.full:
                return f"full marks for {what}: {answer[:40]!r}"
    return _hostile(module, task, golds[0], row["evaluates"])


def _evaluates(module: str, task: str, gold: tuple[int, str, str]) -> bool:
    """Whether its scorer evaluates the answer: then a name that is not allowed stops it."""
    seed, _, question = gold
    texts = ("eval", "[eval]", "eval+1", f"{gold[1]} if eval else 0")
    return any(
        not isinstance(one, str) and bool(one.stopped)
        for one in box.scores(module, task, [(seed, text, question) for text in texts])
    )


def _hostile(module: str, task: str, gold: tuple[int, str, str], evaluates: bool) -> str:
    """Return what is wrong: a hostile answer with full marks. In one process where they let it live, else each in its own."""
    seed, _, question = gold
    texts = [*HOSTILE, *(f"[{text}]" for text in HOSTILE if evaluates)]
    tries = [(seed, text, question) for text in texts if not (evaluates and ENDS in text)]
    try:
        found: list[Any] = box.scores(module, task, tries)
    except box.BoxError:
        found = [_alone(module, task, one) for one in tries]
    alone = [(seed, text, question) for text in (*HANGS, ENDS) if evaluates or text == HANGS[0]]
    found += [_alone(module, task, one) for one in alone]
    for (_, text, _), one in zip([*tries, *alone], found, strict=True):
        if not isinstance(one, str) and one.full:
            return f"full marks for a hostile answer: {text[:60]!r}"
    return ""


def _alone(module: str, task: str, one: tuple[int, str, str]) -> Any:
    try:
        return box.score(module, task, {}, *one)
    except box.BoxError as error:
        return str(error)


def main() -> None:
    """Try the tasks that are named, or all, and write the file."""
    import reasoning_gym
    from reasoning_gym.dataset import ProceduralDataset
    from reasoning_gym.factory import DATASETS

    assert reasoning_gym
    found: dict[str, Any] = {}
    for name in sys.argv[1:] or sorted(DATASETS):
        made = DATASETS[name][0]
        found[name] = found_of(name, made.__module__, made.score_answer is ProceduralDataset.score_answer)
        print(name, json.dumps(found[name]), flush=True)
    if not sys.argv[1:]:
        kept = {name: {k: v for k, v in row.items() if k != "tried_seconds"} for name, row in found.items()}
        body = {"reasoning_gym": metadata.version(box.PACKAGE), "tasks": kept}
        FILE.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
        print(f"{FILE}: {sum(not row['refused'] for row in found.values())} of {len(found)} tasks are allowed")


if __name__ == "__main__":
    main()
