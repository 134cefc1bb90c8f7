"""pass@k of samples that you have already, with an honest interval. Type: python examples/pass_at_k.py"""

import numpy as np

import midway
from midway.evidence import difference, mean

rng = np.random.default_rng(0)
samples, questions = 8, 200
skill_Q = rng.beta(0.5, 1.0, questions)  # how often each question is solved
right_Q = rng.binomial(samples, skill_Q)
better_Q = rng.binomial(samples, np.clip(skill_Q + 0.1, 0, 1))

for k in (1, 4, 8):
    found = mean(midway.pass_at_k(np.full(questions, samples), right_Q, k)[None, :])
    print(f"pass@{k}: {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]")
paired = difference((better_Q / samples)[None, :], (right_Q / samples)[None, :])
print(f"paired difference: {paired.value:+.3f} [{paired.low:+.3f}, {paired.high:+.3f}]")
