"""How long and how much memory a report takes: synthesises a big run, measures a child process.

    python benchmarks/report.py [--samples 1000000] [--keep DIR]

Prints seconds, peak memory and the size of the page; exits 1 above 60 s or 2 GB. `--df` recomputes the constants of
`midway.evidence.intervals` instead, and `--coverage` prints the measured coverage of its intervals.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import optimize, stats

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, default=None)
    parser.add_argument("--df", action="store_true")
    parser.add_argument("--coverage", action="store_true")
    options = parser.parse_args()
    if options.df:
        return constants()
    if options.coverage:
        return coverage()
    with tempfile.TemporaryDirectory() as folder:
        return measure(options.samples, (options.keep or Path(folder)) / "big")


def load(name: str, path: Path) -> object:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure(samples: int, path: Path) -> int:
    make = load("make_run", ROOT / "tests/report/make_run.py")
    # 5 arms x 3 seeds on 3 benchmarks: 3 x (1 base + 3 mid-trained arms x 3 seeds x 2 phases + 3) = 66 evaluations
    questions = max(1, samples // (66 * 16))
    start = time.perf_counter()
    make.make_run(  # type: ignore[attr-defined]
        path, questions=questions, samples=16, benchmarks=("gsm8k", "math500", "lab-hard"), rl_steps=1000
    )
    print(f"wrote {66 * 16 * questions:,} samples in {time.perf_counter() - start:.1f} s")
    start = time.perf_counter()
    code = f"from pathlib import Path; from midway.report import build_report as b; print(b(Path({str(path)!r})).html)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    size = Path(done.stdout.strip()).stat().st_size / 1e6
    print(f"report: {seconds:.1f} s, {memory:.2f} GB at the peak, page {size:.2f} MB")
    return 0 if seconds < 60 and memory < 2 else 1


def constants() -> int:
    """Print a(f): with t of f exp(a / v) degrees of freedom, coverage deviates least from 95 % over all ratios."""
    ratio = np.exp(np.linspace(-5, 10, 60))[:, None]
    quantiles = (np.arange(800) + 0.5) / 800

    def deviation(a: float, f: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        v = ratio * stats.chi2.ppf(quantiles, f) / f
        df = np.minimum(f * np.exp(np.minimum(a / v, 30)), 1e6)
        z = stats.t.isf(0.025, df) * np.sqrt((1 + v) / (1 + ratio))
        return 100 * np.mean(2 * stats.norm.cdf(z) - 1, axis=1) - 95

    for f in (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 12, 20, 40, 100):

        def worst(a: float, f: float = f) -> float:
            return float(np.abs(deviation(a, f)).max())

        best = optimize.minimize_scalar(worst, bounds=(0.05, 2.5), method="bounded").x
        low, high = deviation(best, f).min(), deviation(best, f).max()
        print(f"f = {f:6.2f}   a = {best:.3f}   coverage {95 + low:.2f} to {95 + high:.2f} %")
    return 0


def coverage(experiments: int = 8_000) -> int:
    """Print the share of simulated experiments whose 95 % interval holds the truth."""
    tests = load("test_intervals", ROOT / "tests/evidence/test_intervals.py")
    from midway.evidence import difference, mean

    tests.EXPERIMENTS = experiments  # type: ignore[attr-defined]
    arms, covered = tests.arms, tests.coverage  # type: ignore[attr-defined]
    plans = [
        (q, seeds, n, sd)
        for q, n in ((30, 16), (300, 4))
        for seeds in ((1, 1), (2, 2), (3, 3), (5, 5), (3, 5), (1, 4))
        for sd in ((0.0,) if seeds == (1, 1) else (0.0, 0.01, 0.03))
    ]
    for q, seeds, n, sd in plans:
        share = covered(lambda rng, q=q, s=seeds, n=n, sd=sd: difference(*arms(rng, q, s, n, (0.05, 0.0), sd)), 0.05, 1)
        print(
            f"difference  {q:5d} questions  {seeds} seeds  {n:2d} samples  seed sd {sd:.2f}  {100 * share:.2f} %",
            flush=True,
        )
    for seeds, sd in ((1, 0.0), (2, 0.01), (3, 0.01), (5, 0.01)):
        share = covered(lambda rng, s=seeds, sd=sd: mean(arms(rng, 200, (s,), 4, (0.1,), sd)[0]), 0.6, 1)
        print(
            f"mean          200 questions  {seeds} seeds  4 samples  seed sd {sd:.2f}  {100 * share:.2f} %", flush=True
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
