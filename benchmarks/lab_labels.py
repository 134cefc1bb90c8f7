"""Does the lab's labeller agree with its solver? Prints agreement on N generated solutions, per way and family.

    python benchmarks/lab_labels.py [N=100000]

Half of the solutions are flawless, half carry slips (15 % of the computed results are off); agreement means that every
sentence has the solver's way and the solver's right/wrong mark. Exit code 1 when any solution disagrees.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter

from midway.lab.ways import solvable, solve_sentences
from midway.lab.world import FAMILIES, SPLITS, UNIVERSAL, WorldConfig, draw, label


def main(n: int) -> int:
    rng = random.Random("lab-labels")
    config = WorldConfig(fits=UNIVERSAL)
    total: Counter[tuple[str, str]] = Counter()
    differ: Counter[tuple[str, str]] = Counter()
    sentences = 0
    start = time.time()
    while sum(total.values()) < n:
        question = draw(rng, rng.choice(list(FAMILIES)), rng.choice((1, 2, 3)), rng.choice(SPLITS), config)
        for way in solvable(question):
            written = solve_sentences(question, way, rng, rng.choice((0.0, 0.15)))
            text = " ".join(sentence.text for sentence in written)
            found = label(question, text)
            want = [(s.way, s.text.removesuffix("."), s.right) for s in written[:-1]]
            cell = (way, str(question.meta["family"]))
            total[cell] += 1
            sentences += len(want)
            if [(s.way, s.text, s.right) for s in found.steps] != want:
                differ[cell] += 1
                if differ[cell] == 1:
                    print(f"differs: {question.text}\n    {text}")
    for way, family in sorted(total):
        print(f"{way:30s} {family:26s} {total[way, family]:7,d}  differ {differ[way, family]}")
    count, bad = sum(total.values()), sum(differ.values())
    print(f"{count:,} solutions, {sentences:,} sentences, {bad} differ, {time.time() - start:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
