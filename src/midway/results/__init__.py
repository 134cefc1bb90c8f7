"""The one reader of run directories: a run as typed results."""

from midway.results.load import Arm, Run, Stage, load_run
from midway.results.samples import Evaluation, Problem

__all__ = ["Arm", "Evaluation", "Problem", "Run", "Stage", "load_run"]
