"""The killable worker pool: processes that judge what may hang, with deadlines that hold on a busy machine.

Promises: a task that overruns its CPU time is killed, also inside C code, and answered `unjudged: deadline`; its
worker is replaced and the others go on. One thread of the pool owns all processes, so it may be used from any number
of threads, event loops and reward functions at once; a fork of the process gets a pool of its own on first use.
Workers are fresh interpreters started with exec, never forks of the caller, so the caller's threads, locks and CUDA
state do not matter.

Deadlines: CPU seconds of the worker itself (hard), and idle seconds: time in which it neither ran nor waited for a
processor. So the answer does not depend on how busy the machine is. Memory: a limit on resident size (sampled) and
twice that on address space. A worker that dies for no fault of the task (killed from outside) gets its task repeated
once.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from midway.records import Judgement, Verdict
from midway.registry import Task

_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from midway.verifier.pool.worker import main; main()"
_ROOT = str(Path(__file__).resolve().parents[3])
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")
TICK_SECONDS = 0.25
ENDING_SECONDS = 0.5
"""Seconds that workers have to end, and to clear away what they started, when the pool closes."""


def busy_seconds(pid: int) -> tuple[float, float] | None:
    """Return the seconds that process `pid` ran, and those it waited for a processor, all its threads together.

    None where the kernel does not tell the waiting time. Raises OSError or ValueError when there is no such process.
    """
    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    used = (int(stat[11]) + int(stat[12])) / _TICK  # also of threads that have ended, but in ticks
    ran = waited = 0.0
    try:
        for task in os.scandir(f"/proc/{pid}/task"):
            fields = Path(task.path, "schedstat").read_text().split()
            ran, waited = ran + int(fields[0]) / 1e9, waited + int(fields[1]) / 1e9
    except (OSError, IndexError):
        return None
    return max(used, ran), waited


def own_wait() -> float:
    """Return the seconds that the calling thread has waited for a processor so far; 0 where the kernel does not tell."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def idle_seconds(pid: int, elapsed: float) -> float:
    """Return how much of `elapsed` (wall seconds) process `pid` neither ran nor waited for a processor.

    Where the kernel does not tell the waiting time, only a quarter of the time counts as idle. A process that is gone is
    not idle: its end is reported elsewhere.
    """
    try:
        busy = busy_seconds(pid)
        return elapsed / 4 if busy is None else elapsed - sum(busy)
    except (OSError, ValueError, IndexError):
        return 0.0


@dataclass(slots=True)
class _Task:
    message: dict[str, Any]
    future: Future[Verdict]
    repeated: bool = False


@dataclass(slots=True)
class _Worker:
    function: str
    process: subprocess.Popen[bytes]
    judge: int = 0
    task: _Task | None = None
    started: float = 0.0
    idle_before: float = 0.0
    verdict: str = ""
    """Why the pool killed it: `deadline` or `memory`."""
    buffer: bytearray = field(default_factory=bytearray)


class Pool:
    """Up to `workers` processes for each function that is asked for, started when first needed.

    `memory_bytes` is the resident size at which a worker is killed.
    """

    def __init__(self, workers: int, idle_limit: float, memory_bytes: int) -> None:
        self.workers = workers
        self.idle_limit = idle_limit
        self.memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._queue: deque[_Task] = deque()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._closing = False
        self._members: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="midway-verify-pool", daemon=True)
        self._thread.start()

    def submit(self, task: Task, *, cpu_seconds: float) -> Future[Verdict]:
        """Queue a task and return the future of its verdict. Raises RuntimeError after `close`."""
        future: Future[Verdict] = Future()
        message = {"function": task.function, "fields": dict(task.fields), "cpu_seconds": cpu_seconds}
        if task.idle_limit is not None:
            message["idle_limit"] = task.idle_limit
        with self._lock:
            if self._closing:
                raise RuntimeError("the verifier is closed; make a new one")
            self._queue.append(_Task(message, future))
        self._wake()
        return future

    def close(self) -> None:
        """Kill all workers and wait for them. Tasks under way are cancelled. Harmless when called again."""
        with self._lock:
            self._closing = True
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def processes(self) -> list[int]:
        """Return the process ids of the keepers that are alive."""
        return [w.process.pid for w in list(self._members)]

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"x")

    # the pool's own thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing:
                self._assign()
                busy = any(w.task for w in self._members)
                for key, _ in self._selector.select(TICK_SECONDS if busy else None):
                    if key.data is None:
                        os.read(self._wake_read, 4096)
                    else:
                        self._receive(key.data)
                self._watch()
        finally:
            self._shut()

    def _shut(self) -> None:
        with self._lock:
            self._closing = True
            left = [*self._queue, *(w.task for w in self._members if w.task)]
            self._queue.clear()
        for worker in self._members:
            if worker.task or not worker.judge:
                worker.process.terminate()
            elif worker.process.stdin:
                worker.process.stdin.close()  # an idle one ends by itself, and reaps what it started
        until = time.monotonic() + ENDING_SECONDS
        for worker in self._members:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, until - time.monotonic()))
            worker.process.kill()
        for worker in self._members:
            self._reap(worker)
        self._members.clear()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        for task in left:
            task.future.cancel()

    @staticmethod
    def _reap(worker: _Worker) -> None:
        assert worker.process.stdin and worker.process.stdout
        with contextlib.suppress(OSError):
            worker.process.stdin.close()
        worker.process.wait()
        worker.process.stdout.close()

    def _assign(self) -> None:
        while True:
            with self._lock:
                task = next((t for t in self._queue if self._place(t.message["function"]) is not None), None)
                if task is None:
                    return
                self._queue.remove(task)
            if not task.repeated and not task.future.set_running_or_notify_cancel():
                continue
            worker = self._place(task.message["function"])
            if not isinstance(worker, _Worker):
                worker = self._start(task.message["function"])
            worker.task, worker.started, worker.verdict = task, time.monotonic(), ""
            worker.idle_before = idle_seconds(worker.judge, 0.0) if worker.judge else 0.0
            payload = json.dumps(task.message).encode()
            assert worker.process.stdin
            with contextlib.suppress(BrokenPipeError):  # it died: the end of its output says so
                worker.process.stdin.write(struct.pack("!I", len(payload)) + payload)
                worker.process.stdin.flush()

    def _place(self, function: str) -> _Worker | bool | None:
        """An idle worker of this function, True if one may be started, None if all are busy."""
        mine = [w for w in self._members if w.function == function]
        idle = next((w for w in mine if w.task is None), None)
        return idle or (True if len(mine) < self.workers else None)

    def _start(self, function: str) -> _Worker:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, _ROOT, function, str(2 * self.memory_bytes), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        worker = _Worker(function, process)
        self._members.append(worker)
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)  # type: ignore[arg-type]
        return worker

    def _receive(self, worker: _Worker) -> None:
        assert worker.process.stdout
        data = os.read(worker.process.stdout.fileno(), 65536)
        if not data:
            self._lost(worker)
            return
        worker.buffer += data
        while (end := worker.buffer.find(b"\n")) >= 0:
            line = bytes(worker.buffer[:end])
            del worker.buffer[: end + 1]
            try:
                message = json.loads(line)
            except ValueError:  # the judge died while it spoke: its keeper says so next
                continue
            if "ready" in message:
                worker.judge = message["ready"]
                worker.started = time.monotonic()
                worker.idle_before = 0.0
            elif "died" in message:
                worker.judge = 0
                self._fail(worker, message["died"])
            else:
                verdict = Verdict(Judgement(message["judgement"]), message["extracted"], message["reason"])
                self._finish(worker, verdict)

    def _finish(self, worker: _Worker, verdict: Verdict) -> None:
        task, worker.task = worker.task, None
        if task:
            task.future.set_result(verdict)

    def _fail(self, worker: _Worker, status: int) -> None:
        """The judge of `worker` died with `status` (negative: a signal)."""
        task = worker.task
        if task is None:
            return
        if worker.verdict or -status in (signal.SIGPROF, signal.SIGXCPU):
            self._finish(worker, Verdict(Judgement.UNJUDGED, None, worker.verdict or "deadline"))
        elif not task.repeated:
            worker.task, task.repeated = None, True
            with self._lock:
                self._queue.appendleft(task)
        else:
            how = f"signal {-status}" if status < 0 else f"exit {status}"
            self._finish(worker, Verdict(Judgement.UNJUDGED, None, f"verifier-crash: {how}"))

    def _lost(self, worker: _Worker) -> None:
        """The keeper itself is gone."""
        self._selector.unregister(worker.process.stdout)  # type: ignore[arg-type]
        self._members.remove(worker)
        self._reap(worker)
        self._fail(worker, worker.process.returncode)

    def _watch(self) -> None:
        now = time.monotonic()
        for worker in self._members:
            if not worker.task or not worker.judge or worker.verdict:
                continue
            limit = worker.task.message.get("idle_limit", self.idle_limit)
            elapsed = now - worker.started
            if elapsed > limit and idle_seconds(worker.judge, elapsed) - worker.idle_before > limit:
                worker.verdict = "deadline"
            elif _resident(worker.judge) > self.memory_bytes:
                worker.verdict = "memory"
            if worker.verdict:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.judge, signal.SIGKILL)


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
