"""The theory's quantities in a real run: how spread out models are where ways part, which ways they take, and what the table of ways
predicts of RL from there. `midway theory --run RUN` prints it.

When things go wrong: RunError for a run without evaluations, or whose models were removed.
"""

from midway.branches.measure import Entropies, Found, State, measure
from midway.branches.predict import Learning, learning
from midway.branches.words import accounts

__all__ = ["Entropies", "Found", "Learning", "State", "accounts", "learning", "measure"]
