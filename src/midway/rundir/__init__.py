"""The run directory: the one place where a run lives. Imports no torch.

`layout` makes every path, `tables` declares the columns of every table, `journal` stores rows, `files` whole files, `manifest` is what a
stage leaves about itself.
"""

from midway.rundir.files import RunError, now, read_json, write_bytes, write_json, write_table
from midway.rundir.journal import ShardWriter, read_table, recover, stored_ids
from midway.rundir.manifest import COMPLETE, FAILED, INTERRUPTED, RUNNING, StageDir, difference, flatten
from midway.rundir.rundir import RunDir
from midway.rundir.tables import ADHERENCE, COMPLETIONS, EVALUATIONS, LABELS, QUESTIONS, SOLUTIONS, VERDICTS, Schema

__all__ = [
    "ADHERENCE",
    "COMPLETE",
    "COMPLETIONS",
    "EVALUATIONS",
    "FAILED",
    "INTERRUPTED",
    "LABELS",
    "QUESTIONS",
    "RUNNING",
    "SOLUTIONS",
    "VERDICTS",
    "RunDir",
    "RunError",
    "Schema",
    "ShardWriter",
    "StageDir",
    "difference",
    "flatten",
    "now",
    "read_json",
    "read_table",
    "recover",
    "stored_ids",
    "write_bytes",
    "write_json",
    "write_table",
]
