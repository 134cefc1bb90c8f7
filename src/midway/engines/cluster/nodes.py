"""The nodes of a Ray cluster: joining it, and how many actors it has room for.

Promises: an actor's GPUs or processors are those of one node; Ray's own handler of SIGTERM is put back, so that midway's works.

When things go wrong: no cluster, or no node that is large enough, is an EngineError that says what to change.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import ray
from ray.exceptions import NodeDiedError, ObjectLostError, OutOfMemoryError, RayActorError, WorkerCrashedError

from midway import registry
from midway.engines.base import EngineError
from midway.recipe import EngineConfig

DEATHS_IN_A_ROW = 3
"""So many actors that die one after the other, without a result in between, end the work."""
DIED = (RayActorError, WorkerCrashedError, OutOfMemoryError, NodeDiedError, ObjectLostError)
"""What comes of the death of an actor, its worker process, or its node."""


def connect(address: str | None = None, **options: Any) -> None:
    """Join the Ray cluster at `address` (or RAY_ADDRESS), or start one on this machine. Raises EngineError when there is none."""
    if ray.is_initialized():
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address or os.environ.get("RAY_ADDRESS"), log_to_driver=False, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise EngineError(
            f"no Ray cluster: {error}\n  start one (`ray start --head`), set RAY_ADDRESS, or leave out `--executor ray`"
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():  # Ray sets a handler of its own, which ends at once
            signal.signal(signal.SIGTERM, before)


def resources(config: EngineConfig) -> tuple[int, int]:
    """Return how many engines the cluster has room for and the GPUs of each (0: a CPU). An engine's GPUs are those of one node."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    each = registry.find("engines", config.kind).gpus(config)
    if sum(gpus) and each:
        if each > max(gpus):
            raise EngineError(
                f"the engine wants {each} GPUs of one node and the nodes of the Ray cluster have {max(gpus)} at most\n"
                "  lower engine.args.tensor_parallel_size"
            )
        return sum(count // each for count in gpus), each
    return len(nodes), 0


def room_for(processors: int) -> tuple[int, int]:
    """Return how many processors an actor gets that would like so many (fewer on small nodes), and how many such actors fit in."""
    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    each = max(1, min(processors, *(n for n in nodes if n), processors))
    return each, max(1, sum(n // each for n in nodes))


def engine_options(gpus: int) -> dict[str, Any]:
    """Return how Ray places an engine actor."""
    return {"max_concurrency": 3, "scheduling_strategy": "SPREAD"} | ({"num_gpus": gpus} if gpus else {"num_cpus": 1})


def first_line(error: BaseException) -> str:
    """Return the first line of what Ray says, which goes on with the whole history of the actor."""
    return str(error).splitlines()[0]
