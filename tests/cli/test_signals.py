"""Ctrl-C and SIGTERM: the first is answered while the step goes on, the second ends all at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from midway.rundir.ending import descendants

STEP = (
    "import hashlib, sys\n"
    "from midway.cli.console import Console\n"
    "with Console() as console:\n"
    "    print('begun', file=sys.stderr, flush=True)\n"
    "    hashlib.pbkdf2_hmac('sha256', b'a', b'b', 3_000_000)\n"  # one call of C, seconds long: no handler of Python's runs meanwhile
    "    print('the step is done', console.stop(), file=sys.stderr, flush=True)\n"
)


def lines_until(process: subprocess.Popen[str], wanted: str) -> list[str]:
    assert process.stderr is not None
    found = []
    for line in process.stderr:
        found.append(line.rstrip("\n"))
        if wanted in line:
            return found
    raise AssertionError(f"{wanted!r} was never said: {found}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_answered_before_the_step_ends(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", STEP], stderr=subprocess.PIPE, text=True) as process:
        lines_until(process, "begun")
        process.send_signal(number)
        said = lines_until(process, "the step is done")
    assert said == [said[0], "the step is done True"] and said[0].startswith("midway: stopping after the step at work")
    assert process.returncode == 0, "the step was let finish"


CHILD = (
    "import subprocess, sys, time\n"
    "from pathlib import Path\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'], start_new_session=True)\n"
    "Path(sys.argv[-1]).with_name('pids').write_text(str(child.pid))\n"
    "time.sleep(300)\n"
)


def test_the_second_ends_a_launched_training_with_all_that_it_started(tmp_path: Path) -> None:
    """A launcher whose workers have sessions of their own, as torchrun's have: none is left."""
    (tmp_path / "launcher").write_text(f"#!{sys.executable}\n{CHILD}")
    (tmp_path / "launcher").chmod(0o755)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from midway.cli.console import Console\n"
        "from midway.training.launch import launch\n"
        "with Console() as console:\n"
        "    launch(Path(sys.argv[1]), [sys.argv[2]], None, console.stop)\n"
    )
    job = tmp_path / "job.json"
    job.write_text(json.dumps({}))
    words = [sys.executable, "-c", code, str(job), str(tmp_path / "launcher")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        pids = tmp_path / "pids"
        while not pids.exists() or not pids.read_text():
            assert process.poll() is None
            time.sleep(0.05)
        started = [*descendants(process.pid)]
        assert int(pids.read_text()) in started and len(started) == 2
        process.send_signal(signal.SIGTERM)
        lines_until(process, "stopping after the step")
        while not (tmp_path / "stop-requested").exists():  # the training is asked too
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    assert not [pid for pid in started if alive(pid)]


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
