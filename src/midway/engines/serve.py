"""A local `vllm serve` for as long as it is needed.

Promises: the server is healthy when the block begins and gone, with all its processes, when the block ends, however it ends.

When things go wrong: a server that exits or does not become healthy in time is an EngineError with the end of its log.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from midway.engines.base import EngineError
from midway.engines.parts import OpenAIEngine
from midway.recipe import ModelConfig


def serve_command(
    config: OpenAIEngine, model: ModelConfig, *, model_path: str | None = None, python: str = sys.executable
) -> list[str]:
    """Return the command that serves the model at the first of `config.base_urls`."""
    url = urlsplit(config.base_urls[0])
    path = model_path or model.path
    command = [
        python, "-m", "vllm.entrypoints.openai.api_server",
        "--model", path,
        "--served-model-name", config.model or path,
        "--host", url.hostname or "127.0.0.1",
        "--port", str(url.port or 8000),
        "--dtype", model.dtype,
        "--generation-config", "vllm",
        "--enable-prompt-tokens-details",
    ]  # fmt: skip
    if model.revision:
        command += ["--revision", model.revision]
    if model.trust_remote_code:
        command.append("--trust-remote-code")
    return command + list(config.serve or [])


@contextmanager
def serving(
    command: list[str],
    url: str,
    *,
    seconds: float = 900,
    log_file: Path | None = None,
    log: Callable[[str], None] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `command`, wait up to `seconds` until the server at `url` (ending in /v1) is healthy; stop it at the end of the block."""
    if _healthy(url):
        raise EngineError(f"something answers at {url} already\n  stop it, or set another port in `engine.base_urls`")
    file = log_file or Path(tempfile.mkdtemp(prefix="midway-serve-")) / "vllm.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    if log:
        log(f"starting {' '.join(command)}\n  its log is {file}")
    with open(file, "wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        start = time.monotonic()
        while not _healthy(url):
            if process.poll() is not None:
                raise EngineError(
                    f"the server ended (exit code {process.returncode}) before it was ready; its log, {file}:\n{_end(file)}"
                )
            if time.monotonic() - start > seconds:
                raise EngineError(f"the server was not ready after {seconds:.0f} s; its log, {file}:\n{_end(file)}")
            time.sleep(0.25)
        yield process
    finally:
        _stop(process)


def _healthy(url: str) -> bool:
    root = url.rstrip("/").removesuffix("/v1")
    try:
        with urllib.request.urlopen(f"{root}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server's process group: politely, then not."""
    for number, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 10)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            break
    with suppress(ProcessLookupError):  # engine processes that outlived their parent
        os.killpg(process.pid, signal.SIGKILL)


def _end(file: Path, lines: int = 15) -> str:
    return "\n".join("  " + line for line in file.read_text(errors="replace").splitlines()[-lines:])
