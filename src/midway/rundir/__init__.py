"""The run directory: the one place where a run lives. Imports no torch.

`layout` makes every path, `tables` declares the columns of every table, `journal` stores rows, `files` whole files, `manifest` is what a
stage leaves about itself.
"""

from midway.rundir import layout
from midway.rundir.files import RunError, now, read_json, write_bytes, write_json, write_table
from midway.rundir.journal import ShardWriter, read_table, recover, scan_file, scan_table, stored_ids
from midway.rundir.manifest import COMPLETE, FAILED, INTERRUPTED, RUNNING, StageDir, difference, flatten, stage_digest
from midway.rundir.rundir import RunDir, find_run
from midway.rundir.stopped import Stopped
from midway.rundir.tables import (
    ADHERENCE,
    ASKED,
    COMPLETIONS,
    EVALUATIONS,
    FILTERED,
    FUNNEL,
    LABELS,
    QUESTIONS,
    REMOVED,
    ROLLOUTS,
    SOLUTIONS,
    VERDICTS,
    Schema,
)

__all__ = [
    "ADHERENCE",
    "ASKED",
    "COMPLETE",
    "COMPLETIONS",
    "EVALUATIONS",
    "FAILED",
    "FILTERED",
    "FUNNEL",
    "INTERRUPTED",
    "LABELS",
    "QUESTIONS",
    "REMOVED",
    "ROLLOUTS",
    "RUNNING",
    "SOLUTIONS",
    "VERDICTS",
    "RunDir",
    "RunError",
    "Schema",
    "ShardWriter",
    "StageDir",
    "Stopped",
    "difference",
    "find_run",
    "flatten",
    "layout",
    "now",
    "read_json",
    "read_table",
    "recover",
    "scan_file",
    "scan_table",
    "stage_digest",
    "stored_ids",
    "write_bytes",
    "write_json",
    "write_table",
]
