"""Shared fixtures: child processes find the package from the source tree; nothing reaches out to the network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "HF_DATASETS_OFFLINE", "DO_NOT_TRACK"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture
def midway() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the real command line in a child process: `midway("verify", "x.jsonl")`."""

    def call(*args: str | Path, check: bool = True, **kwargs: object) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "midway", *map(str, args)],
            capture_output=True,
            text=True,
            **kwargs,  # type: ignore[call-overload]
        )
        if check and done.returncode:
            raise AssertionError(f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    return call


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public benchmark files beside the checkout; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("MIDWAY_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no benchmark files at {path}")
    return path


class RayCluster:
    """A real Ray cluster of two nodes with a processor each, on this machine."""

    def actors(self, name: str) -> list[int]:
        """Return the process ids of the living actors of a class."""
        from ray._private import state

        found = state.actors().values()
        return [a["Pid"] for a in found if a["ActorClassName"] == name and a["State"] == "ALIVE" and a["Pid"]]

    @staticmethod
    def stored_by(process: int, folder: Path) -> int:
        """Return how many rows a process has in a journal of `folder` that it holds open."""
        rows = 0
        for link in Path(f"/proc/{process}/fd").glob("*"):
            try:
                target = Path(os.readlink(link))
                if target.suffix == ".jsonl" and target.parent == folder.resolve():
                    rows += target.read_bytes().count(b"\n")
            except OSError:
                continue  # closed, or turned into a shard, just now
        return rows

    def kill_one(self, name: str, when: Callable[[int], bool], killed: list[int]) -> threading.Thread:
        """Kill (SIGKILL) one actor of a class, the first for whose process `when` holds; the thread ends when it has."""

        def watch() -> None:
            while not killed:
                for process in self.actors(name):
                    if not killed and when(process):
                        os.kill(process, signal.SIGKILL)
                        killed.append(process)
                time.sleep(0.02)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        return thread


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[RayCluster]:
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'midway[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    from midway.engines.cluster import connect

    settings = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**settings, "include_dashboard": False})
    cluster.add_node(**settings)
    connect(cluster.address)

    yield RayCluster()
    ray.shutdown()
    cluster.shutdown()
