"""The pool: order, deadlines, threads, asyncio, forks, crashes, backpressure; and it leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from midway.domains import WINDOW, Verifier
from midway.records import Judgement, Question, Verdict

FIVE = Question("math", "", answer="5")
SUM = Question("math", "", answer="6")
HARD = "\\boxed{\\sum_{n=1}^{3} n}"
"""Right for SUM, and only sympy can tell."""
HANG = "\\boxed{\\int_{0}^{\\infty} \\frac{\\sin(x^3) \\ln(x+1)}{x^2+\\cos x} dx}"


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with Verifier(2, cpu_seconds=1) as made:
        yield made


def test_order_is_kept_and_exactly_the_hanging_are_unjudged(verifier: Verifier) -> None:
    items = [
        (SUM, HARD) if k % 7 == 0 else (FIVE, HANG) if k % 100 == 50 else (FIVE, f"A: {k % 6}") for k in range(400)
    ]
    expected = [
        "correct" if k % 7 == 0 else "unjudged" if k % 100 == 50 else "correct" if k % 6 == 5 else "wrong"
        for k in range(400)
    ]
    verdicts = list(verifier.verify_batch(items))
    assert [str(v.judgement) for v in verdicts] == expected
    assert {v.reason for v in verdicts if v.judgement is Judgement.UNJUDGED} == {"deadline"}
    assert verifier.verify(SUM, HARD).correct


def test_streams_with_backpressure(verifier: Verifier) -> None:
    read = 0

    def endless() -> Iterator[tuple[Question, str]]:
        nonlocal read
        while True:
            read += 1
            yield (FIVE, HANG) if read == 1 else (SUM, HARD)

    batch = verifier.verify_batch(endless())
    assert next(batch).reason == "deadline"
    assert read <= WINDOW + 2
    batch.close()  # type: ignore[attr-defined]
    assert verifier.verify(SUM, HARD).correct


def test_many_threads(verifier: Verifier) -> None:
    results: dict[int, list[Verdict]] = {}

    def judge(k: int) -> None:
        results[k] = list(verifier.verify_batch([(SUM, HARD), (SUM, "\\boxed{\\sum_{n=1}^{4} n}"), (FIVE, f"A: {k}")]))

    threads = [threading.Thread(target=judge, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(8):
        assert [v.correct for v in results[k]] == [True, False, k == 5]


def test_asyncio(verifier: Verifier) -> None:
    async def judge() -> list[Verdict]:
        futures = [verifier.submit(SUM, HARD), verifier.submit(FIVE, HANG), verifier.submit(FIVE, "A: 5")]
        return list(await asyncio.gather(*map(asyncio.wrap_future, futures)))

    assert [str(v.judgement) for v in asyncio.run(judge())] == ["correct", "unjudged", "correct"]


def test_a_worker_killed_from_outside_costs_nothing(verifier: Verifier) -> None:
    assert verifier.verify(SUM, HARD).correct  # now the workers are there
    futures = [verifier.submit(SUM, HARD) for _ in range(40)]
    # one process: a task whose worker dies twice is not tried a third time
    os.kill(verifier.pool().processes()[0], signal.SIGKILL)
    assert all(f.result().correct for f in futures)
    assert len(verifier.pool().processes()) >= 1


def test_forked_child_gets_its_own_pool(verifier: Verifier) -> None:
    assert verifier.verify(SUM, HARD).correct
    child = os.fork()
    if not child:
        ok = verifier.verify(SUM, HARD).correct
        verifier.close()
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert verifier.verify(SUM, HARD).correct


def test_pickles_without_its_processes(verifier: Verifier) -> None:
    with pickle.loads(pickle.dumps(verifier)) as copy:
        assert (copy.workers, copy.cpu_seconds) == (2, 1)
        assert copy.verify(SUM, HARD).correct


def test_close_leaves_no_process_and_can_be_used_again() -> None:
    verifier = Verifier(1)
    verifier.close()
    assert verifier.verify(SUM, HARD).correct
    pids = verifier.pool().processes()
    assert pids
    verifier.close()
    verifier.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert verifier.verify(SUM, HARD).correct
    verifier.close()


def test_memory_limit() -> None:
    """A worker that grows past the limit is killed and the item is unjudged, not wrong."""
    with Verifier(1, memory_bytes=40 << 20) as verifier:
        verdict = verifier.verify(SUM, HANG)
    assert verdict.judgement is Judgement.UNJUDGED
    assert verdict.reason.split(":")[0] in ("memory", "verifier-crash", "verifier-error")


def test_workers_die_with_a_killed_parent_and_import_no_torch() -> None:
    script = textwrap.dedent(f"""
        import time
        from midway.records import Question
        from midway.domains import Verifier
        verifier = Verifier(2)
        assert verifier.verify(Question("math", "", answer="6"), {HARD!r}).correct
        verifier.submit(Question("math", "", answer="6"), {HANG!r})
        print(*verifier.pool().processes(), flush=True)
        time.sleep(600)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pids = [int(p) for p in parent.stdout.readline().split()]
    assert pids
    for pid in pids:
        assert "torch" not in Path(f"/proc/{pid}/maps").read_text()
    family = [p for pid in pids for p in (pid, *children(pid))]
    parent.kill()
    parent.wait()
    for _ in range(200):
        if not any(Path(f"/proc/{p}").exists() for p in family):
            break
        time.sleep(0.05)
    assert not [p for p in family if Path(f"/proc/{p}").exists()]


def children(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def test_import_needs_neither_torch_nor_sympy() -> None:
    code = "import sys, midway.verifier, midway.training.rewards; print(sorted({'torch', 'sympy', 'trl', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_ray_workers() -> None:
    ray = pytest.importorskip("ray")
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}},
    )
    try:
        judge = ray.remote(
            lambda v: [str(x.judgement) for x in v.verify_batch([(SUM, HARD), (FIVE, HANG), (FIVE, "A: 5")])]
        )
        verifier = Verifier(1, cpu_seconds=1)
        assert ray.get([judge.remote(verifier) for _ in range(2)]) == [["correct", "unjudged", "correct"]] * 2
    finally:
        ray.shutdown()
