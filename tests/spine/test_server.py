"""A run against a server that speaks OpenAI's API: it is killed in the middle, and the key it wants is written nowhere."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from midway.rundir import COMPLETIONS, read_json, read_table, stored_ids

SERVER = Path(__file__).parents[1] / "engines" / "fault_server.py"
KEY = "s3cret-value-of-the-key"


@contextmanager
def serving(port: int, *args: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(SERVER), "--port", str(port), "--key", KEY, *map(str, args)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and "port" in process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_killed_server_and_a_key_that_is_written_nowhere(
    lay_out: Callable[..., Path],
    here: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    engine = {
        "kind": "openai",
        "model": "faulty",
        "base_urls": [f"http://127.0.0.1:{port}/v1"],
        "api_key_env": "MIDWAY_TEST_KEY",
        "timeout": 1,
        "max_concurrency": 4,
        "max_retries": 20,
    }
    pool = {"heuristics": ["working-backward", "analogy"], "samples": 8, "sampling": {"max_tokens": 16}}
    recipe = lay_out(
        arms={"polya": {"rl": False, "midtrain": [{"pool": "guided", "strategy": "wrong-but-diverse"}]}},
        pools={"guided": pool},
        engine=engine,
    )
    monkeypatch.delenv("MIDWAY_TEST_KEY", raising=False)
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    with serving(port):
        done = here("run", recipe, "--out", calm, check=False)
        assert done.returncode == 2 and "MIDWAY_TEST_KEY is not set" in done.stderr
        monkeypatch.setenv("MIDWAY_TEST_KEY", KEY)
        here("run", recipe, "--out", calm)

    completions = rough / "pools/guided/completions"
    with serving(port, "--seconds", 0.05, "--faults", 0.2, "--stall", 0.1) as server:

        def kill() -> None:
            while len(stored_ids(completions)) < 20:
                time.sleep(0.02)
            server.kill()

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        broken = here("run", recipe, "--out", rough, check=False)
        thread.join()
    assert broken.returncode == 2
    assert "no server answers any more" in broken.stderr and "type the same command to go on" in broken.stderr
    assert read_json(completions / "stage.json")["state"] == "failed"
    held = len(stored_ids(completions))
    assert 20 <= held < 128
    with serving(port, "--faults", 0.2, "--stall", 0.1):
        done = here("run", recipe, "--out", rough)
    assert f"{held} were there already, {128 - held} are new" in done.stderr
    for rel in ("pools/guided/completions", "arms/base/seed-0/evaluations/test/base/completions"):
        one, two = (read_table(run / rel, COMPLETIONS)["id"].sort().to_list() for run in (calm, rough))
        assert one == two and one
    manifest, table = read_json(completions / "stage.json"), read_table(completions, COMPLETIONS)
    assert manifest["cost"]["completion_tokens"] == table["completion_tokens"].sum()  # of both attempts
    assert manifest["result"]["finish"] == dict(table["finish"].value_counts().iter_rows())
    files = [f for run in (calm, rough) for f in run.rglob("*") if f.is_file()]
    assert len(files) > 20 and not [f for f in files if KEY.encode() in f.read_bytes()]
