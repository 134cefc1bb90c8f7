"""`source: gym:TASK`: questions of reasoning-gym, judged in the sandbox. What does not need the package is tested without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path

import polars as pl
import pytest
import yaml

from midway.domains import Verifier, check_gold
from midway.domains.gym import box, source
from midway.domains.gym.domain import answer_of
from midway.domains.gym.tasks import allowed, known
from midway.questions import QuestionError, from_frame, load, to_frame
from midway.recipe import SourceConfig
from midway.records import Judgement, Question

PACKAGE = "reasoning-gym"


def installed() -> bool:
    try:
        return bool(metadata.version(PACKAGE))
    except metadata.PackageNotFoundError:
        return False


needs_gym = pytest.mark.skipif(not installed(), reason="reasoning-gym is not installed: pip install 'midway[gym]'")


def gym(task: str, limit: int = 6, **given: object) -> list[Question]:
    return load(SourceConfig.model_validate({"source": f"gym:{task}", "limit": limit, **given}))


def test_refused_and_unknown_tasks_say_why() -> None:
    version, tasks = known()
    assert len(tasks) == 106 and version == "0.1.25"
    for name in ("boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"):
        assert "of its own answers do not get full marks" in tasks[name].refused, name
    assert "nonsense" in tasks["game_of_life_halting"].refused
    for wrong, words in (
        ("graph_color", r"gym:graph_color is refused: 8 of 8 of its own answers"),
        ("chain_sun", r"there is no task 'chain_sun'; did you mean chain_sum"),
        ("", r"name a task, such as gym:chain_sum"),
    ):
        with pytest.raises(QuestionError, match=words):
            load(SourceConfig(source=f"gym:{wrong}" if wrong else "gym"))


@pytest.mark.skipif(installed(), reason="reasoning-gym is installed")
def test_without_the_package_it_says_what_to_install() -> None:
    with pytest.raises(box.NotInstalled, match=r"pip install 'midway\[gym\]'"):
        gym("chain_sum")


def test_where_the_answer_is_read() -> None:
    assert answer_of("<answer>1</answer> no, <answer>\n2 3\n4 5\n</answer>") == ("2 3\n4 5", "tag")
    assert answer_of("So 7.\nAnswer: 7") == ("7", "statement")
    assert answer_of("so \\boxed{7}") == ("7", "boxed")
    assert answer_of("7") == ("7", "bare")
    assert answer_of("<think><answer>9</answer></think>It is 8\nAnswer: 8") == ("8", "statement")


@needs_gym
def test_splits_share_no_text_and_are_the_same_everywhere() -> None:
    options = {"max_terms": 2, "max_digits": 1}  # a small space: other seeds make the same texts
    train = gym("chain_sum", 40, options=options)
    again = gym("chain_sum", 40, options=options)
    other = gym("chain_sum", 40, options=options, seed=1)
    test = gym("chain_sum", 40, options=options, split="test")
    assert [q.id for q in train] == [q.id for q in again] != [q.id for q in other]
    assert not {q.text for q in train} & {q.text for q in test} and not {q.text for q in other} & {q.text for q in test}
    assert {q.text for q in train} & {q.text for q in other}, "otherwise this shows nothing"
    assert len({q.text for q in train}) == 40
    harder = gym("chain_sum", 3, options={"min_terms": 5, "max_terms": 5, "min_digits": 3})
    assert all(q.text.count("+") + q.text.count("- ") >= 4 for q in harder)
    for wrong, words in (
        ({"min_trems": 2}, r"options.min_trems: unknown setting; did you mean min_terms"),
        ({"min_terms": 0}, r"cannot be made with these options: .*min_terms must be positive"),
        ({"seed": 3}, r"options.seed: write `seed:`"),
    ):
        with pytest.raises(QuestionError, match=words):
            gym("chain_sum", 1, options=wrong)
    with pytest.raises(QuestionError, match="questions are asked for, split train has"):
        gym("chain_sum", 4000, options=options)


HOSTILE = {
    "9**9**9**9": "unjudged",
    "__import__('os').system('touch /tmp/midway-was-here')": "wrong",
    "[x for x in ().__class__.__base__.__subclasses__()]": "wrong",
    "type('A', (str,), {'__eq__': lambda s, o: True})('x')": "wrong",
    "Function('f', (Basic,), {'__eq__': lambda s, o: True})(1)": "wrong",
    "S('__import__(\"os\").getcwd()')": "wrong",
    "exit()": "wrong",
}


@needs_gym
@pytest.mark.slow
def test_hostile_answers_do_no_harm_and_are_never_right() -> None:
    """countdown evaluates the answer with sympy, which is Python's eval."""
    (question,) = gym("countdown", 1)
    with Verifier(1) as verifier:
        for text, expected in HOSTILE.items():
            verdict = verifier.verify(question, f"<answer>{text}</answer>")
            assert str(verdict.judgement) == expected, (text, verdict)
        assert not Path("/tmp/midway-was-here").exists()
        another_way = f"({question.answer}) * 1"
        assert verifier.verify(question, f"<answer>{question.answer}</answer>").correct
        assert verifier.verify(question, f"<answer>{another_way}</answer>").reason.startswith(("tag", "wrong-answer"))
        assert verifier.verify(question, f"<answer>({question.answer})</answer>").correct, "its scorer was asked"


@needs_gym
@pytest.mark.slow
def test_tasks_with_one_answer_are_judged_as_their_scorer_would() -> None:
    names = [name for name, task in known()[1].items() if task.equality and not task.refused][:4]
    for name in names:
        question = gym(name, 1)[0]
        gold = dict(question.gold)
        task = allowed(name)
        for answer in (question.answer or "", f"{question.answer}1", "xyzzy"):
            found = box.score(task.module, name, {}, gold["seed"], answer, question.text)
            assert found.full == (answer == question.answer) and found.same


@needs_gym
def test_a_question_of_another_version_is_not_judged() -> None:
    (question,) = gym("chain_sum", 1)
    changed = Question("gym", "What is 1 + 1?", answer="2", gold=question.gold)
    with Verifier(1) as verifier:
        verdict = verifier.verify(changed, "<answer>3</answer>")
        assert verdict.judgement is Judgement.UNJUDGED and verdict.reason.startswith("gym-changed")
        assert list(check_gold([question], verifier)) == []
    assert from_frame(to_frame([question])) == [question], "as a run stores it"


@needs_gym
def test_a_gym_task_from_the_question_to_the_data_set(tmp_path: Path) -> None:
    """Completions of two tasks, one that is judged by equality and one by its scorer, become verdicts and a data set."""
    sources = [{"source": f"gym:{task}", "limit": 4} for task in ("gcd", "chain_sum")]
    asked = [q for one in sources for q in load(SourceConfig.model_validate(one))]
    rows = [
        {"question": q.text, "completion": f"I thought about it {n} times. <answer>{a}</answer>"}
        for q in asked
        for n, a in enumerate((q.answer, "xyzzy"))
    ]
    (tmp_path / "solved.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "questions": {"train": sources},
        "pools": {"theirs": {"samples": 2, "engine": {"kind": "recorded", "path": "solved.jsonl"}}},
        "selection": {"near_copy": 1.0, "accept": ["tag"]},
        "verify": {"workers": 1},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    command = [sys.executable, "-m", "midway", "data", "recipe.yaml", "--out", "set"]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept = [json.loads(line) for line in (tmp_path / "set/data/train.jsonl").read_text().splitlines()]
    assert len(kept) == 8 and all("xyzzy" not in str(row["messages"]) for row in kept)
    verdicts = pl.concat(
        [pl.read_parquet(f) for f in (tmp_path / "runs/recipe/pools/theirs/verdicts").glob("*.parquet")]
    )
    assert Counter(zip(verdicts["judgement"], verdicts["reason"], strict=True)) == {
        ("correct", "tag"): 8,
        ("wrong", "wrong-answer:tag"): 8,
    }
    assert source.split_of("gcd", asked[0].text) == "train"
