"""The openai engine, in three parts: `wire` (requests and answers), `dispatch` (which request goes where, when), `client` (the engine).

When things go wrong: see `client`; `outcomes` has the ways in which one attempt can fail.
"""

from midway.engines.openai.client import OpenAIClient
from midway.engines.openai.wire import retry_after

__all__ = ["OpenAIClient", "retry_after"]
