"""Whatever kills the judge or its parent, and whenever: no sandbox lives on."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from midway.domains import Verifier
from midway.records import CodeTests, Question
from midway.verifier.programs.sandbox import available

SCRIPT = """
    from midway.records import CodeTests, Question
    from midway.domains import Verifier

    question = Question("code", "", tests=CodeTests(test_list=("assert f(1) == 2",)))
    spins = "def f(x):\\n    while True:\\n        pass\\n"
    with Verifier(2) as verifier:
        programs = (spins if k % 50 == 49 else f"def f(x):\\n    return x + {k % 3}\\n" for k in range(10**9))
        for k, verdict in enumerate(verifier.verify_batch((question, program) for program in programs)):
            print(verdict.judgement, flush=True)
            if k == MOST:
                break
"""


def sandboxes(marker: str) -> list[int]:
    """Processes whose command line holds the marker; zombies have none."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if marker.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                pass
    return found


@pytest.mark.slow
@pytest.mark.skipif(available() != "bubblewrap", reason="bubblewrap is not installed")
@pytest.mark.parametrize("who", ["the program's process", "a keeper", "a judge", "nobody"])
def test_no_sandbox_lives_on(who: str, tmp_path: Path) -> None:
    (tmp_path / "bwrap").symlink_to(shutil.which("bwrap") or "")
    marker = str(tmp_path / "bwrap")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    rng = random.Random(0)
    seen = 0
    for _ in range(2 if who == "nobody" else 8):
        script = textwrap.dedent(SCRIPT).replace("MOST", "47" if who == "nobody" else "-1")
        with subprocess.Popen(
            [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as run:
            assert run.stdout
            assert run.stdout.readline() == b"wrong\n"
            seen += len(sandboxes(marker))
            if who != "nobody":
                time.sleep(rng.uniform(0, 1))  # within a short program, between two, or in one that spins
                keepers = [p for p in offspring(run.pid) if b"midway.verifier.pool.worker" in command(p)]
                judges = [p for k in keepers for p in offspring(k)]
                for pid in {"a keeper": keepers, "a judge": judges}.get(who, []):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                run.kill()
            run.stdout.read()
        until = time.monotonic() + 8  # a program that spins would go on for ten seconds of CPU time
        while sandboxes(marker) and time.monotonic() < until:
            time.sleep(0.02)
        assert not sandboxes(marker)
    assert seen, "no sandbox was running: this would have shown nothing"


@pytest.mark.skipif(available() != "bubblewrap", reason="bubblewrap is not installed")
def test_a_limit_means_the_same_for_the_first_program_and_for_those_whose_sandbox_was_started_ahead() -> None:
    """A sleep of the whole limit is over it, since starting counts; half of the limit is not. A machine that is busy just when the limit
    is up may look too late, hence several tries."""
    limit, tests = {"time_limit": 1.0}, CodeTests(test_list=("assert f() == 2",))
    question = Question("code", "", tests=tests, meta=limit)
    programs = [f"import time\ndef f():\n    time.sleep({s})\n    return 2\n" for s in (1.0, 1.0, 0.5, 1.0, 0.5, 1.0)]
    late = "timeout: idle"
    expected, found = [late, late, "passed", late, "passed", late], [""]
    for _ in range(6):
        if found != expected:
            with Verifier(1) as verifier:
                found = [verdict.reason for verdict in verifier.verify_batch((question, p) for p in programs)]
    assert found == expected


def offspring(pid: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return b""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans on")
def test_the_keeper_clears_away_what_a_dead_judge_left() -> None:
    script = """
        import os, signal, subprocess
        from midway.verifier.pool.worker import _adopt, _sweep
        _adopt()
        read, write = os.pipe()
        judge = os.fork()
        if not judge:
            left = subprocess.Popen(["sleep", "1000"], start_new_session=True)
            os.write(write, b"%d" % left.pid)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(judge, 0)
        left = int(os.read(read, 100))
        alive = os.path.exists(f"/proc/{left}")
        _sweep()
        print(alive, os.path.exists(f"/proc/{left}"))
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "False"]
