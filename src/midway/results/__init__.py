"""The one reader of run directories: `open_run(path)` gives a run with typed results and its tables as frames.

    run = open_run("main")                      # a path, or a name under runs/
    run.results.differences[0].difference       # Estimate(value=0.061, low=0.039, high=0.082, ...)
    run.completions("guided")                   # a polars frame: what was written, its verdict, its adherence

Promises: no torch; reads only. What is missing or failed is said in `Results.problems` and never counted as wrong.

`directory` says what is where, `load` reads and counts it (`contents`); `scores`, `ways` and `training` make the typed `Results` of that
(`types`), `dump` writes and reads results.json. What computes loads scipy and is imported from its module: `scores.compute`,
`load.read_contents`.
"""

from midway.results.contents import Arm, Contents, StageRecord, joined
from midway.results.dump import dumps, loads, read_results
from midway.results.run import Run, open_run
from midway.results.samples import Evaluation
from midway.results.types import (
    Agreement,
    ArmAlarm,
    ArmSummary,
    Benchmark,
    Composition,
    Correctness,
    Cost,
    Coverage,
    Curve,
    Difference,
    EngineWork,
    Estimate,
    Found,
    Funnel,
    FunnelOfHeuristic,
    FunnelStep,
    Gain,
    GreedyScore,
    Interval,
    LabelCounts,
    Labeller,
    LengthMatched,
    Mix,
    PassAtK,
    Problem,
    Replay,
    Results,
    Score,
    Share,
    Vendi,
    Ways,
)

__all__ = [
    "Agreement",
    "Arm",
    "ArmAlarm",
    "ArmSummary",
    "Benchmark",
    "Composition",
    "Contents",
    "Correctness",
    "Cost",
    "Coverage",
    "Curve",
    "Difference",
    "EngineWork",
    "Estimate",
    "Evaluation",
    "Found",
    "Funnel",
    "FunnelOfHeuristic",
    "FunnelStep",
    "Gain",
    "GreedyScore",
    "Interval",
    "LabelCounts",
    "Labeller",
    "LengthMatched",
    "Mix",
    "PassAtK",
    "Problem",
    "Replay",
    "Results",
    "Run",
    "Score",
    "Share",
    "StageRecord",
    "Vendi",
    "Ways",
    "dumps",
    "joined",
    "loads",
    "open_run",
    "read_results",
]
