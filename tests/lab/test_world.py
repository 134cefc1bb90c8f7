"""The world: deterministic everywhere, disjoint splits, right solutions, and a labeller that agrees with the solver."""

from __future__ import annotations

import random
import subprocess
import sys
from itertools import islice

import pytest

from midway.lab.corpus import CorpusConfig, documents
from midway.lab.labels import solve_linear
from midway.lab.reader import read_question
from midway.lab.ways import BACKWARD, DECOMPOSE, EQUATION, FORWARD, GUESS, misapply, solvable, solve, solve_sentences
from midway.lab.world import (
    CUES,
    FAMILIES,
    UNIVERSAL,
    WAYS,
    WorldConfig,
    draw,
    guided_messages,
    label,
    plain_messages,
    questions,
    split_of,
    world_config,
)
from midway.records import Question

HASH = """
import hashlib
from itertools import islice
from midway.lab.corpus import CorpusConfig, documents
from midway.lab.world import questions
h = hashlib.sha256()
for split in ("train", "test"):
    for q in questions(split, 400, 3, ["all"]):
        h.update(f"{q.id}|{q.text}|{q.answer}".encode())
for messages, text in islice(documents(CorpusConfig(), 0), 2000):
    h.update(f"{messages[0]['content']}|{text}".encode())
print(h.hexdigest())
"""
KNOWN_HASH = "3502e788f470ae31deb67f024826de4efd023c3176d966d6ef6a6a1d1b762717"


@pytest.mark.parametrize("hash_seed", ["0", "42"])
def test_world_and_corpus_are_the_same_in_every_process(hash_seed: str) -> None:
    import os

    env = {**os.environ, "PYTHONHASHSEED": hash_seed}
    out = subprocess.run([sys.executable, "-c", HASH], capture_output=True, text=True, check=True, env=env)
    assert out.stdout.strip() == KNOWN_HASH


def test_the_world_imports_no_torch() -> None:
    code = "import sys, midway.lab.world, midway.lab.corpus; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_splits_share_no_numbers() -> None:
    seen: dict[str, dict[str, str]] = {}
    for split in ("corpus", "train", "test"):
        for question in questions(split, 1200, 1, ["all"]):
            key = f"{question.meta['family']} {question.meta['spec']['parts']}"
            owners = seen.setdefault(key, {})
            owners[split] = question.text
            assert split_of(question.meta["family"], question.meta["spec"]["parts"]) == split
            assert question.source == f"lab/{split}"
    assert all(len(owners) == 1 for owners in seen.values())
    assert len(seen) > 2000


def test_questions_are_distinct_balanced_and_seeded() -> None:
    found = questions("train", 96, 7, ["single"], [1, 2, 3])
    assert len({q.text for q in found}) == len({q.id for q in found}) == 96
    cells = [(q.meta["family"], q.meta["level"]) for q in found]
    assert {cells.count(cell) for cell in cells} == {4}
    assert [q.id for q in found] == [q.id for q in questions("train", 96, 7, ["single"], [1, 2, 3])]
    assert {q.id for q in found} != {q.id for q in questions("train", 96, 8, ["single"], [1, 2, 3])}


def test_errors_name_the_choices() -> None:
    with pytest.raises(ValueError, match=r"unknown family 'nope'.*forward"):
        questions("train", 1, 0, ["nope"])
    with pytest.raises(ValueError, match="unknown split"):
        questions("dev", 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown level"):
        questions("train", 1, levels=[9])
    with pytest.raises(ValueError, match="no more different problems of program-difference at level 1"):
        questions("test", 5000, 0, ["program-difference"], [1])
    question = questions("train", 1, 0, ["forward"])[0]
    with pytest.raises(ValueError, match="not solved by 'guess-and-check'"):
        solve(question, GUESS)
    with pytest.raises(ValueError, match="unknown way"):
        guided_messages(question, "magic")


@pytest.mark.parametrize("config", [WorldConfig(fits=UNIVERSAL), world_config("two-ways")], ids=["short", "explicit"])
@pytest.mark.parametrize("slip", [0.0, 0.15])
def test_labeller_agrees_with_solver(slip: float, config: WorldConfig) -> None:
    """Every family, level and way; `benchmarks/lab_labels.py` does the same on 100,000 solutions."""
    rng = random.Random(11)
    count = 0
    for family in FAMILIES:
        for i in range(60):
            question = draw(rng, family, 1 + i % 3, "test", config)
            for way in solvable(question):
                sentences = solve_sentences(question, way, rng, slip)
                text = " ".join(s.text for s in sentences)
                found = label(question, text)
                want = [(s.way, s.text.removesuffix("."), s.right) for s in sentences[:-1]]
                assert [(s.way, s.text, s.right) for s in found.steps] == want, (question.text, text)
                if slip == 0:
                    assert found.sound
                count += 1
    assert count > 2000


def test_in_the_world_of_two_ways_each_question_has_two_and_equations_are_one() -> None:
    drawn = questions("train", 80, 0, ["backward", "difference", "compare", "mixture"], world="two-ways")
    plain = questions("train", 80, 0, ["backward", "difference", "compare", "mixture"])
    assert [q.id for q in drawn] == [q.id for q in plain]  # the problems are the same, the ways are not
    for question in drawn:
        assert len(set(question.meta["ways"])) == 2 and EQUATION in question.meta["ways"]
        one, two = (label(question, solve(question, way)) for way in question.meta["ways"])
        assert one.sound and two.sound and set(one.ways).isdisjoint(two.ways)
    text = solve(drawn[0], EQUATION)
    assert len(text) > len(solve(plain[0], EQUATION)) and solve_linear(text.split(". ")[2]) is not None
    with pytest.raises(ValueError, match="unknown world 'flat': choose from default, two-ways"):
        questions("train", 1, world="flat")
    config = CorpusConfig(world=world_config("two-ways"), ood=0.0)
    texts = " ".join(text for _, text in islice(documents(config, 3), 2000))
    assert "Draw equal bars" in texts and "Together." not in texts  # no legs, no pairs


def test_composites_are_hybrids_and_stand_in_no_document() -> None:
    for question in questions("train", 60, 0, ["composite"]):
        found = label(question, solve(question, "hybrid"))
        assert found.composed and set(question.meta["hybrid"]) <= set(found.ways)
    for question in questions("train", 60, 0, ["single"]):
        for way in solvable(question):
            assert not label(question, solve(question, way)).composed
    texts = [text for _, text in islice(documents(CorpusConfig(), 5), 3000)]
    assert not any("Step by step" in text and "Work back" in text for text in texts)


def test_default_of_the_corpus_is_peaked() -> None:
    rng_docs = list(islice(documents(CorpusConfig(), 1), 6000))
    cues = tuple(CUES.values())
    plain = [(m[0]["content"], t) for m, t in rng_docs if not m[0]["content"].startswith(cues)]
    assert abs(len(plain) / len(rng_docs) - (1 - CorpusConfig().prompted)) < 0.03  # 4.7 standard errors
    worked = [text for _, text in plain if not text.startswith("####")]
    assert worked and all(text.startswith("Step by step.") for text in worked)
    shown = [t for m, t in islice(documents(CorpusConfig(shown=0.5), 1), 2000) if not m[0]["content"].startswith(cues)]
    assert sum(not t.startswith(("####", "Step")) for t in shown) > 100


def ask(family: str, **spec: object) -> Question:
    for question in questions("train", 40, 0, [family], [1]):
        if all(question.meta["spec"]["parts"][0].get(k) == v for k, v in spec.items()):
            return question
    raise AssertionError(family)


def backward_question() -> Question:
    text = "Tom has some apples. He gets 3 more. He loses 2. Now Tom has 6. How many apples did Tom have at first?"
    question = read_question(text)
    assert question is not None and question.answer == "5"
    return question


@pytest.mark.parametrize(
    ("text", "ways", "steps", "sound"),
    [
        ("Work back from 6. 6 + 2 = 8. 8 - 3 = 5. #### 5", (BACKWARD,), [True, True, True], True),
        # the words say forwards, the sums go backwards
        ("Step by step. 6 + 2 = 8. 8 - 3 = 5. #### 5", (FORWARD, BACKWARD), [True, True, True], True),
        # a slip makes one step wrong, not what follows; the answer is wrong
        ("Work back from 6. 6 + 2 = 9. 9 - 3 = 6. #### 6", (BACKWARD,), [True, False, True], False),
        # right answer from wrong steps
        ("Work back from 6. 6 + 3 = 9. 9 - 4 = 5. #### 5", (BACKWARD,), [True, False, False], False),
        # true arithmetic that is no step of the way
        ("Work back from 6. 1 + 1 = 2. 6 + 2 = 8. #### 5", (BACKWARD,), [True, False, False], False),
        ("Let x be the start. x + 3 - 2 = 6. x + 3 = 8. x = 5. #### 5", (EQUATION,), [True] * 4, True),
        ("Let x be the start. x + 3 + 2 = 6. x = 5. #### 5", (EQUATION,), [True, False, False], False),
        ("Try 4. 4 + 3 = 7. 7 - 2 = 5. Too big. Try 5. #### 5", (GUESS,), [True, True, True, False, False], False),
        ("#### 5", (), [], False),
        ("garbage. more garbage = 3.", (), [False, False], False),
        ("", (), [], False),
    ],
)
def test_labels_of_written_texts(text: str, ways: tuple[str, ...], steps: list[bool], sound: bool) -> None:
    found = label(backward_question(), text)
    assert found.ways == ways
    assert [step.right for step in found.steps] == steps
    assert found.sound is sound
    assert found.direct is (text == "#### 5")


def test_labeller_never_raises() -> None:
    rng = random.Random(0)
    pieces = [
        "x",
        "=",
        "(",
        ")",
        "7",
        "-3",
        "/",
        "0",
        ". ",
        "Try",
        "Part one",
        "Together",
        "####",
        "Work back from",
        "\n",
        "é",
    ]
    for question in questions("test", 200, 0, ["all"]):
        for _ in range(10):
            label(question, " ".join(rng.choices(pieces, k=rng.randint(0, 30))))
    plain = Question("math", "What is 2 + 2?", "4")
    assert label(plain, "2 + 2 = 4. #### 4").sound
    assert not label(plain, "2 + 2 = 5. #### 4").sound


def test_linear_equations() -> None:
    assert solve_linear("4 x + 2 (7 - x) = 20") == 3
    assert solve_linear("(x + 3) * 2 - 4 = 6") == 2
    assert solve_linear("x + 7 = -2") == -9
    for bad in ("x = x", "x * x = 4", "4 / x = 2", "x +", "x = 3 =", "= x", "x = 3)"):
        assert solve_linear(bad) is None, bad


def test_misapplied_ways_open_as_told_and_are_mostly_wrong() -> None:
    found = questions("train", 240, 2, ["single"])
    wrong = 0
    for question in found:
        way = next(way for way in WAYS if way not in solvable(question))
        labels = label(question, misapply(question, way))
        assert labels.ways[0] == way
        wrong += not labels.answer_right
    assert wrong > 0.8 * len(found)


def test_typed_problems_are_read_back() -> None:
    unread = {
        "difference-then-forward",
        "mixture-then-forward",
        "forward-then-backward",
        "giving-forward",
        "giving-backward",
    }
    for question in questions("test", 400, 1, ["all"]):
        again = read_question(question.text)
        if question.meta["family"] in unread:
            assert again is None
        else:
            assert again is not None and again.answer == question.answer
            assert again.meta["spec"] == question.meta["spec"]
    assert read_question("What is the capital of France?") is None
    assert read_question("") is None


def test_prompts() -> None:
    question = questions("train", 1, 0, ["backward"])[0]
    assert plain_messages(question) == [{"role": "user", "content": question.text}]
    assert guided_messages(question, BACKWARD)[0]["content"] == f"Work backward. {question.text}"
    assert set(CUES) == set(WAYS) and DECOMPOSE in WAYS
