"""midway: several self-generated ways to each solution, then RL; and an honest answer to whether it helped.

Importing this package is cheap: no torch, no transformers.
"""

__version__ = "0.1.0"
