"""Hostile programs: none passes, none gets out, none leaves anything behind, none stops the judge."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from midway.domains import Verifier
from midway.records import CodeTests, Question
from midway.verifier.programs.sandbox import Limits, Program, available

PROGRAMS: dict[str, str] = json.loads((Path(__file__).parent / "data" / "hostile.json").read_text())
"""Programs that try to pass without being right, to get out, or to take the judge down. Each defines `add`."""

CHECK = "def check(add):\n    assert add(1, 2) == 3\n    assert add(20, 22) == 42\n"
ADD = Question("code", "", tests=CodeTests(entry_point="add", test=CHECK), meta={"time_limit": 1})
RIGHT = "def add(a, b):\n    return a + b\n"

needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")

# Runs in a process of its own, which adopts every orphan below it, so that whatever is left behind can be seen.
HARNESS = """
import ctypes, json, os, sys, time
from pathlib import Path
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
from midway.records import CodeTests, Question
from midway.domains import Verifier

def below(pid):
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int(entry.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if parent == pid:
                found += [int(entry.name), *below(int(entry.name))]
    return found

job = json.loads(sys.stdin.read())
question = Question("code", "", tests=CodeTests(**job["tests"]), meta={"time_limit": 1})
verifier = Verifier(2)
verdicts = [v for v in verifier.verify_batch((question, text) for text in job["texts"])]
started = time.monotonic()
last = verifier.verify(question, job["right"])
keepers = set(verifier.pool().processes())
judges = {p for k in keepers for p in below(k)}
verifier.close()
time.sleep(0.5)
for _ in range(200):  # reap what was adopted
    try:
        if os.waitpid(-1, os.WNOHANG)[0] == 0:
            break
    except ChildProcessError:
        break
print(json.dumps({"verdicts": [[str(v.judgement), v.reason] for v in verdicts], "last": str(last.judgement),
                  "workers": len(keepers), "judges": len(judges), "left": below(os.getpid())}))
"""


@needs_bwrap
def test_hostile_programs(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("3")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        port = listener.getsockname()[1]
        texts = [p.replace("{OUTSIDE}", str(outside)).replace("{PORT}", str(port)) for p in PROGRAMS.values()]
        job = {"tests": {"entry_point": "add", "test": CHECK}, "texts": texts, "right": RIGHT}
        done = subprocess.run(
            [sys.executable, "-c", HARNESS],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            env={**os.environ, "MIDWAY_TEST_SECRET": "3"},
        )
        assert done.returncode == 0, done.stderr
        with pytest.raises(BlockingIOError):
            listener.accept()
    result = json.loads(done.stdout)
    assert len(result["verdicts"]) == len(PROGRAMS) >= 40
    passed = [name for name, (verdict, _) in zip(PROGRAMS, result["verdicts"], strict=True) if verdict == "correct"]
    assert passed == []
    failures = {n: r for n, (v, r) in zip(PROGRAMS, result["verdicts"], strict=True) if v == "unjudged"}
    assert failures == {}  # each is the program's own failure, not the verifier's
    assert result["last"] == "correct"
    assert result["left"] == []
    assert sorted(p.name for p in outside.iterdir()) == ["secret"]


def test_right_program_after_wrong_ones() -> None:
    with Verifier(1) as verifier:
        verdicts = list(verifier.verify_batch((ADD, text) for text in (RIGHT, PROGRAMS["kills everything"], RIGHT)))
    assert [str(v.judgement) for v in verdicts] == ["correct", "wrong", "correct"]


def test_limits_alone_also_hold(tmp_path: Path) -> None:
    """Without bubblewrap: said once, loudly; programs still cannot write, connect, fork or pass."""
    names = [
        "writes outside",
        "fork bomb",
        "opens a connection",
        "kills the parent",
        "runs a shell",
        "removes files",
        "leaves with 0 before the tests",
        "result equal to anything",
        "burns the processor",
        "sleeps for ever",
        "memory bomb",
        "kills everything",
        "becomes another program",
        "reads the environment",
    ]
    (tmp_path / "secret").write_text("3")
    rows = [
        {
            "id": name,
            "domain": "code",
            "completion": PROGRAMS[name].replace("{OUTSIDE}", str(tmp_path)).replace("{PORT}", "9"),
            "entry_point": "add",
            "test": CHECK,
            "time_limit": 1,
        }
        for name in names
    ]
    rows.append({**rows[0], "id": "right", "completion": RIGHT})
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    command = [sys.executable, "-m", "midway", "verify", str(file)]
    bare = {**os.environ, "PATH": str(tmp_path), "MIDWAY_TEST_SECRET": "3"}
    done = subprocess.run([*command, "--workers", "1"], capture_output=True, text=True, env=bare)
    assert done.returncode == 0, done.stderr
    verdicts = {r["id"]: r["verdict"] for r in map(json.loads, done.stdout.splitlines())}
    assert verdicts.pop("right") == "correct"
    assert set(verdicts.values()) == {"wrong"}
    assert done.stderr.count("NO SANDBOX") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rows.jsonl", "secret"]
    refused = subprocess.run([*command, "--require-sandbox"], capture_output=True, text=True, env=bare)
    assert refused.returncode == 2
    assert "apt-get install bubblewrap" in refused.stderr
    assert refused.stdout == ""


@needs_bwrap
def test_sees_nothing_of_ours() -> None:
    assert available() == "bubblewrap"
    look = textwrap.dedent("""
        import os
        print(sorted(os.environ), os.getcwd(), os.listdir("/tmp"))
        print(os.path.exists("/etc/passwd"), os.path.exists("/home"))
        open("/tmp/private", "w").write("x")
        try:
            open("/usr/x", "w")
        except OSError as error:
            print(error.errno)
    """)
    for _ in range(2):  # the second finds nothing of the first
        with Program(look, Limits(), script=True) as program:
            status, output = program.run(b"", 10_000)
        assert status == "done"
        first, second, third = output.decode().splitlines()
        # where the interpreter itself lives under /tmp, the folder that leads to it is there, read-only
        lead = sorted(
            {Path(p).relative_to("/tmp").parts[0] for p in (sys.prefix, sys.base_prefix) if p.startswith("/tmp/")}
        )
        assert first == f"['HOME', 'LANG', 'PATH', 'PWD', 'PYTHONHASHSEED'] /tmp {lead}"
        assert second == "False False"
        assert third in ("30", "13")  # read-only, or not permitted


def test_killing_the_parent_leaves_no_process() -> None:
    """`kill -9` of the process that owns the pool takes its workers and the program under way with it."""
    script = textwrap.dedent(f"""
        import threading, sys, time
        from midway.records import CodeTests, Question
        from midway.domains import Verifier
        question = Question("code", "", tests=CodeTests(entry_point="add", test={CHECK!r}))
        verifier = Verifier(1)
        sleeper = "import time\\ndef add(a, b):\\n    time.sleep(600)\\n"
        threading.Thread(target=verifier.verify, args=(question, sleeper)).start()
        while not verifier.pool().processes():
            time.sleep(0.01)
        time.sleep(2)
        print(*verifier.pool().processes(), flush=True)
        time.sleep(600)
    """)
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    keepers = [int(p) for p in child.stdout.readline().split()]
    assert keepers
    family = [p for k in keepers for p in _below(k)] + keepers
    assert len(family) >= 3  # keeper, judge, program
    child.kill()
    child.wait()
    assert _gone(family)


def _below(pid: int) -> list[int]:
    try:
        children = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [p for c in children for p in (c, *_below(c))]


def _gone(pids: list[int]) -> bool:
    import time

    for _ in range(200):
        alive = [p for p in pids if Path(f"/proc/{p}/stat").exists() and _state(p) != "Z"]
        if not alive:
            return True
        time.sleep(0.05)
    return False


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"
