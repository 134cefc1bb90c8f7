"""Shingles, MinHash, computations, decontamination and diversity, against brute force and closed forms."""

from __future__ import annotations

import gzip
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from midway.selection import computations, diversity, find_leaks, vendi
from midway.selection.diversity import jaccard_matrix
from midway.selection.text import HASHES, bands, mask_numbers, shingles, stable_hash, tokens, words


def series(*texts: str | None) -> pl.Series:
    return pl.Series(texts, dtype=pl.String)


def test_tokens_are_words_numbers_and_signs() -> None:
    got = tokens(series("She has 1,234,567 EGGS, i.e. 3 + 4 = <<3+4=7>>7!", "x² = 中文", None, ""))
    assert got.to_list() == [
        ["she", "has", "1234567", "eggs", "i", "e", "3", "+", "4", "=", "7"],
        ["x", "2", "=", "中", "文"],
        [],
        [],
    ]
    assert mask_numbers(got)[0].to_list() == ["she", "has", "#", "eggs", "i", "e", "#", "+", "#", "=", "#"]
    assert words(series("What's $x^{2}$?[asy]\ndraw(a);\n[/asy] Right."))[0].to_list() == ["whats", "x2", "right"]


def test_hashes_are_the_same_everywhere() -> None:
    """Stored selections must not change with a library: these numbers are of BLAKE2b and of fixed constants."""
    assert stable_hash("midway") == 2906097801953111653
    got = shingles(tokens(series("a b c d", "a b")), 3)
    assert got.values.tolist() == [13034497564718944625, 2314291156478715410, 15596882398027802157]
    assert got.signatures()[0, :3].tolist() == [1286965452, 2418967250, 669250453]


def test_shingles_are_word_ngrams_and_short_texts_are_one() -> None:
    got = shingles(tokens(series("a b c d e", "a b c", "a b", "", "b a", "a b c d e a b c")), 3)
    assert [len(got.of(d)) for d in range(6)] == [3, 1, 1, 0, 1, 5]
    assert got.jaccard(0, 1) == pytest.approx(1 / 3) and got.jaccard(2, 4) == 0.0 and got.jaccard(3, 3) == 0.0
    assert got.jaccard(0, 5) == pytest.approx(3 / 5)
    assert len(set(got.fingerprints().tolist())) == 6 and got.fingerprints()[3] == 0


def test_signatures_estimate_the_jaccard_similarity() -> None:
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(300):
        base = rng.integers(0, 500, 40).astype(str)
        other = np.where(rng.random(40) < rng.random() * 0.2, rng.integers(0, 500, 40).astype(str), base)
        texts += [" ".join(base), " ".join(other)]
    got = shingles(tokens(series(*texts)), 3)
    signatures = got.signatures()
    truth = np.array([got.jaccard(2 * i, 2 * i + 1) for i in range(300)])
    guess = np.array([(signatures[2 * i] == signatures[2 * i + 1]).mean() for i in range(300)])
    z = (guess - truth) / np.sqrt(np.maximum(truth * (1 - truth), 1e-9) / HASHES)
    inner = (truth > 0.05) & (truth < 0.95)
    assert (
        inner.sum() > 150 and abs(z[inner].mean()) < 0.3 and 0.8 < z[inner].std() < 1.25
    )  # unbiased, with the spread of a binomial


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.9])
def test_banding_proposes_the_pairs_that_are_similar_enough(threshold: float) -> None:
    rng = np.random.default_rng(1)
    texts = []
    for _ in range(400):
        base = rng.integers(0, 500, 60).astype(str)
        other = base.copy()
        spots = rng.integers(0, 60, rng.integers(0, 8))
        other[spots] = rng.integers(0, 500, len(spots)).astype(str)
        texts += [" ".join(base), " ".join(other)]
    got = shingles(tokens(series(*texts)), 3)
    keys = bands(got.signatures(), threshold)
    similar = [i for i in range(400) if got.jaccard(2 * i, 2 * i + 1) >= threshold]
    missed = [i for i in similar if not (keys[2 * i] == keys[2 * i + 1]).any()]
    assert len(similar) > 50 and len(missed) <= 1
    strangers = [(2 * i, 2 * i + 2) for i in range(399)]
    assert np.mean([(keys[a] == keys[b]).any() for a, b in strangers]) < 0.1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("She eats 3 + 4 = <<3+4=7>>7 and sells 16-7 = <<16-7=9.0>>9.", ("3+4=7", "16-7=9")),
        ("3 + 16 = 19, then 16 \\times 2 = 32 and \\frac{10}{2} = 5", ("16+3=19", "16*2=32", "10/2=5")),
        (
            "5 red apples + 3 apples = 8 apples; $2 x $4.50 = $9.00; 1,000 + 5 = 1,005",
            ("3+5=8", "2*4.5=9", "1000+5=1005"),
        ),
        ("4 bags * 12 pounds/bag = 48 pounds, 80 post-it notes - 23 post-it notes = 57", ("12*4=48", "80-23=57")),
        ("5000 * .10 = 500 and 200 * 20% = 40, so -250 + 750 = 500", ("0.1*5000=500", "20%*200=40", "-250+750=500")),
        ("Let x be it: 2x + 3 = 13, so 2x = 10 and x = 5.", ()),
        ("Nothing is computed on page 3 of 4.", ()),
        ("(3+4)*2=14", ("(3+4)*2=14",)),
    ],
)
def test_computations(text: str, expected: tuple[str, ...]) -> None:
    assert computations(text) == expected


@pytest.mark.parametrize(
    "nonsense", ["1 a ", "1+", "1 aa bb cc + ", "1 / ", "(1 ", "1 aa/", "aa-", "<<1+", "\\frac{1", "1 - ( 2 )"]
)
def test_no_text_takes_more_than_linear_time(nonsense: str) -> None:
    """With one ambiguous repetition in the pattern this would not end."""
    assert computations(nonsense * 10_000) == ()


# Decontamination --------------------------------------------------------------------------------------------------------------

LONG = "Max bought {} stamps at the old post office and some of them had a snowflake design while {} had roses"


def leaks(ours: list[str], theirs: list[str], **kwargs: object) -> list[tuple[str, str]]:
    questions = pl.DataFrame({"id": [str(i) for i in range(len(ours))], "text": ours})
    found = find_leaks(questions, pl.DataFrame({"name": "bench", "text": theirs}), **kwargs)  # type: ignore[arg-type]
    return list(found.select("question_id", "kind").iter_rows())


def test_leaks_are_exact_templates_or_long_runs() -> None:
    text = LONG.format(11, 9)
    run = "Before that, " + LONG.format(11, 9)[:90] + " or not"
    ours = [text.upper() + "!", LONG.format(3, 4), run, "What is 3 + 4?", "Max bought stamps"]
    assert leaks(ours, [text, "What is 5 + 6?"]) == [("0", "exact"), ("1", "template"), ("2", "ngram")]
    assert leaks(ours, [text], kinds=["exact"]) == [("0", "exact")]
    assert leaks(["What is 3 + 4?"], ["what is 3+4"]) == [("0", "exact")]
    assert leaks(ours, []) == [] and leaks([], [text]) == []
    with pytest.raises(ValueError, match="knows exact, template, ngram"):
        leaks(ours, [text], kinds=["fuzzy"])


def test_the_benchmark_question_is_named() -> None:
    questions = pl.DataFrame({"id": ["a"], "text": [LONG.format(1, 2)]})
    benchmarks = pl.DataFrame({"name": ["one", "two"], "text": ["something else", LONG.format(1, 2)]})
    assert find_leaks(questions, benchmarks).row(0) == ("a", "exact", "two", LONG.format(1, 2))


def test_common_phrases_and_pictures_are_no_leaks() -> None:
    phrase = "can be written as m over n where m and n are relatively prime positive integers find m plus n"
    ours = [f"The area of thing {chr(97 + i)} {phrase}" for i in range(20)]
    assert leaks(ours, [f"A wholly different question whose answer {phrase}"]) == []
    assert leaks(ours[:5], [f"A wholly different question whose answer {phrase}"]) == [
        (str(i), "ngram") for i in range(5)
    ]
    picture = "[asy]" + " ".join(f"draw(a{i});" for i in range(30)) + "[/asy]"
    assert leaks([f"What is its area? {picture}"], [f"How long is the side? {picture}"]) == []


# Diversity ----------------------------------------------------------------------------------------------------------------------


def test_vendi_score_of_known_kernels() -> None:
    assert vendi(np.eye(5)) == pytest.approx(5) and vendi(np.ones((4, 4))) == pytest.approx(1)
    blocks = np.kron(np.eye(2), np.ones((3, 3)))
    assert vendi(blocks) == pytest.approx(2)
    s = 0.3  # two items of similarity s: eigenvalues (1 + s) / 2 and (1 - s) / 2
    p = np.array([(1 + s) / 2, (1 - s) / 2])
    assert vendi(np.array([[1, s], [s, 1]])) == pytest.approx(np.exp(-(p * np.log(p)).sum()))
    assert np.isnan(vendi(np.zeros((0, 0))))


def test_jaccard_matrix_is_all_pairs() -> None:
    rng = np.random.default_rng(0)
    got = shingles(tokens(series(*(" ".join(rng.integers(0, 4, 12).astype(str)) for _ in range(9)), "")), 3)
    matrix = jaccard_matrix(got)
    assert all(matrix[a, b] == pytest.approx(got.jaccard(a, b)) for a, b in combinations(range(10), 2))
    assert np.allclose(np.diag(matrix), 1)


def test_diversity_of_a_data_set() -> None:
    solutions = pl.DataFrame(
        {
            "question_id": ["a", "a", "a", "b"],
            "completion_id": ["1", "2", "3", "4"],
            "heuristic": ["x", "y", "y", "x"],
            "text": [
                "so 3 + 4 = 7 it is",
                "so 3 + 4 = 7 it is",
                "no wait but 7 - 4 = 3 fits",
                "nothing to compute here",
            ],
        }
    )
    got = diversity(solutions)
    assert got["heuristics"] == 1.5 and got["per_question"] == 2.0
    assert got["computations"] == 2.0 and got["questions_with_computations"] == 1
    assert got["vendi"] == pytest.approx((vendi(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1.0]])) + 1) / 2)
    assert got["vendi_all"] == pytest.approx(2.0) and "3-grams" in got["kernel"]
    assert diversity(solutions, questions=1)["questions_looked_at"] == 1
    assert np.isnan(diversity(solutions.clear())["vendi"])


# Real data ----------------------------------------------------------------------------------------------------------------------


def test_real_near_copies_and_leaks(shared_data: Path) -> None:
    """The pairs that were read one by one for the lab book, and the four GSM8K training questions that resemble test questions."""
    raw = gzip.decompress((shared_data / "gsm8k_model_solutions/all.jsonl.gz").read_bytes()).decode()
    rows = [json.loads(line) for line in raw.split("\n") if line]
    frame = pl.DataFrame([{"question": r["question_id"], "text": r["completion"]} for r in rows])
    got = shingles(tokens(frame["text"]), 3)
    keys = bands(got.signatures(), 0.8)
    groups: dict[str, list[int]] = {}
    for row, question in enumerate(frame["question"].to_list()):
        groups.setdefault(question, []).append(row)
    pairs = [(a, b) for rows_ in groups.values() for a, b in combinations(rows_, 2)]
    near = [(a, b) for a, b in pairs if got.jaccard(a, b) >= 0.8]
    assert len(near) == 30 and all((keys[a] == keys[b]).any() for a, b in near)
    sets = []
    for name in ("train.jsonl.gz", "test.jsonl"):
        data = (shared_data / "gsm8k" / name).read_bytes()
        lines = (gzip.decompress(data) if name.endswith("gz") else data).decode().split("\n")
        sets.append(
            pl.DataFrame([{"id": (r := json.loads(line))["id"], "text": r["question"]} for line in lines if line])
        )
    train, test = sets
    assert find_leaks(train, test.select(name=pl.lit("gsm8k-test"), text="text"))["kind"].to_list() == ["ngram"] * 4
    assert find_leaks(test, test.select(name=pl.lit("gsm8k-test"), text="text"))["kind"].to_list() == ["exact"] * len(
        test
    )
