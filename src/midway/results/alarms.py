"""Alarms of a run's RL, from its logs, with the rollouts that show them. Reads metrics.jsonl, and rollouts where an alarm names some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from midway.evidence.alarms import Alarm, Limits, alarms
from midway.records import Judgement
from midway.results.contents import Arm
from midway.results.edge import Asked, read_numbers
from midway.results.types import ArmAlarm
from midway.rundir import ROLLOUTS, layout, read_table
from midway.rundir.layout import Layout

TO_READ = 10
"""Rollouts that an alarm names."""
COLUMNS = ["id", "step", "question_id", "judgement", "reward", "cut_off"]


def alarms_of(files: Layout, arms: Mapping[str, Arm], asked: Asked) -> tuple[ArmAlarm, ...]:
    """Return the alarms of every arm and seed that RL has logged anything of."""
    limits = Limits() if asked.curve is None else Limits(held_out=asked.curve)
    return tuple(found for arm in arms.values() for seed in arm.seeds for found in _of(files, arm.name, seed, limits))


def _of(files: Layout, arm: str, seed: int, limits: Limits) -> Iterator[ArmAlarm]:
    rel = layout.rl(arm, seed)
    if not files.metrics(rel).is_file():
        return
    for alarm in alarms(tuple(read_numbers(files.metrics(rel))), limits):
        fields = {name: getattr(alarm, name) for name in Alarm.__slots__}
        yield ArmAlarm(arm=arm, seed=seed, **fields, read=_to_read(files, rel, alarm))


def _to_read(files: Layout, rel: str, alarm: Alarm) -> tuple[str, ...]:
    """Return ids of rollouts that show an alarm: what was best rewarded, before all where it is wrong; what was cut off; what is unjudged.
    One of each question first, the latest first."""
    shows = SHOWS.get(alarm.name)
    if shows is None:
        return ()
    rows = read_table(files.rollouts(rel), ROLLOUTS, COLUMNS).filter(pl.col("step").is_between(alarm.first, alarm.last))
    rows = rows.with_columns(wrong=pl.col("judgement") == Judgement.WRONG).filter(shows)
    order = ["again", "wrong", "reward", "step"] if alarm.name == "held-out" else ["again", "step"]
    rows = rows.sort("step", descending=True).with_columns(again=pl.int_range(pl.len()).over("question_id"))
    rows = rows.sort(order, descending=[name != "again" for name in order], nulls_last=True)
    return tuple(rows["id"].head(TO_READ))


SHOWS = {
    "held-out": pl.col("reward").is_not_null(),
    "cut-off": pl.col("cut_off"),
    "unjudged": pl.col("judgement") == Judgement.UNJUDGED,
}
"""Which rollouts show an alarm."""
