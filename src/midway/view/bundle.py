"""A static copy of a part of a run, which opens from a file: to send to a colleague.

Promises: the same page and the same data as the server's, of at most N questions; texts of no others are in it. Nothing in it refers to
this machine. The page filters and sorts what is there itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.resources import as_file
from pathlib import Path
from typing import Any

import polars as pl

from midway.records import UserError
from midway.rundir import RunError, write_bytes
from midway.view import heuristics, overview, question, questions, rollouts, solutions, verifier
from midway.view.server import STATIC, as_json
from midway.view.viewed import Params, Runs, Viewed

STEPS = 12
"""Steps of RL of each arm whose groups are copied, evenly spread; the curves have all."""


def write_bundle(runs: Runs, out: Path, count: int = 50, chosen: dict[str, str] | None = None) -> int:
    """Write the copy into `out`; return its bytes. `count`: questions of each benchmark and of training; `chosen`: filters and sorting of
    the Questions screen, as in its links, that say which.

    Raises RunError for a directory that holds something else.
    """
    if out.exists() and any(out.iterdir()) and not (out / "data" / "index.js").is_file():
        raise RunError(f"{out} is not empty, and no copy made before: give another directory")
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    with as_file(STATIC) as static:
        shutil.copytree(static, out, dirs_exist_ok=True)
    index = (out / "index.html").read_text(encoding="utf-8")
    mark = '<script src="app/source.js"></script>'
    assert mark in index
    index = index.replace(mark, '<script src="data/index.js"></script>\n' + mark)
    (out / "index.html").write_text(index, encoding="utf-8")
    keys: list[str] = []
    for key, value in _parts(runs, count, chosen or {}):
        name = f"{len(keys):05d}.js"
        keys.append(key)
        body = as_json({"key": key, "value": value})[1]
        write_bytes(out / "data" / name, b"midwayData(" + body + b");\n")
    head = as_json({"keys": keys, "count": count})[1]
    write_bytes(out / "data" / "index.js", b"window.midwayBundle = " + head + b";\n")
    return sum(file.stat().st_size for file in out.rglob("*") if file.is_file())


def _parts(runs: Runs, count: int, chosen: dict[str, str]) -> Iterator[tuple[str, Any]]:
    yield "runs", overview.runs(runs, Params({}))
    for name, viewed in runs.all().items():
        for key, value in _run(viewed, count, chosen):
            yield f"run/{name}/{key}", value


def _run(viewed: Viewed, count: int, chosen: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Yield the data of every screen by its key: the screen, then what tells one from another."""
    size = {"size": str(count)}
    yield "overview", overview.overview(viewed, Params({}))
    arms = list(viewed.run.arms)
    for benchmark in viewed.run.benchmarks:
        first: dict[str, Any] | None = None
        for arm in arms:
            asked = Params({**chosen, **size, "benchmark": benchmark, "arm": arm})
            if first is None:
                chosen_arm = chosen.get("arm") or viewed.run.asked.treatment
                head = {**chosen, **size, "benchmark": benchmark, **({"arm": chosen_arm} if chosen_arm else {})}
                first = questions.questions(viewed, Params(head))
            yield f"questions/{benchmark}/{arm}", _only(viewed, asked, {row["id"] for row in first["rows"]})
        for row in (first or {"rows": []})["rows"]:
            yield f"question/{benchmark}/{row['id']}", _whole(viewed, benchmark, row["id"])
        reach = heuristics.heuristics(viewed, Params({"benchmark": benchmark}))
        reach["every_example"] = {
            row["heuristic"]: heuristics.examples(viewed, reach["pool"], row["heuristic"]) for row in reach["rows"]
        }
        yield f"heuristics/{benchmark}", reach
    yield from _training(viewed, size)
    yield from _rollouts(viewed)
    yield from _verifier(viewed, count)


def _verifier(viewed: Viewed, count: int) -> Iterator[tuple[str, Any]]:
    """Yield the Verifier screen of each place and kind; its samples with how they were read, each read once."""
    for of in verifier.places(viewed):
        pages = {
            kind: verifier.verifier(viewed, Params({"of": of, "show": kind, "size": str(min(count, 25))}))
            for kind in verifier.KINDS
        }
        samples = {(row["where"], row["id"]) for page in pages.values() for row in page["rows"]}
        asked = {sample: Params({"of": of, "where": sample[0], "id": sample[1]}) for sample in sorted(samples)}
        lines = dict(zip(asked, verifier.all_readings(viewed, list(asked.values())), strict=True))
        for kind, page in pages.items():
            page |= {"pages": 1, "left_out": page["total"] - len(page["rows"]), "page": 1}
            for row in page["rows"]:
                sample = (row["where"], row["id"])
                row |= {"bug": verifier.bug(viewed, asked[sample]), "reading": lines[sample]}
            yield f"verifier/{of}/{kind}", page


def _only(viewed: Viewed, params: Params, ids: set[str]) -> dict[str, Any]:
    """Return the Questions screen of an arm with the questions of the copy alone."""
    asked = questions.asked_of(
        viewed, Params({k: v for k, v in params.values.items() if k in ("benchmark", "arm", "control")})
    )
    rows = questions.table_of(viewed, asked)
    value = questions.questions(viewed, Params({**params.values, "filter": "", "q": "", "size": "1"}))
    value["rows"] = questions.rows_of(viewed, asked, rows.filter(pl.col("id").is_in(list(ids))))
    value |= {"total": len(value["rows"]), "page": 1, "pages": 1, "size": len(value["rows"])}
    return value


def _whole(viewed: Viewed, benchmark: str, id_: str) -> dict[str, Any]:
    """Return one question with the samples of every arm, phase and seed."""
    value = question.question(viewed, Params({"benchmark": benchmark, "id": id_}))
    sides = question.sides_of(viewed, benchmark)
    found = viewed.question(benchmark, id_)
    value["every"] = {key: question.side(viewed, sides, key, found, id_, 0) for key in sides}
    return value


def _training(viewed: Viewed, size: dict[str, str]) -> Iterator[tuple[str, Any]]:
    for arm in (a for a in viewed.run.arms.values() if a.midtrained):
        seed = str(arm.seeds[0])
        try:
            page = solutions.solutions(viewed, Params({**size, "arm": arm.name, "seed": seed}))
        except UserError:
            continue
        page |= {"left_out": page["total"] - len(page["rows"]), "pages": 1, "page": 1}
        yield f"solutions/{arm.name}/{seed}", page
        for row in page["rows"]:
            params = {"arm": arm.name, "seed": seed, "id": row["id"]}
            value = solutions.solution(viewed, Params(params))
            for group in value["groups"]:
                for one in group["completions"]:
                    one["prompt"] = solutions.prompt(viewed, Params({"pool": one["pool"], "id": one["id"]}))
                    break  # the prompt of a heuristic is the same for all its completions of the question
            yield f"solution/{arm.name}/{seed}/{row['id']}", value


def _rollouts(viewed: Viewed) -> Iterator[tuple[str, Any]]:
    try:
        head = rollouts.rollouts(viewed, Params({"size": "4"}))
    except UserError:
        return
    for arm in head["arms"]:
        for seed in arm["seeds"]:
            asked = {"arm": arm["name"], "seed": str(seed), "size": "4"}
            numbers = rollouts.rollouts(viewed, Params(asked))["steps"]["step"]
            every = max(1, len(numbers) // STEPS)
            chosen = numbers[::every]
            for step in chosen:
                value = rollouts.rollouts(viewed, Params({**asked, "step": str(step)}))
                yield f"rollouts/{arm['name']}/{seed}/{step}", {**value, "pages": 1, "copied": chosen}
