"""Score: how well does each correct completion follow its heuristic? Reads completions and verdicts, writes `adherence/`.

Stores beside the scores whether the scorer can tell the heuristics apart at all (`result.discrimination`), and says so loudly when it
cannot. The scorer's calibration is kept in `scorer.json`, so that a stage that goes on scores as it began.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from midway import registry
from midway.adherence import Item, Scorer, discrimination, open_scorer
from midway.engines import engine_identity
from midway.recipe import AdherenceConfig
from midway.records import UNGUIDED, Completion, Finish, Heuristic, Judgement
from midway.rundir import (
    ADHERENCE,
    COMPLETIONS,
    VERDICTS,
    ShardWriter,
    layout,
    read_json,
    read_table,
    recover,
    stored_ids,
    write_json,
)
from midway.stages.base import Output, Stage
from midway.stages.pools import asked
from midway.workbench import TRAIN, Lease, Workbench

STATE = "scorer.json"
SAMPLE = 200
"""Completions on which the scorer is tested for telling heuristics apart."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Score(Stage):
    """Score every correct guided completion of a pool that has no score yet."""

    kind: ClassVar[str] = "score"
    essential: ClassVar[bool] = True

    pool: str
    config: AdherenceConfig
    lease: Lease | None

    def identity(self) -> Mapping[str, Any]:
        own = engine_identity(self.config.engine) if self.config.engine else None
        part = registry.find("scorers", self.config.scorer)
        return {**self.config.identity(exclude=["engine"]), "engine": own, **part.identity()}

    @property
    def engine(self) -> Lease | None:
        return self.lease

    def run(self, bench: Workbench, out: Output) -> None:
        heuristics = bench.prompts.guides(self.pool)
        engine = bench.engines.open(self.lease) if self.lease else None

        def open_(state: Mapping[str, Any] | None) -> Scorer:
            return open_scorer(
                self.config, engine, bench.prompts.build, heuristics, state=state, chat=bench.prompts.chat
            )

        score(out, self._items(bench, out), open_, heuristics)

    def _items(self, bench: Workbench, out: Output) -> list[Item]:
        """The correct guided completions, in order of id."""
        questions, ids = bench.questions.by_id(TRAIN), asked(out.files, self.pool)
        judged = read_table(out.files.stage(layout.verdicts(self.pool)), VERDICTS, ["id", "judgement"])
        correct = set(judged.filter(judged["judgement"] == Judgement.CORRECT)["id"].to_list())
        table = read_table(out.files.stage(layout.completions(self.pool)), COMPLETIONS).sort("id")
        return [
            (questions[row["question_id"]], Completion(**{**row, "finish": Finish(row["finish"])}))
            for row in table.iter_rows(named=True)
            if row["id"] in correct and row["id"] in ids and row["heuristic"] != UNGUIDED
        ]


def score(
    out: Output,
    items: Sequence[Item],
    open_: Callable[[Mapping[str, Any] | None], Scorer],
    heuristics: Mapping[str, Heuristic],
) -> None:
    """Score what has no score yet, with what `open_` gives for a stored state."""
    recover(out.path, ADHERENCE)
    done = stored_ids(out.path)
    todo = [item for item in items if item[1].id not in done]
    scorer = open_(read_json(out.path / STATE))
    with ShardWriter(out.path, ADHERENCE) as writer:
        for n, adherence in enumerate(scorer.score(todo), start=1):
            writer.write([{"id": adherence.completion_id, "score": adherence.score, "scorer": adherence.scorer}])
            if n == 1:
                write_json(out.path / STATE, scorer.state())
            out.progress(n, len(todo), "")
            if n < len(todo):
                out.go_on()
    out.result["scored"] = len(items)
    if len(heuristics) > 1 and items:
        sample = random.Random(0).sample(items, min(SAMPLE, len(items)))
        found = discrimination(scorer, sample, heuristics)
        out.result["discrimination"] = found.record()
        out.note(found.sentence())
