"""What was asked of the engines and what came of it: counts, tokens, cache hits, speed, and how much was cut, from every stage.json."""

from __future__ import annotations

from midway.report.tables import Json, Table, percent
from midway.results.load import Run

COUNTS = ("completions", "failed", "rescued", "cut", "prompt_tokens", "cached_tokens", "completion_tokens")


def answers(run: Run) -> list[Json]:
    """Return one row for each pool and one for the evaluations of each arm."""
    rows: dict[str, Json] = {}
    for stage in run.stages:
        parts = stage.where.split("/")
        if stage.name not in ("generate", "evaluate") or len(parts) < 2:
            continue
        name = f"pool {parts[1]}" if stage.name == "generate" else f"evaluations of {parts[1]}"
        row = rows.setdefault(name, {"name": name, "seconds": 0.0, "by_heuristic": {}, **dict.fromkeys(COUNTS, 0)})
        result = stage.result
        finish = result.get("finish") or {}
        row["completions"] += sum(count for reason, count in finish.items() if reason != "error")
        row["cut"] += finish.get("length", 0)
        for key in ("failed", "rescued"):
            row[key] += result.get(key) or 0
        for key in ("prompt_tokens", "cached_tokens", "completion_tokens"):
            row[key] += stage.cost.get(key, 0.0)
        row["seconds"] += stage.cost.get("seconds", 0.0)
        if stage.name == "generate":
            row["by_heuristic"] = dict(result.get("truncation") or {})
    return [row for row in rows.values() if row["completions"] or row["failed"]]


def answers_table(results: Json) -> Table:
    """Return the rows of `answers` as a table."""
    rows = []
    for a in results.get("answers", []):
        worst = sorted(a["by_heuristic"].items(), key=lambda pair: -pair[1])[:3] if len(a["by_heuristic"]) > 1 else []
        rows.append(
            [
                a["name"],
                f"{a['completions']:,}",
                f"{a['failed']:,}",
                f"{a['prompt_tokens']:,.0f}",
                percent(a["cached_tokens"] / a["prompt_tokens"] if a["prompt_tokens"] else None),
                f"{a['completion_tokens']:,.0f}",
                f"{a['completion_tokens'] / a['seconds']:,.0f}" if a["seconds"] else "n/a",
                percent(a["cut"] / a["completions"] if a["completions"] else None),
                ", ".join(f"{name} {percent(share)}" for name, share in worst if share) or "none",
            ]
        )
    return Table(
        id="answers",
        title="What the engines did",
        note="Failed: requests without an answer after all attempts, asked again by the next command. From cache: share of the "
        "prompt tokens whose keys and values were there already. Tokens per second of the whole stage, with loading and, for "
        "evaluations, judging. Cut: completions that ended at max_tokens; the three heuristics with most of them.",
        head=["what", "completions", "failed", "tokens in", "from cache", "tokens out", "tokens/s", "cut", "cut most"],
        rows=rows,
    )
