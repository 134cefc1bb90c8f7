"""Judges random true rewritings and near-misses of golds of every family; prints what is refused and what is paid, by style.

python benchmarks/near_misses.py [N] [FAMILY ...]     # N cases a family, default 10,000
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "verifier"))

from rewritings import FAMILIES  # (the generators are those of the test suite)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    refused_all = rewritings_all = paid_all = 0
    for name in sys.argv[2:] or FAMILIES:
        started, seen = time.perf_counter(), Counter[tuple[str, bool]]()
        wrong: dict[tuple[str, bool], list[str]] = {}
        for seed in range(count):
            case = FAMILIES[name](Random(f"{name} {seed}"))
            seen[case.style, case.right] += 1
            if not case.holds():
                wrong.setdefault((case.style, case.right), []).append(str(case))
        rewritings = sum(n for (_, right), n in seen.items() if right)
        refused = sum(len(w) for (_, right), w in wrong.items() if right)
        paid = sum(len(w) for (_, right), w in wrong.items() if not right)
        refused_all, rewritings_all, paid_all = refused_all + refused, rewritings_all + rewritings, paid_all + paid
        print(f"{name}: {rewritings} rewritings, {refused} refused = {refused / max(1, rewritings):.2%};", end=" ")
        print(f"{count - rewritings} near-misses, {paid} paid ({time.perf_counter() - started:.0f} s)")
        for (style, right), cases in sorted(wrong.items()):
            print(f"  {'refused' if right else 'PAID'} {style}: {len(cases)} of {seen[style, right]}")
            for text in cases[:3]:
                print(f"    {text}")
    share = refused_all / max(1, rewritings_all)
    print(f"all: {refused_all} of {rewritings_all} rewritings refused = {share:.2%}; {paid_all} near-misses paid")


if __name__ == "__main__":
    main()
