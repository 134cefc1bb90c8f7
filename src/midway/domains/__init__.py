"""Domains: one object a kind of question, and the `Verifier` that judges with them.

    with Verifier() as verifier:
        for verdict in verifier.verify_batch((question, completion.text) for ...):
            ...

Promises: a verdict is `correct`, `wrong` or `unjudged`; what could not be judged is never a silent wrong. No torch, no sympy at import.
"""

from midway.domains.base import Domain, task
from midway.domains.gold import Problem, check_gold, check_weak
from midway.domains.reading import question_of
from midway.domains.verifier import WINDOW, Item, Verifier, verify

__all__ = [
    "WINDOW",
    "Domain",
    "Item",
    "Problem",
    "Verifier",
    "check_gold",
    "check_weak",
    "question_of",
    "task",
    "verify",
]
