"""The transformers engine: `engine` (the protocol, batches that fit into memory), `batch` (one batch), `prefixes`, `kv` and `attention`
(what is computed once), `sampling` (how a token is drawn), `loading` and `memory`.

When things go wrong: see `engine`.
"""

from midway.engines.transformers.engine import HFEngine

__all__ = ["HFEngine"]
