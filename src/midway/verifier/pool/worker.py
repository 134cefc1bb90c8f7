"""The process behind one place of the pool: `python -m midway.verifier.pool.worker FUNCTION` with the pool at its pipes.

Promises: it is a pair of processes. The *keeper* imports what the FUNCTION needs and forks a *judge*, which reads tasks
from standard input and answers on standard output, one JSON line each. When a judge dies (of its CPU limit, of memory,
by the pool's hand) the keeper says so on the same pipe and forks the next one within milliseconds, without importing
anything again. The keeper runs no task, so nothing can hang it. Both end with the pool: of the kernel's parent-death
signal, or at the end of standard input; a judge that spins dies of its CPU limit at the latest. What a dead judge leaves
behind, such as a sandbox that was just being made, falls to the keeper (Linux), which kills and reaps it.

The CPU limit is a profiling timer with the default action, so it ends even a computation inside C code that holds the
interpreter, and counts only the CPU time that the judge itself has used. Where the platform has no such timer, it is the
process's own limit (in whole seconds) instead.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import math
import os
import resource
import signal
import struct
import sys
import time
from typing import Any

MAX_EXTRACTED = 100_000
"""Characters of an extracted answer or program that are handed back."""


_out = 1


def die_with_parent(parent: int, how: int = signal.SIGKILL) -> None:
    """Ask the kernel to send this process a signal when its parent dies (Linux; elsewhere the end of standard input ends it)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, how)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def _adopt() -> None:
    """Make this process the parent of what its children leave behind (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def _sweep() -> None:
    """Kill and reap all children. What one of them leaves behind becomes a child here when it dies: until there is none."""
    while True:
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                children = [int(pid) for pid in file.read().split()]
        except OSError:  # no such file outside Linux
            return
        if not children:
            return
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def send(message: dict[str, Any]) -> None:
    line = json.dumps(message).encode() + b"\n"
    while line:
        line = line[os.write(_out, line) :]


def _read(size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = os.read(0, size - len(data))
        if not chunk:
            if sandbox := sys.modules.get("midway.verifier.programs.sandbox"):
                sandbox.end_ahead()
            os._exit(0)
        data += chunk
    return data


def perform(task: dict[str, Any]) -> dict[str, Any]:
    """Do one task, `{"function": "module:name", "fields": {...}}`, and return its verdict as a dictionary. A failure of the function is
    `unjudged`, with its name."""
    from midway.records import Judgement, Verdict
    from midway.registry import load_object

    try:
        verdict = load_object(task["function"])(task["fields"])
        if not isinstance(verdict, Verdict):
            raise TypeError(f"{task['function']} returned {type(verdict).__name__}, not a Verdict")
    except MemoryError:
        verdict = Verdict(Judgement.UNJUDGED, None, "memory")
    except Exception as error:
        verdict = Verdict(Judgement.UNJUDGED, None, f"verifier-error: {type(error).__name__}: {error}"[:300])
    extracted = verdict.extracted[:MAX_EXTRACTED] if verdict.extracted else verdict.extracted
    return {"judgement": str(verdict.judgement), "extracted": extracted, "reason": verdict.reason}


def warm(function: str) -> None:
    """Import what a function of midway's own needs, before the judge is forked (its module's `warm`, if it has one). A function of the
    user's own is imported by the judge alone, where it can be killed."""
    module = function.rpartition(":")[0]
    if module.startswith("midway."):
        prepare = getattr(importlib.import_module(module), "warm", None)
        if prepare is not None:
            prepare()


def _allow(seconds: float) -> None:
    """Let the kernel end this process after so much more CPU time; 0 for no limit."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)
        return
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = math.ceil(time.process_time() + seconds) if seconds else hard
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _judge_loop(keeper: int) -> None:
    die_with_parent(keeper)
    send({"ready": os.getpid()})
    while True:
        task = json.loads(_read(struct.unpack("!I", _read(4))[0]))
        _allow(task["cpu_seconds"])
        answer = perform(task)
        _allow(0)
        send(answer)


def main() -> None:
    """Keep a judge alive until the pool goes away."""
    global _out
    _out = os.dup(1)
    os.dup2(2, 1)  # what a test prints must not mix with the answers
    function, memory, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    judge = 0

    def end(*_: object) -> None:
        """Kill the judge and what it left, and go: at the pool's request, or when its process is gone."""
        if judge:
            with contextlib.suppress(ProcessLookupError):
                os.kill(judge, signal.SIGKILL)
        _sweep()
        os._exit(0)

    die_with_parent(parent, signal.SIGTERM)
    _adopt()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C belongs to the pool's process
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    sys.set_int_max_str_digits(100_000)
    warm(function)
    keeper = os.getpid()
    while True:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        judge = os.fork()
        if not judge:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
            try:
                _judge_loop(keeper)
            finally:
                os._exit(1)
        signal.signal(signal.SIGTERM, end)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        ended = code = 0
        while ended != judge:  # the others are what sandboxes left
            ended, code = os.waitpid(-1, 0)
        judge, status = 0, os.waitstatus_to_exitcode(code)
        _sweep()
        if status == 0:
            os._exit(0)
        os.write(_out, b"\n")  # ends what the judge may have been saying
        send({"died": status})


if __name__ == "__main__":
    main()
