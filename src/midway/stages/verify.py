"""Verify: is each completion of a pool right? Reads completions, calls the verifier, writes `verdicts/` (see `judging`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from midway.recipe import VerifyConfig
from midway.rundir import layout
from midway.stages.base import Output, Stage, domains_identity, verify_identity
from midway.stages.judging import judge_completions
from midway.stages.pools import asked
from midway.workbench import TRAIN, Workbench


@dataclass(frozen=True, eq=False, kw_only=True)
class Verify(Stage):
    """Judge every completion that a pool asked for and that is not judged yet."""

    kind: ClassVar[str] = "verify"
    essential: ClassVar[bool] = True

    pool: str
    config: VerifyConfig
    domains: Mapping[str, Mapping[str, str]]

    def identity(self) -> Mapping[str, Any]:
        return {**verify_identity(self.config), **domains_identity(self.domains)}

    def run(self, bench: Workbench, out: Output) -> None:
        judge_completions(
            out,
            out.path,
            completions=out.files.stage(layout.completions(self.pool)),
            questions=bench.questions.by_id(TRAIN),
            verifier=bench.verifier,
            ids=asked(out.files, self.pool),
        )
