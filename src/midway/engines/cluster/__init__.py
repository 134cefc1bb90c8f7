"""Engines, and whatever else comes in batches, spread over a Ray cluster: `midway run --executor ray`.

- `nodes`: joins a cluster and says how many actors it has room for.
- `pool`: engines that answer requests and store the answers themselves, as `stream.complete` does on one machine.
- `crew`: actors whose results go back to the driver, in order. `engine` makes one engine of such actors.

Every node must have midway installed and see the run directory at the same path. Importing this package imports ray.

When things go wrong: no cluster, an engine that cannot go on, or actors that die one after the other are EngineErrors.
"""

from midway.engines.cluster.crew import Crew
from midway.engines.cluster.engine import RayEngine
from midway.engines.cluster.nodes import connect, room_for
from midway.engines.cluster.pool import complete_on_ray

__all__ = ["Crew", "RayEngine", "complete_on_ray", "connect", "room_for"]
