"""RL with verl: on Ray, over as many machines as there are, in an environment of its own.

Nothing here imports verl. `inside.py` and `compute_score.py` are what runs there.
"""
