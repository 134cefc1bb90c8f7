"""Selection against a naive reference written from its description, and what each strategy and each table promises."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import polars as pl
import pytest

from midway.recipe.schema import DataConfig, SelectionConfig
from midway.records import UNGUIDED
from midway.selection import select
from midway.selection.pick import STEPS
from midway.selection.text import WORDS, shingles, stable_hash, tokens

WORDLIST = [
    a + b for a in ("ba", "co", "di", "fu", "ge", "hi", "jo", "ku") for b in ("l", "m", "n", "r", "s", "t", "v", "z")
]
LEVELS = ("1", "2", "3")


def synthetic(rows: int, per_question: int, heuristics: int, seed: int = 0) -> dict[str, pl.DataFrame]:
    """Completions with copies, near-copies, errors, cuts and ties of score; verdicts with unjudged ones and gaps."""
    rng = random.Random(seed)
    names = [f"h{i}" for i in range(heuristics)] if heuristics else [UNGUIDED]
    completions, verdicts, adherence, questions = [], [], [], []
    for q in range(rows // per_question):
        question = f"q{q:05d}"
        questions.append(
            {
                "id": question,
                "text": " ".join(rng.choices(WORDLIST, k=20)) + f" {q} apples",
                "level": rng.choice(LEVELS),
                "solution": f"the sum is {q} + 1 = {q + 1}" if q % 3 else None,
            }
        )
        bases = [rng.choices(WORDLIST, k=rng.randint(2, 40)) for _ in range(4)]
        for i in range(per_question):
            words = list(rng.choice(bases))
            for _ in range(rng.choice((0, 1, 1, 3, 30))):
                words[rng.randrange(len(words))] = rng.choice(WORDLIST)
            key = f"c{q:05d}-{i:03d}"
            completions.append(
                {
                    "id": key,
                    "question_id": question,
                    "heuristic": names[i % len(names)],
                    "index": i,
                    "text": " ".join(words) if rng.random() < 0.97 else "",
                    "finish": rng.choices(["stop", "length", "error"], [90, 6, 4])[0],
                    "completion_tokens": rng.choice((0, len(words), len(words) + 5)),
                }
            )
            if rng.random() < 0.95:
                judgement = rng.choices(["correct", "wrong", "unjudged"], [60, 35, 5])[0]
                verdicts.append({"id": key, "judgement": judgement, "extracted": "", "reason": ""})
            if rng.random() < 0.9:
                score = rng.choice((0.1, 0.3, 0.5, 0.9, float("nan")))
                adherence.append({"id": key, "score": score, "scorer": "test"})
    return {
        "completions": pl.DataFrame(completions),
        "verdicts": pl.DataFrame(verdicts),
        "adherence": pl.DataFrame(adherence),
        "questions": pl.DataFrame(questions),
    }


def run(
    tables: dict[str, pl.DataFrame], config: dict[str, Any] | None = None, data: Any = "pool", **kwargs: Any
) -> Any:
    return select(
        tables["completions"],
        tables["verdicts"],
        kwargs.pop("adherence", tables["adherence"]),
        tables["questions"],
        SelectionConfig.model_validate(config or {}),
        DataConfig.model_validate(data),
        seed=kwargs.pop("seed", 0),
        **kwargs,
    )


def grams(text: str) -> frozenset[tuple[str, ...]]:
    words = tokens(pl.Series([text]))[0].to_list()
    if not words:
        return frozenset()
    return frozenset(tuple(words[i : i + WORDS]) for i in range(max(1, len(words) - WORDS + 1)))


def naive(
    tables: dict[str, pl.DataFrame], config: SelectionConfig, data: DataConfig, seed: int
) -> tuple[list[Any], Counter[Any]]:
    """The description, line by line, in plain Python: all pairs, exact sets."""
    verdict = {r["id"]: r["judgement"] for r in tables["verdicts"].iter_rows(named=True)}
    score = {r["id"]: r["score"] for r in tables["adherence"].iter_rows(named=True) if r["score"] == r["score"]}
    level = {r["id"]: r["level"] for r in tables["questions"].iter_rows(named=True)}
    draw = stable_hash(f"{seed}:{data.strategy}:{data.pool}\0rank")
    by_question: dict[str, list[dict[str, Any]]] = defaultdict(list)
    funnel: Counter[Any] = Counter()
    wanted = "wrong" if data.strategy == "wrong-but-diverse" else "correct"

    def count(step: str, row: dict[str, Any]) -> None:
        funnel[step, row["heuristic"], level[row["question_id"]]] += 1

    for row in tables["completions"].iter_rows(named=True):
        row["length"] = row["completion_tokens"] or len(row["text"].split())
        row["score"] = score.get(row["id"])
        count("asked", row)
        if row["finish"] == "error":
            continue
        count("generated", row)
        if (
            row["finish"] != "stop"
            or not row["text"]
            or not config.min_tokens <= row["length"] <= (config.max_tokens or 10**9)
        ):
            continue
        count("finished", row)
        if verdict.get(row["id"]) != wanted:
            continue
        count(wanted, row)
        bar = None if data.strategy == "random" or row["heuristic"] == UNGUIDED else config.min_adherence
        if bar is not None and (row["score"] is None or row["score"] < bar):
            continue
        count("adherent", row)
        by_question[row["question_id"]].append(row)
    kept = []
    for question in sorted(by_question):
        rows = by_question[question]

        def rank(row: dict[str, Any]) -> tuple[Any, ...]:
            last = (stable_hash(row["id"], draw), row["id"])
            if data.strategy == "random":
                return last
            return (row["score"] is None, -(row["score"] or 0), row["length"], *last)

        distinct: list[dict[str, Any]] = []
        for row in sorted(rows, key=rank):
            row["grams"] = grams(row["text"])
            if not any(
                row["grams"] and len(row["grams"] & o["grams"]) / len(row["grams"] | o["grams"]) >= config.near_copy
                for o in distinct
            ):
                distinct.append(row)
        for row in distinct:
            count("not a copy", row)
            count("not leaked", row)
        if data.strategy in ("best", "wrong-but-diverse"):
            seen: Counter[str] = Counter()
            capped = []
            for row in distinct:
                seen[row["heuristic"]] += 1
                if row["heuristic"] == UNGUIDED or seen[row["heuristic"]] <= config.per_heuristic:
                    capped.append(row)
        else:
            capped = distinct
        n = config.per_question
        if config.diversity and data.strategy != "random" and len(capped) > n > 1:
            signatures = shingles(tokens(pl.Series([r["text"] for r in capped])), WORDS).signatures()
            chosen = [0]
            while len(chosen) < n:
                rest = [i for i in range(len(capped)) if i not in chosen]
                chosen.append(
                    min(rest, key=lambda i: (max((signatures[i] == signatures[j]).mean() for j in chosen), i))
                )
            capped = [capped[i] for i in chosen]
        for row in capped[:n]:
            count("kept", row)
            kept.append((question, row["heuristic"], row["id"], row["score"]))
    return kept, funnel


def funnel_of(frame: pl.DataFrame) -> Counter[Any]:
    return Counter({(s, h, lv): n for s, h, lv, n in frame.iter_rows()})


def rows_of(frame: pl.DataFrame) -> list[Any]:
    return list(frame.select("question_id", "heuristic", "completion_id", "adherence").iter_rows())


@pytest.mark.parametrize(
    ("heuristics", "config", "strategy"),
    [
        (8, {"per_question": 8}, "best"),
        (4, {"per_question": 3, "per_heuristic": 2, "min_adherence": 0.2, "min_tokens": 5, "max_tokens": 35}, "best"),
        (0, {"per_question": 4, "near_copy": 0.5}, "best"),
        (5, {"per_question": 4, "diversity": False}, "random"),
        (6, {"per_question": 4, "near_copy": 0.9}, "wrong-but-diverse"),
    ],
)
def test_equals_a_naive_reference_on_ten_thousand(heuristics: int, config: dict[str, Any], strategy: str) -> None:
    tables = synthetic(10_000, 40, heuristics)
    want, want_funnel = naive(
        tables, SelectionConfig.model_validate(config), DataConfig(pool="pool", strategy=strategy), 7
    )  # type: ignore[arg-type]
    got = run(tables, config, {"pool": "pool", "strategy": strategy}, seed=7, chunk=3_000)
    assert rows_of(got.solutions) == want
    assert funnel_of(got.funnel) == want_funnel
    assert len(want) > 500


def test_order_chunks_and_laziness_change_nothing() -> None:
    tables = synthetic(2_000, 20, 5)
    once = run(tables)
    shuffled = {k: v.sample(fraction=1.0, shuffle=True, seed=3) for k, v in tables.items()}
    again = run(shuffled, chunk=150)
    twice = {k: pl.concat([v, v.head(100)]) for k, v in tables.items()}  # rows that a crash stored twice
    lazy = select(
        twice["completions"].lazy(),
        twice["verdicts"].lazy(),
        twice["adherence"].lazy(),
        twice["questions"],
        SelectionConfig(),
        DataConfig(pool="pool"),
        seed=0,
    )
    for other in (again, lazy):
        for name in ("solutions", "funnel", "removed"):
            assert getattr(once, name).equals(getattr(other, name)), name


def test_another_seed_draws_others_at_random_and_keeps_the_best() -> None:
    tables = synthetic(1_000, 20, 5)
    random_ = {"pool": "pool", "strategy": "random"}
    assert rows_of(run(tables, data=random_, seed=1).solutions) != rows_of(run(tables, data=random_, seed=2).solutions)
    best = [
        {(q, h): s for q, h, _, s in rows_of(run(tables, {"per_question": 5, "near_copy": 1.0}, seed=s).solutions)}
        for s in (1, 2)
    ]
    assert best[0] == best[1]


def match_of(solutions: pl.DataFrame) -> pl.DataFrame:
    return solutions.group_by("question_id").agg(count=pl.len())


@pytest.mark.parametrize("strategy", ["best", "random", "one-heuristic", "wrong-but-diverse", "reference"])
def test_every_strategy_gives_as_many_as_the_treatment(strategy: str) -> None:
    tables = synthetic(2_000, 20, 5)
    treatment = run(tables).solutions
    data: Any = {"strategy": strategy} if strategy == "reference" else {"pool": "other", "strategy": strategy}
    got = run(tables, data=data, match=match_of(treatment))
    assert len(got.solutions) == len(treatment)
    funnel = dict(got.funnel.group_by("step").agg(pl.col("count").sum()).iter_rows())
    assert funnel["kept"] + funnel.get("repeated", 0) == len(treatment)
    distinct = got.solutions.unique(["question_id", "completion_id"])
    assert funnel["kept"] == len(distinct)
    assert ("repeats" in " ".join(got.notes)) == (len(distinct) < len(treatment))
    if strategy == "reference":
        assert funnel.get("repeated", 0) > 0
        times = got.solutions.group_by("question_id").len()["len"]
        assert times.max() - times.min() <= 1
        assert set(got.solutions["completion_id"]) == {""}
    if strategy == "random":
        assert match_of(got.solutions).sort("question_id").equals(match_of(treatment).sort("question_id"))


def test_a_matched_arm_takes_from_other_questions_before_it_repeats() -> None:
    texts = [f"{a} goes {b} and {c}" for a in "pqrs" for b in "tuvw" for c in "xyz"]
    rows = [("a", 0, 1), ("b", 1, 9), ("c", 10, 20)]  # 1, 8 and 10 distinct solutions
    completions = pl.DataFrame(
        [
            {
                "id": f"{q}{i}",
                "question_id": q,
                "heuristic": UNGUIDED,
                "text": texts[i],
                "finish": "stop",
                "completion_tokens": 7,
            }
            for q, low, high in rows
            for i in range(low, high)
        ]
    )
    verdicts = completions.select("id", judgement=pl.lit("correct"))
    questions = pl.DataFrame({"id": ["a", "b", "c"], "text": ["one", "two", "three"]})
    config, data = SelectionConfig(near_copy=1.0), DataConfig(pool="p")
    for wanted, counts in (({"a": 4, "b": 4}, {"a": 1, "b": 7}), ({"a": 8, "b": 5}, {"a": 1, "b": 8, "c": 4})):
        match = pl.DataFrame({"question_id": list(wanted), "count": list(wanted.values())})
        got = select(completions, verdicts, None, questions, config, data, seed=0, match=match)
        assert dict(match_of(got.solutions).iter_rows()) == counts
    match = pl.DataFrame({"question_id": ["a"], "count": [40]})
    got = select(completions, verdicts, None, questions, config, data, seed=0, match=match)
    assert len(got.solutions) == 40 and got.solutions["completion_id"].n_unique() == 19
    assert any("19 distinct" in note and "21 are repeats" in note for note in got.notes)


def test_one_heuristic_takes_the_most_correct_or_the_one_named() -> None:
    tables = synthetic(1_000, 20, 4)
    right = tables["completions"].join(tables["verdicts"].filter(pl.col("judgement") == "correct"), on="id")
    most = right.group_by("heuristic").len().sort("len", "heuristic", descending=[True, False])["heuristic"][0]
    got = run(tables, data={"pool": "pool", "strategy": "one-heuristic"})
    assert set(got.solutions["heuristic"]) == {most} and most in got.notes[0]
    assert set(got.funnel["heuristic"]) == {most}
    named = run(tables, data={"pool": "pool", "strategy": "one-heuristic", "heuristic": "h2"})
    assert set(named.solutions["heuristic"]) == {"h2"}
    assert match_of(named.solutions)["count"].max() > 1  # the cap per heuristic does not hold here
    none = {**tables, "verdicts": tables["verdicts"].with_columns(judgement=pl.lit("wrong"))}
    with pytest.raises(ValueError, match="name the heuristic"):
        run(none, data={"pool": "pool", "strategy": "one-heuristic"})


def test_without_scores_the_shortest_wins() -> None:
    tables = synthetic(400, 20, 2)
    got = run(tables, {"per_question": 1}, adherence=None).solutions
    lengths = tables["completions"].with_columns(
        length=pl.when(pl.col("completion_tokens") > 0)
        .then("completion_tokens")
        .otherwise(pl.col("text").str.split(" ").list.len())
    )
    good = lengths.filter((pl.col("finish") == "stop") & (pl.col("text") != "")).join(
        tables["verdicts"].filter(pl.col("judgement") == "correct"), on="id"
    )
    shortest = dict(good.group_by("question_id").agg(pl.col("length").min()).iter_rows())
    chosen = got.join(lengths, left_on="completion_id", right_on="id")
    assert all(row["length"] == shortest[row["question_id"]] for row in chosen.iter_rows(named=True))


def test_balance_caps_a_heuristics_share_and_lists_what_it_drops() -> None:
    tables = synthetic(3_000, 30, 3)
    frame = tables["completions"].with_columns(  # two thirds of the questions know only one heuristic
        heuristic=pl.when(pl.col("question_id") > "q00033").then(pl.lit("h0")).otherwise("heuristic")
    )
    config = {"balance": 0.4, "per_heuristic": 2}
    got = run({**tables, "completions": frame}, config)
    share = got.solutions["heuristic"].value_counts()
    assert share["count"].max() <= 0.4 * len(got.solutions) + 1e-9
    free = run({**tables, "completions": frame}, {"per_heuristic": 2}).solutions
    dropped = got.removed.filter(pl.col("reason") == "balance")
    assert len(free) == len(got.solutions) + len(dropped) and set(dropped["step"]) == {"kept"}
    impossible = run({**tables, "completions": frame}, {"balance": 0.1, "per_heuristic": 2})
    assert "cannot be met" in impossible.notes[0] and len(impossible.solutions)


def test_leaked_questions_fall_and_are_named() -> None:
    tables = synthetic(400, 20, 2)
    text = tables["questions"]["text"]
    benchmarks = pl.DataFrame(
        {"name": ["bench", "bench"], "text": [text[3].upper() + "?", text[5].replace("5 apples", "77 apples")]}
    )
    free, got = run(tables), run(tables, benchmarks=benchmarks)
    gone = set(free.solutions["question_id"]) - set(got.solutions["question_id"])
    assert gone == {tables["questions"]["id"][3], tables["questions"]["id"][5]}
    listed = got.removed.filter(pl.col("step") == "not leaked")
    assert dict(listed.select("question_id", "reason").iter_rows()) == {"q00003": "exact", "q00005": "template"}
    assert all(o.startswith("bench: ") for o in listed["other"])
    assert (
        funnel_step(got.funnel, "not leaked")
        < funnel_step(free.funnel, "not leaked")
        == funnel_step(got.funnel, "not a copy")
    )
    assert (
        run(tables, {"decontaminate": ["exact"]}, benchmarks=benchmarks)
        .removed.filter(pl.col("step") == "not leaked")
        .height
        == 1
    )
    assert run(tables, {"decontaminate": False}, benchmarks=benchmarks).solutions.equals(free.solutions)


def test_copies_name_the_better_one() -> None:
    tables = synthetic(1_200, 20, 2)
    got = run(tables)
    copies = got.removed.filter(pl.col("reason") == "near-copy")
    text = dict(tables["completions"].select("id", "text").iter_rows())
    score = {r["id"]: r["score"] for r in tables["adherence"].iter_rows(named=True) if r["score"] == r["score"]}
    assert len(copies) > 20
    for row in copies.iter_rows(named=True):
        one, two = grams(text[row["completion_id"]]), grams(text[row["other"]])
        assert len(one & two) / len(one | two) >= 0.8
        assert score.get(row["completion_id"], -1) <= score.get(row["other"], -1)


def test_the_same_computations_are_copies_only_when_asked() -> None:
    texts = [
        "First 3 + 4 = 7, then 7 * 2 = 14.",
        "We add: 4 + 3 = 7 apples. Twice that: 2 * 7 = 14!",
        "Twice 3 is 3 * 2 = 6; 6 + 8 = 14",
        "no sums",
    ]
    completions = pl.DataFrame({"id": list("abcd"), "text": texts, "completion_tokens": range(5, 9)}).with_columns(
        question_id=pl.lit("q"), heuristic=pl.lit(UNGUIDED), finish=pl.lit("stop")
    )
    verdicts = completions.select("id", judgement=pl.lit("correct"))
    questions = pl.DataFrame({"id": ["q"], "text": ["?"]})
    for same, expected in ((False, "abcd"), (True, "acd")):
        got = select(
            completions, verdicts, None, questions, SelectionConfig(same_computation=same), DataConfig(pool="p"), seed=0
        )
        assert "".join(sorted(got.solutions["completion_id"])) == expected


def test_few_questions_when_asked_and_notes_when_short() -> None:
    tables = synthetic(1_000, 20, 5)
    got = run(tables, data={"pool": "pool", "questions": 7})
    assert got.solutions["question_id"].n_unique() == 7 and not got.notes
    short = run(tables, data={"pool": "pool", "questions": 700})
    assert "700 were asked for" in short.notes[0]
    assert set(got.funnel["step"]) <= set(STEPS)


def test_tables_that_do_not_fit_are_errors_and_nothing_kept_is_a_note() -> None:
    tables = synthetic(200, 20, 2)
    with pytest.raises(ValueError, match="1 question not in `questions`, such as q00000"):
        run({**tables, "questions": tables["questions"].tail(9)})
    two = pl.concat([tables["adherence"], tables["adherence"].with_columns(scorer=pl.lit("other"))])
    with pytest.raises(ValueError, match="several scorers"):
        run(tables, adherence=two)
    none = run({**tables, "verdicts": tables["verdicts"].clear()})
    assert none.solutions.is_empty() and "nothing is kept" in none.notes[0]
    empty = run({**tables, "completions": tables["completions"].clear()})
    assert empty.solutions.is_empty() and empty.funnel.is_empty()


def test_many_completions_of_one_question() -> None:
    """Copies are found by banding, so that one question with many completions is not quadratic."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDLIST, 30)) for _ in range(5_000)]
    completions = pl.DataFrame(
        {
            "id": [f"{i:05d}" for i in range(10_000)],
            "text": texts + texts,
            "question_id": "q",
            "heuristic": UNGUIDED,
            "finish": "stop",
        }
    )
    verdicts = completions.select("id", judgement=pl.lit("correct"))
    got = select(
        completions,
        verdicts,
        None,
        pl.DataFrame({"id": ["q"], "text": ["?"]}),
        SelectionConfig(),
        DataConfig(pool="p"),
        seed=0,
    )
    assert funnel_step(got.funnel, "not a copy") == 5_000 and len(got.solutions) == 4


def funnel_step(funnel: pl.DataFrame, step: str) -> int:
    return int(funnel.filter(pl.col("step") == step)["count"].sum())
