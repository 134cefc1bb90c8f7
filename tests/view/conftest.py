"""A server of one stored run and a Chromium, shared by the tests of a module."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from midway.view import ViewServer
from midway.view.viewed import Runs


def load(name: str) -> ModuleType:
    """Return a module that lies beside this file."""
    if f"view_{name}" not in sys.modules:
        spec = importlib.util.spec_from_file_location(f"view_{name}", Path(__file__).with_name(f"{name}.py"))
        assert spec and spec.loader
        sys.modules[f"view_{name}"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[f"view_{name}"])
    return sys.modules[f"view_{name}"]


runs, chromium = load("runs"), load("chromium")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stored run, with rollouts."""
    path: Path = runs.unpack(tmp_path_factory.mktemp("runs"))
    runs.add_rollouts(path)
    return path


@pytest.fixture(scope="module")
def server(stored: Path) -> Iterator[ViewServer]:
    """The viewer's server of it, in a thread."""
    found = ViewServer(Runs([stored]))
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A tab of Chromium."""
    if not shutil.which("chromium"):
        pytest.skip("no Chromium here: apt-get install chromium")
    with chromium.chromium() as page:
        yield page


@pytest.fixture
def page(browser: Any, server: ViewServer) -> Iterator[Any]:
    """The tab; afterwards nothing may have been complained of, and nothing asked of another machine."""
    browser.size(1400)
    browser.problems.clear()
    browser.requests.clear()
    yield browser
    assert browser.problems == []
    own = (server.url, "data:", "blob:", "about:")
    assert [url for url in browser.requests if not url.startswith(own)] == []
