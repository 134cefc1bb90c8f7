"""Generation on a Ray cluster, three ways in one run: midway's pool, Ray's ActorPool, Ray Data with actors.

    python benchmarks/ray_generation.py [--rows 2000] [--pace 0.002] [--way NAME ...]

A local cluster of two nodes, the same requests, the same engine: one that takes `--pace` seconds a row and notes every row that it answers,
so that work done twice is seen. Each way runs once undisturbed and once with an engine's process
killed (SIGKILL) in the middle, and stores its rows as Parquet. Printed for each: rows a second beside midway's in this run, rows that are
missing or there twice, rows answered twice, what became of the killed one, whether a second call does the rows again, and lines of code.

Ray's own vLLM processor (`ray.data.llm`) is Ray Data with actors of that kind: what holds for Ray Data here holds for it.
"""

from __future__ import annotations

import argparse
import inspect
import os
import pickle
import shutil
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl
import ray

import midway.engines.cluster as cluster_package
from midway.engines.cluster import complete_on_ray, connect
from midway.engines.cluster.worker import EngineWorker, worker_arguments
from midway.recipe import EngineSettings, ModelConfig, engine_settings
from midway.records import Completion, Prompt, Request, Sampling, completion_id
from midway.registry import EnginePart, load_plugins
from midway.rundir import COMPLETIONS, read_table

BATCH, WORKERS = 32, 2


class PacedEngine(EngineSettings):
    kind: Literal["paced"] = "paced"
    pace: float = 0.002
    notes: str = ""


class Paced:
    """Takes `pace` seconds for each row, and notes its id."""

    model_key = "paced"

    def __init__(self, config: PacedEngine) -> None:
        self.config = config

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        with open(Path(self.config.notes) / str(os.getpid()), "a", buffering=1) as notes:
            for r in requests:
                time.sleep(self.config.pace)
                notes.write(f"{r.id} {time.time()}\n")
                yield Completion(r.id, r.question_id, r.heuristic, r.index, "text " * 60, completion_tokens=60)

    def stats(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        pass


PACED = EnginePart(name="paced", config=PacedEngine, open=lambda config, model, **_: Paced(config))


def requests(count: int) -> list[Request]:
    """Make `count` requests: 4 samples of each question."""
    sampling = Sampling(max_tokens=16)
    made = []
    for k in range(count):
        question, index = f"q{k // 4}", k % 4
        prompt = Prompt(text=f"Question {question}: {k // 4} + 1 =")
        made.append(
            Request(completion_id(question, "", "v1", "m", sampling, index), prompt, sampling, question, "", index)
        )
    return made


# The three ways. Each stores what it gets in `folder`, and raises what it cannot go on from ----------------------------------


def midway_pool(asked: list[Request], settings: Any, folder: Path) -> None:
    complete_on_ray(asked, settings, ModelConfig(path="m"), folder, plugins=[__file__], workers=WORKERS)


def actor_pool(asked: list[Request], settings: Any, folder: Path) -> None:
    from ray.util import ActorPool

    arguments = worker_arguments(settings, ModelConfig(path="m"), None, [__file__])
    pool = ActorPool([ray.remote(EngineWorker).options(num_cpus=1).remote(*arguments) for _ in range(WORKERS)])
    parts = [asked[k : k + BATCH] for k in range(0, len(asked), BATCH)]
    folder.mkdir(parents=True, exist_ok=True)
    for found in pool.map_unordered(lambda actor, part: actor.answers.remote(part), parts):
        rows = [{"id": c.id, "question_id": c.question_id, "index": c.index, "text": c.text} for c in found]
        pl.DataFrame(rows).write_parquet(folder / f"{uuid.uuid4().hex}.parquet")


class DataWorker:
    """What Ray Data's actors run."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self.worker = EngineWorker(*arguments)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        found = self.worker.answers([pickle.loads(one) for one in batch["request"]])
        columns = ("id", "question_id", "index", "text")
        return {name: [getattr(c, name) for c in found] for name in columns}


def ray_data(asked: list[Request], settings: Any, folder: Path) -> None:
    """With Ray Data's checkpoints of rows by id (beta in 2.60), which need a data set that is read from files."""
    import ray.data
    from ray.data.checkpoint import CheckpointConfig

    source = folder.with_name(f"{folder.name}-asked")
    source.mkdir(parents=True, exist_ok=True)
    for k in range(0, len(asked), BATCH):
        part = asked[k : k + BATCH]
        rows = {"id": [r.id for r in part], "request": [pickle.dumps(r) for r in part]}
        pl.DataFrame(rows).write_parquet(source / f"{k:08}.parquet")
    ray.data.DataContext.get_current().checkpoint_config = CheckpointConfig(
        id_column="id", checkpoint_path=str(folder.with_name(f"{folder.name}-done")), delete_checkpoint_on_success=False
    )
    arguments = worker_arguments(settings, ModelConfig(path="m"), None, [__file__])
    answered = ray.data.read_parquet(str(source), override_num_blocks=max(1, len(asked) // BATCH)).map_batches(
        DataWorker, fn_constructor_args=[arguments], batch_size=BATCH, num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=WORKERS),
    )  # fmt: skip
    answered.write_parquet(str(folder), mode="append")


WAYS: dict[str, Callable[[list[Request], Any, Path], None]] = {
    "midway": midway_pool,
    "ActorPool": actor_pool,
    "Ray Data": ray_data,
}


@dataclass
class Outcome:
    seconds: float
    error: str
    stored: list[str]
    noted: list[str]
    """Ids that engines answered, with those that were answered twice."""
    killed: int
    span: float
    """Seconds from the first answer to the last: without the start of the actors."""

    def line(self, asked: list[Request]) -> str:
        ids = {r.id for r in asked}
        twice = len(self.stored) - len(set(self.stored))
        again = len(self.noted) - len(set(self.noted))
        wrong = "" if set(self.stored) <= ids else " (ids that nobody asked for!)"
        counts = f"missing {len(ids - set(self.stored)):,}, stored twice {twice:,}, answered twice {again:,}{wrong}"
        return counts + (f"; {self.error}" if self.error else "")


def once(name: str, asked: list[Request], settings: Any, folder: Path, *, kill_after: int | None) -> Outcome:
    """Run a way; with `kill_after` the first engine's process that has answered so many rows is killed."""
    notes = Path(getattr(settings, "notes", "") or folder.parent / "no-notes")
    notes.mkdir(parents=True, exist_ok=True)
    before = {path: path.read_text().count("\n") for path in notes.iterdir()}
    killed: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while kill_after is not None and not killed and not over.is_set():
            for path in notes.iterdir():
                if path.read_text().count("\n") - before.get(path, 0) >= kill_after and not killed:
                    os.kill(int(path.name), signal.SIGKILL)
                    killed.append(int(path.name))
            time.sleep(0.01)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    error, start = "", time.monotonic()
    try:
        WAYS[name](asked, settings, folder)
    except Exception as raised:  # what a way cannot go on from is what is asked here
        error = f"{type(raised).__name__}: {str(raised).strip().splitlines()[0][:150]}"
    seconds = time.monotonic() - start
    over.set()
    thread.join()
    noted = [
        line.split() for path in notes.iterdir() for line in path.read_text().split("\n")[before.get(path, 0) : -1]
    ]  # fmt: skip
    times = [float(when) for _, when in noted] or [0.0]
    ids = [id_ for id_, _ in noted]
    return Outcome(seconds, error, stored_ids(name, folder), ids, len(killed), max(times) - min(times))


def stored_ids(name: str, folder: Path) -> list[str]:
    """Return the ids that a way has stored, with those that are there twice."""
    if not folder.exists():
        return []
    if name == "midway":
        return read_table(folder, COMPLETIONS)["id"].to_list()
    return [
        i for path in sorted(folder.glob("*.parquet")) for i in pl.read_parquet(path, columns=["id"])["id"].to_list()
    ]


def lines_of(name: str) -> int:
    """Return lines of ours that a way needs: midway's package for Ray (in part: scorers and verifiers use the rest), else the function
    above and its worker."""
    if name == "midway":
        folder = Path(cluster_package.__file__).parent
        return sum(len((folder / f).read_text().splitlines()) for f in ("pool.py", "worker.py", "nodes.py"))
    own = [WAYS[name], *([DataWorker] if name == "Ray Data" else [])]
    return sum(len(inspect.getsource(one).splitlines()) for one in own)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--pace", type=float, default=0.002)
    parser.add_argument("--way", action="append", choices=list(WAYS))
    args = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 2, "num_gpus": 0, "object_store_memory": 100_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    connect(cluster.address)
    load_plugins([__file__])
    root = Path(tempfile.mkdtemp(prefix="midway-ray-"))
    asked = requests(args.rows)
    print(f"{args.rows:,} rows, {args.pace} s each, {WORKERS} engines: at best {WORKERS / args.pace:.0f} rows/s")
    reference = 0.0
    try:
        for name in args.way or WAYS:
            settings: Any = engine_settings({"kind": "paced", "pace": args.pace, "notes": str(root / "notes" / name)})
            calm = once(name, asked, settings, root / name / "calm", kill_after=None)
            reference = reference or calm.seconds
            rate = (args.rows - len({r.id for r in asked} - set(calm.stored))) / calm.seconds
            print(
                f"{name:<14} {rate:8.1f} rows/s ({reference / calm.seconds:.2f} x the first), between first and last answer "
                f"{len(calm.noted) / calm.span if calm.span else 0:.1f}; {lines_of(name)} lines; {calm.line(asked)}",
                flush=True,
            )
            hurt = once(name, asked, settings, root / name / "killed", kill_after=args.rows // 5)
            print(f"{'':<14} {hurt.killed} killed: {hurt.line(asked)}", flush=True)
            again = once(name, asked, settings, root / name / "killed", kill_after=None)
            print(f"{'':<14} called again: answers {len(again.noted):,} rows; then {again.line(asked)}", flush=True)
    finally:
        ray.shutdown()
        cluster.shutdown()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
