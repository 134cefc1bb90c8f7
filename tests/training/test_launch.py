"""A training in a process of its own notices when the midway that started it is gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from midway.training.launch import parent_gone


def test_a_killed_process_is_gone_though_nobody_waited_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`kill -9` leaves a process that is dead and still listed until its parent asks for the exit code; some parents never do."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    monkeypatch.setenv("MIDWAY_PARENT", f"{socket.gethostname()}:{process.pid}")
    assert not parent_gone()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead from here on, and still listed
    os.kill(process.pid, 0)
    assert parent_gone()
    process.wait()
    assert parent_gone()
    monkeypatch.setenv("MIDWAY_PARENT", f"another-machine:{process.pid}")
    assert not parent_gone()
