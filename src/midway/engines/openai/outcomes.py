"""How an attempt at a server can fail: the words that `wire` and `dispatch` share.

An attempt returns its result, or raises Retry (it may pass), Refused (it will not pass for this request), or any other exception, which
ends the run (an EngineError says what to do).
"""

from __future__ import annotations

from enum import Enum


class Health(Enum):
    """What a failed attempt says about the server."""

    WORKING = "working"
    """It answered as a server should; only this answer is of no use."""
    FAILING = "failing"
    OVERLOADED = "overloaded"
    UNREACHABLE = "unreachable"


class Retry(Exception):
    """This attempt failed in a way that may pass. `after`: seconds that the server asks to wait."""

    def __init__(self, reason: str, *, health: Health = Health.FAILING, after: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.health, self.after = reason, health, after


class Refused(Exception):
    """The server will never answer this request."""

    def __init__(self, reason: str, *, health: Health = Health.FAILING) -> None:
        super().__init__(reason)
        self.reason, self.health = reason, health
