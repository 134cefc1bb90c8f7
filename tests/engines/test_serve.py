"""`midway serve`: the server is there while it is needed and gone afterwards. (vLLM itself is in test_vllm.py; here a small server stands
in for it, so that the process handling is tested wherever the tests run.)"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from midway.engines import OpenAIEngine
from midway.engines.serve import serve_command
from midway.recipe import ModelConfig

HERE = Path(__file__).parent
VERB = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
    "import typer; from midway.cli import serve; app = typer.Typer(); serve.register(app); app()"
)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def standin(tmp_path: Path) -> Path:
    """An executable in place of vLLM's Python: takes vLLM's arguments, starts a small server, and a child that must not outlive it."""
    script = tmp_path / "python"
    script.write_text(
        f"#!/bin/sh\nsleep 300 &\necho $! > {tmp_path}/child\n"
        f'while [ "$1" != --port ]; do shift; done\nexec {sys.executable} {HERE}/fault_server.py --port "$2"\n'
    )
    script.chmod(0o755)
    return script


def recipe(tmp_path: Path, port: int, kind: str = "openai") -> Path:
    path = tmp_path / "r.yaml"
    engine = (
        f"{{kind: openai, model: faulty, base_urls: ['http://127.0.0.1:{port}/v1']}}"
        if kind == "openai"
        else f"{{kind: {kind}}}"
    )
    path.write_text(f"model: {{path: org/faulty}}\nengine: {engine}\n")
    return path


def verb(*args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", VERB, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def test_serves_while_a_command_runs(tmp_path: Path, standin: Path) -> None:
    port = free_port()
    ask = f"import urllib.request as u, sys; print(u.urlopen('http://127.0.0.1:{port}/v1/models').read()); sys.exit(7)"
    process = verb(recipe(tmp_path, port), "--python", standin, "--", sys.executable, "-c", ask)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 7, err
    assert "faulty" in out and f"serving faulty at http://127.0.0.1:{port}/v1" in err
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
    assert gone(int((tmp_path / "child").read_text()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_with_all_its_processes(tmp_path: Path, standin: Path, number: int) -> None:
    port = free_port()
    process = verb(recipe(tmp_path, port), "--python", standin)
    assert process.stderr is not None
    while "serving faulty" not in (line := process.stderr.readline()):
        assert line or process.poll() is None
    os.kill(process.pid, number)
    assert process.wait(60) == 130
    assert gone(int((tmp_path / "child").read_text()))


def test_errors(tmp_path: Path, standin: Path) -> None:
    port = free_port()

    def said(*args: object) -> str:
        process = verb(*args)
        _, err = process.communicate(timeout=180)
        assert process.returncode == 2, err
        return err

    assert "is recorded, which needs no server" not in said(recipe(tmp_path, port, "transformers"))
    assert "is transformers, which needs no server" in said(recipe(tmp_path, port, "transformers"))
    assert "no such file" in said(tmp_path / "none.yaml")
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no module named vllm\nexit 3\n")
    broken.chmod(0o755)
    text = said(recipe(tmp_path, port), "--python", broken)
    assert "ended (exit code 3) before it was ready" in text and "no module named vllm" in text
    with socket.socket() as silent:  # a server that never becomes healthy
        silent.bind(("127.0.0.1", port))
        slow = tmp_path / "slow"
        slow.write_text("#!/bin/sh\nexec sleep 60\n")
        slow.chmod(0o755)
        assert "was not ready after 1 s" in said(recipe(tmp_path, port), "--python", slow, "--wait", 1)


def test_the_command_says_what_the_recipe_says() -> None:
    config = OpenAIEngine(
        kind="openai", base_urls=["http://0.0.0.0:8123/v1"], model="alias", serve=["--tensor-parallel-size", "2"]
    )
    command = serve_command(config, ModelConfig(path="org/m", revision="abc", dtype="bfloat16"), python="py")
    text = " ".join(command)
    assert text.startswith(
        "py -m vllm.entrypoints.openai.api_server --model org/m --served-model-name alias --host 0.0.0.0 --port 8123"
    )
    for part in ("--dtype bfloat16", "--generation-config vllm", "--revision abc", "--tensor-parallel-size 2"):
        assert part in text
