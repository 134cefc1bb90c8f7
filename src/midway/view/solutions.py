"""What would be trained on: per training question its completions by heuristic, kept beside dropped, with the step of the funnel that
dropped each, the solution that a near-copy copies, and the exact prompt.

The list counts completions of the arm's pools. A prompt is `exact` where its completion's id, which hashes the prompt, says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl

from midway.heuristics import STOP_STRINGS, build_prompt, fold_system, load_catalogue
from midway.records import UNGUIDED, Heuristic, Prompt, Question, Sampling, UserError, completion_id
from midway.results.edge import as_dict, read_dict
from midway.results.fates import KEPT, fates
from midway.results.frames import read_rows
from midway.results.scans import collected, scan_pool
from midway.rundir import FUNNEL, REMOVED, SOLUTIONS, layout
from midway.view.shared import page_of, pieces, shown_question, titles
from midway.view.viewed import Nothing, Params, Viewed, only

TRAIN = "train"
SORTS = {"kept": "kept", "right": "right", "written": "written", "ways": "heuristics that solve it", "name": "name"}
FILTERS = {
    "none-kept": "nothing of it is kept",
    "never": "never solved",
    "only": "solved by one heuristic alone",
    "copies": "near-copies were dropped",
}


def arm_of(viewed: Viewed, params: Params) -> tuple[str, int, tuple[str, ...]]:
    """Return the arm whose selection is looked at, the seed, its pools. Raises BadRequest where no arm is mid-trained."""
    arms = {name: arm for name, arm in viewed.run.arms.items() if arm.midtrained}
    if not arms:
        raise Nothing(
            "no arm of this run is mid-trained, so there is no selection; the pools are on the Heuristics screen"
        )
    treatment = viewed.run.asked.treatment
    arm = arms[params.among("arm", list(arms), treatment if treatment in arms else next(iter(arms)))]
    seed = params.number("seed", arm.seeds[0])
    return arm.name, seed, arm.pools


def solutions(viewed: Viewed, params: Params) -> dict[str, Any]:
    """Return a page of training questions with what was written, right and kept of each."""
    arm, seed, pools = arm_of(viewed, params)
    rows = _counts(viewed, arm, seed, pools)
    filters = params.list("filter")
    counts = {name: rows.filter(_filter(name, "")).height for name in FILTERS}
    heuristic = params.text("heuristic")
    for name in filters:
        Params({"filter": name}).among("filter", list(FILTERS))
        rows = rows.filter(_filter(name, heuristic))
    if heuristic and "only" not in filters:
        rows = rows.filter(pl.col("solved_by").list.contains(heuristic))
    if words := params.text("q").lower():
        hit = [
            pl.col(c).fill_null("").str.to_lowercase().str.contains(words, literal=True) for c in ("name", "text", "id")
        ]
        rows = rows.filter(pl.any_horizontal(hit))
    sort = params.among("sort", list(SORTS), "kept")
    order = params.among("order", ["down", "up"], "down" if sort != "name" else "up")
    key = pl.col("solved_by").list.len() if sort == "ways" else pl.col(sort)
    rows = rows.sort(key, "name", "id", descending=[order == "down", False, False], nulls_last=True)
    offset, size, page = page_of(params, rows.height)
    part = rows.slice(offset, size).with_columns(text=pl.col("text").fill_null("").str.slice(0, 300))
    slugs = rows.select(pl.col("solved_by").list.explode(keep_nulls=False, empty_as_null=False).unique())["solved_by"]
    return {
        **page,
        "arm": arm,
        "seed": seed,
        "arms": _arms(viewed),
        "filters": [{"name": n, "title": title, "count": counts[n]} for n, title in FILTERS.items()],
        "sorts": SORTS,
        "sort": sort,
        "order": order,
        "funnel": _funnel(viewed, arm, seed),
        "titles": titles(viewed, slugs.to_list()),
        "rows": part.to_dicts(),
    }


def _arms(viewed: Viewed) -> list[dict[str, Any]]:
    return [
        {"name": a.name, "title": a.title, "seeds": list(a.seeds), "pools": list(a.pools)}
        for a in viewed.run.arms.values()
        if a.midtrained
    ]


def _filter(name: str, heuristic: str) -> pl.Expr:
    if name == "only":
        alone = pl.col("solved_by").list.len() == 1
        return alone & pl.col("solved_by").list.contains(heuristic) if heuristic else alone
    return {"none-kept": pl.col("kept") == 0, "never": pl.col("right") == 0, "copies": pl.col("copies") > 0}[name]


def _counts(viewed: Viewed, arm: str, seed: int, pools: Sequence[str]) -> pl.DataFrame:
    """Return a row for each training question: id, name, text, level, written, right, solved_by (heuristics), kept, copies, reference."""
    reach = [viewed.reach(pool) for pool in pools]
    none = {"question_id": pl.String, "heuristic": pl.String, "written": pl.Int64, "right": pl.Int64}
    wide = pl.concat([pl.DataFrame(schema=none), *(r.select(*none) for r in reach)]).group_by("question_id")
    counted = wide.agg(
        pl.col("written", "right").sum(), solved_by=pl.col("heuristic").filter(pl.col("right") > 0).unique().sort()
    )
    solved, removed = _selected(viewed, arm, seed)
    kept = solved.group_by("question_id").agg(kept=pl.len().cast(pl.Int64))
    copies = removed.filter(pl.col("step") == "not a copy").group_by("question_id").agg(copies=pl.len().cast(pl.Int64))
    questions = viewed.questions(TRAIN)
    every = pl.concat([counted["question_id"], solved["question_id"]]).unique().alias("id").to_frame()
    rows = pl.concat([questions, every.join(questions, on="id", how="anti")], how="diagonal")
    for part in (counted, kept, copies):
        rows = rows.join(part.rename({"question_id": "id"}), on="id", how="left", maintain_order="left")
    rows = rows.with_columns(
        pl.col("written", "right", "kept", "copies").fill_null(0), pl.col("solved_by").fill_null([])
    )
    return rows.with_columns(name=pl.coalesce("name", pl.col("id").str.slice(0, 12)))


def _selected(viewed: Viewed, arm: str, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    kept, dropped = viewed.files.solutions(arm, seed), viewed.files.removed(arm, seed)
    solved = viewed.kept(
        ("solutions", arm, seed), [kept], lambda: read_rows([kept] if kept.is_file() else [], SOLUTIONS)
    )
    removed = viewed.kept(
        ("removed", arm, seed), [dropped], lambda: read_rows([dropped] if dropped.is_file() else [], REMOVED)
    )
    return solved, removed


def _funnel(viewed: Viewed, arm: str, seed: int) -> list[dict[str, Any]]:
    file = viewed.files.funnel(arm, seed)
    rows = read_rows([file] if file.is_file() else [], FUNNEL)
    return rows.group_by("step", maintain_order=True).agg(pl.col("count").sum()).to_dicts()


def solution(viewed: Viewed, params: Params) -> dict[str, Any]:
    """Return one training question: every completion of the arm's pools with its fate, the kept ones as they are trained on."""
    arm, seed, pools = arm_of(viewed, params)
    id_ = params.text("id")
    found = viewed.question(TRAIN, id_)
    solved, removed = _selected(viewed, arm, seed)
    solved, removed = (frame.filter(pl.col("question_id") == id_) for frame in (solved, removed))
    recipe = viewed.recipe
    data = {
        as_dict(d).get("pool"): as_dict(d) for d in as_dict(as_dict(recipe.get("arms")).get(arm)).get("midtrain") or ()
    }
    groups: dict[str, list[dict[str, Any]]] = {}
    for pool in pools:
        rows = collected(scan_pool(viewed.files, pool).filter(pl.col("question_id") == id_)).unique("id", keep="first")
        told = fates(
            rows.sort("heuristic", "index"),
            solved.filter(pl.col("source") == pool),
            removed,
            selection=as_dict(recipe.get("selection")),
            strategy=str(data.get(pool, {}).get("strategy") or "best"),
        )
        for row in told.iter_rows(named=True):
            shown = {n: row[n] for n in SHOWN}
            groups.setdefault(row["heuristic"], []).append(
                {**shown, "pool": pool, "pieces": pieces(row["text"] or "", row, found, None)}
            )
    references = solved.filter(pl.col("completion_id").fill_null("") == "")
    places = {id_: place for place, id_ in enumerate(solved["completion_id"].to_list())}
    for rows_ in groups.values():
        rows_.sort(key=lambda row: (row["fate"] != KEPT, places.get(row["id"], 0), row["index"]))
    return {
        "arm": arm,
        "seed": seed,
        "arms": _arms(viewed),
        "question": shown_question(found, id_),
        "kept": solved.height,
        "groups": [
            {"heuristic": h, "completions": groups[h]} for h in sorted(groups, key=lambda h: (_best(groups[h]), h))
        ],
        "references": references["text"].to_list(),
        "trained_on": _trained_on(viewed, arm, seed, id_),
        "titles": titles(viewed, list(groups)),
    }


SHOWN = (
    "id", "heuristic", "index", "judgement", "reason", "extracted", "finish", "completion_tokens", "prompt_tokens", "logprob", "adherence",
    "error", "fate", "why", "other",
)  # fmt: skip


def _best(rows: Sequence[Mapping[str, Any]]) -> int:
    return 0 if any(row["fate"] == KEPT for row in rows) else 1


def _trained_on(viewed: Viewed, arm: str, seed: int, id_: str) -> list[dict[str, str]] | None:
    """Return the prompt that kept solutions of the question are trained to answer, as the training rows have it; None: no rows yet."""
    file = viewed.files.stage(layout.midtrain(arm, seed)) / "rows.parquet"
    if not file.is_file():
        return None
    scan = pl.scan_parquet(file).filter(pl.col("question_id") == id_).select("prompt").head(1)
    for (shown,) in collected(scan).iter_rows():
        return [dict(m) for m in shown] if isinstance(shown, list) else [{"role": "", "content": str(shown)}]
    return None


# The prompt ---------------------------------------------------------------------------------------------------------------


def prompt(viewed: Viewed, params: Params) -> dict[str, Any]:
    """Return the prompt of a completion of a pool: `exact` where the completion's id says that it is this one to the letter."""
    pool, id_ = params.among("pool", list(viewed.run.pools)), params.text("id")
    rows = collected(
        scan_pool(viewed.files, pool).filter(pl.col("id") == id_).select("id", "question_id", "heuristic", "index")
    )
    row = only(rows.to_dicts()[:1], f"completion {id_} of pool {pool}")
    found = viewed.question(TRAIN, row["question_id"])
    if found is None:
        return {"exact": False, "messages": [], "says": "the question of this completion is not stored in the run"}
    config = as_dict(viewed.recipe.get("prompt"))
    heuristic = None
    if row["heuristic"] != UNGUIDED:
        catalogue = load_catalogue([Path(p) for p in config.get("heuristics") or () if Path(p).is_dir()])
        heuristic = catalogue.get(row["heuristic"])
        if heuristic is None:
            return {"exact": False, "messages": [], "says": f"no catalogue here has the heuristic {row['heuristic']!r}"}
    stage = as_dict(read_dict(viewed.files.manifest(layout.completions(pool)))).get("config")
    stage = as_dict(stage)
    ways = [(chat, fold) for chat in (False, True) for fold in (False, True)]
    built: Prompt | None = None
    for chat, fold in ways:
        try:
            candidate = _build(found, heuristic, config, chat=chat)
        except UserError as error:
            return {"exact": False, "messages": [], "says": str(error)}
        candidate = fold_system(candidate) if fold else candidate
        built = built or candidate
        if _is_of(candidate, row, stage, chat=chat, style=str(config.get("style"))):
            return {"exact": True, "messages": _shown_prompt(candidate), "chat": chat, "says": ""}
    assert built is not None
    says = "as this version of midway builds it; the completion's id does not confirm it (other settings, weights or wording)"
    return {"exact": False, "messages": _shown_prompt(built), "says": says}


def _build(found: Question, heuristic: Heuristic | None, config: Mapping[str, Any], *, chat: bool) -> Prompt:
    """Return the prompt as `workbench.prompts` builds it from the recipe's section."""
    style = str(config.get("style") or "boxed")
    return build_prompt(
        found,
        heuristic,
        chat=chat,
        style=style if heuristic or style != "cue" else "plain",  # type: ignore[arg-type]
        phases=bool(config.get("phases", True)),
        exemplars=config.get("exemplars") if heuristic and style == "boxed" else None,
        system=config.get("system"),
    )


def _is_of(built: Prompt, row: Mapping[str, Any], stage: Mapping[str, Any], *, chat: bool, style: str) -> bool:
    """Whether the completion's id is the one that this prompt gives."""
    raw = as_dict(as_dict(stage.get("pool")).get("sampling"))
    names = set(asdict(Sampling()))
    given: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in raw.items() if n in names}
    sampling = Sampling(**given)
    if not chat and style == "boxed":
        sampling = replace(sampling, stop=tuple(dict.fromkeys([*sampling.stop, *STOP_STRINGS])))
    key = str(as_dict(stage.get("model")).get("key"))
    return row["id"] == completion_id(row["question_id"], row["heuristic"], built.key(), key, sampling, row["index"])


def _shown_prompt(built: Prompt) -> list[dict[str, str]]:
    if built.messages:
        return [{"role": m["role"], "content": m["content"]} for m in built.messages]
    return [{"role": "", "content": built.text}]
