"""What an arm's mid-training replays: reads chat rows or a pool, draws the arm's share, keeps some rows back. Writes `held-out.parquet`.

Promises: as in `training.replay`. When things go wrong: RunError where a source has no rows; where it has too few, all are taken and a note
says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from midway.questions.chat import Chat
from midway.recipe import ReplayConfig
from midway.rundir import COMPLETIONS, RunError, layout, read_table, write_table
from midway.stages.base import Output
from midway.stages.pools import asked
from midway.training.replay import replay_rows, split, wanted
from midway.wording import plural
from midway.workbench import TRAIN, Workbench


def replayed(
    configs: Sequence[ReplayConfig], bench: Workbench, out: Output, examples: int
) -> tuple[pl.DataFrame, Path | None]:
    """Return the rows that are mixed in with `examples` others, and the file of those held out, None where there are none.

    What was drawn stands in the stage's result as `replay`. Raises RunError.
    """
    drawn, kept, told = [], [], []
    for config, count in zip(configs, wanted(examples, [c.share for c in configs]), strict=True):
        name = Path(config.source).name if config.source else f"pool {config.pool}"
        parts = split(list(_rows(config, bench, out)), config.held_out)
        if not parts.train:
            raise RunError(f"arm {out.rel.split('/')[1]}: there is no row to replay in {config.source or name}")
        if len(parts.train) < count:
            out.note(
                f"replay: {name} has {plural(len(parts.train), 'row')} to learn from, {count:,} are asked for: all are taken"
            )
        drawn.append(replay_rows(parts.train[:count], bench.prompts.chat, f"{name}"))
        kept.append(replay_rows(parts.held_out, bench.prompts.chat, f"{name}"))
        told.append(
            {
                "source": name,
                "share": config.share,
                "asked": count,
                "rows": drawn[-1].height,
                "held_out": kept[-1].height,
            }
        )
    rows, held_out = pl.concat(drawn), pl.concat(kept)
    out.result["replay"] = told
    if held_out.is_empty():
        return rows, None
    path = out.path / "held-out.parquet"
    write_table(path, held_out)
    return rows, path


def _rows(config: ReplayConfig, bench: Workbench, out: Output) -> Iterator[Chat]:
    """Yield the rows of a file, or the finished answers of a pool with what was asked."""
    if config.pool is None:
        yield from bench.chats.replay(config)
        return
    pool = config.pool
    ids = pl.DataFrame({"id": sorted(asked(out.files, pool))}, schema={"id": pl.String})
    columns = ["id", "question_id", "text", "finish"]
    table = read_table(out.files.stage(layout.completions(pool)), COMPLETIONS, columns)
    table = table.join(ids, on="id", how="semi").filter(
        (pl.col("finish") == "stop") & (pl.col("text").str.strip_chars() != "")
    )
    own = bench.chats.prompts(pool) if bench.recipe.pools[pool].prompts else None
    questions = {} if own is not None else bench.questions.by_id(TRAIN)
    seen: set[tuple[str, str]] = set()
    for question, text in table.sort("id").select("question_id", "text").iter_rows():
        if (question, text) in seen:
            continue
        seen.add((question, text))
        if own is not None:
            yield Chat(own[question].prompt, text)
        else:
            prompt = bench.prompts.build(questions[question], None)
            yield Chat(prompt.messages or prompt.text, text)
