"""What later stages read of a pool: completions that were asked for, their verdicts, their adherence."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from midway.rundir import ADHERENCE, COMPLETIONS, VERDICTS, layout, read_table
from midway.rundir.layout import Layout


@dataclass(frozen=True)
class PoolTables:
    """A pool's tables; `adherence` is None where it was not scored."""

    completions: pl.DataFrame
    verdicts: pl.DataFrame
    adherence: pl.DataFrame | None


def asked(files: Layout, pool: str) -> set[str]:
    """Return the ids of the completions that the pool asks for now; what else is stored is of other prompts, samplings or weights."""
    return set(pl.read_parquet(files.asked(pool))["id"].to_list())


def tables(files: Layout, pool: str) -> PoolTables:
    """Return completions, verdicts and adherence of a pool, of requests that its recipe asks for."""
    ids = pl.DataFrame({"id": sorted(asked(files, pool))}, schema={"id": pl.String})
    completions = read_table(files.stage(layout.completions(pool)), COMPLETIONS).join(ids, on="id", how="semi")
    scored = files.stage(layout.adherence(pool))
    return PoolTables(
        completions,
        read_table(files.stage(layout.verdicts(pool)), VERDICTS),
        read_table(scored, ADHERENCE) if scored.exists() else None,
    )
