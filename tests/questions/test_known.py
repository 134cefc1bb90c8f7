"""The known sets: a row of every set in the form that its publisher gives it, and the whole files where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from midway.questions import KNOWN, QuestionError, catalogue, known_set, load, read
from midway.questions.plus_types import typed_calls
from midway.recipe import SourceConfig
from midway.records import Question

DAPO = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: $Answer (without quotes) "
    'where $Answer is the answer to the problem.\n\nFind $x$.\n\nRemember to put your answer on its own line after "Answer:".'
)

# (set, subset, split, file, published row, expected fields); the rows have the published columns, their content is ours
PUBLISHED: list[tuple[str, str | None, str, str, dict[str, Any], dict[str, Any]]] = [
    (
        "gsm8k", None, "train", "train",
        {"question": "Tom has 1,000 eggs and buys 234.", "answer": "1000+234=<<1000+234=1234>>1234\n#### 1,234"},
        {"text": "Tom has 1,000 eggs and buys 234.", "answer": "1234", "solution": "1000+234=1234\nThe answer is $\\boxed{1234}$."},
    ),
    (
        "math", None, "test", "test",
        {"problem": "Half?", "level": "Level 5", "type": "Algebra", "solution": r"It is $\boxed{\frac{1}{2}}$."},
        {"text": "Half?", "answer": r"\frac{1}{2}", "meta": {"level": 5, "subject": "Algebra"}},
    ),
    (
        "math500", None, "test", "test",
        {"problem": "P", "solution": "S", "answer": "007", "subject": "Algebra", "level": 2, "unique_id": "test/algebra/1.json"},
        {"text": "P", "answer": "007", "solution": "S", "name": "test/algebra/1.json", "meta": {"subject": "Algebra", "level": 2}},
    ),
    ("dapo-math-17k", "en", "train", "en", {"prompt": "Find $x$.", "solution": "34", "data_source": "math_dapo"},
     {"text": "Find $x$.", "answer": "34", "solution": None}),
    (
        "dapo-math-17k", None, "train", "train",
        {"prompt": [{"role": "user", "content": DAPO}], "reward_model": {"ground_truth": "34"}, "extra_info": {"index": "u-1"}},
        {"text": "Find $x$.", "answer": "34", "name": "u-1"},
    ),
    ("amc23", None, "test", "test", {"id": 0, "question": "Q", "answer": 27.0, "url": "u"}, {"text": "Q", "answer": "27"}),
    ("aime24", None, "test", "test", {"id": 60, "problem": "P", "solution": "S", "answer": "033", "url": "u", "year": "2024"},
     {"text": "P", "answer": "33", "solution": "S", "name": "60"}),
    ("aime25", None, "test", "test", {"id": "0", "problem": "P", "answer": "70"}, {"text": "P", "answer": "70"}),
    (
        "olympiadbench", None, "test", "test",
        {"id": 1606, "question": "Q", "solution": ["S", "T"], "final_answer": ["$0.7$"], "context": "C", "is_multiple_answer": False,
         "unit": None, "answer_type": "Numerical", "error": "1e-1", "subfield": "Algebra"},
        {"text": "C\n\nQ", "answer": "0.7", "solution": "S",
         "meta": {"subfield": "Algebra", "answer_type": "Numerical", "is_multiple_answer": False, "tolerance": 0.1}},
    ),
    ("olympiadbench", None, "test", "test", {"question": "Q", "final_answer": ["$1$", "$2$"]}, {"answer": "$1$, $2$"}),
    ("minerva_math", None, "test", "test", {"question": "Q", "answer": "1.6"}, {"text": "Q", "answer": "1.6"}),
    ("svamp", None, "test", "test", {"ID": "chal-1", "Body": "Ann has 3", "Question": "How many?", "Answer": "145.0", "Type": "Sum"},
     {"text": "Ann has 3. How many?", "answer": "145", "name": "chal-1"}),
    ("svamp_embedded", None, "test", "test", {"id": "s-1", "question": "Ann has 3. How many?", "answer": "145", "meta": {"type": "Sum"}},
     {"text": "Ann has 3. How many?", "answer": "145", "name": "s-1"}),
    ("asdiv", None, "test", "all", {"body": "7 and 2 apples.", "question": "How many?", "answer": "9 (apples)", "solution_type": "Sum"},
     {"text": "7 and 2 apples. How many?", "answer": "9"}),
    ("mawps", "addsub", "test", "addsub", {"id": "m1", "question": "Q", "result": "43", "result_float": 43.0, "chain": ""},
     {"text": "Q", "answer": "43", "name": "m1"}),
    ("gsm_hard", None, "test", "test", {"input": "Q", "code": "...", "target": -9867630.0}, {"text": "Q", "answer": "-9867630"}),
    ("gsm_symbolic", "p1", "test", "p1", {"id": 3, "instance": 7, "question": "Q", "answer": "so\n#### 12", "original_id": 11},
     {"text": "Q", "name": "gsm_symbolic-11-7", "answer": "12", "solution": "so\nThe answer is $\\boxed{12}$.",
      "meta": {"template": 11, "instance": 7}}),
    ("gsm_plus", None, "test", "test", {"question": "Q", "solution": "S", "answer": "12.0", "perturbation_type": "numerical substitution"},
     {"text": "Q", "answer": "12", "solution": "S", "meta": {"perturbation": "numerical substitution"}}),
    ("college_math", None, "test", "test", {"data_source": "B", "question_number": "e.1", "question": "Q", "answer": "$10-4 n$",
     "data_topic": "algebra"}, {"text": "Q", "answer": "10-4 n", "meta": {"topic": "algebra", "book": "B"}}),
    (
        "humaneval", None, "test", "test",
        {"task_id": "HumanEval/0", "prompt": "def f(x):\n", "canonical_solution": "    return x\n", "entry_point": "f",
         "test": "def check(candidate):\n    assert candidate(1) == 1\n"},
        {"text": "def f(x):\n", "solution": "def f(x):\n    return x\n", "name": "HumanEval/0"},
    ),
    (
        "humaneval_plus", None, "test", "test",
        {"task_id": "HumanEval/0", "prompt": "def f(x):\n", "canonical_solution": "    return x\n", "entry_point": "f",
         "test": "old", "base_input": [[1]], "plus_input": [[2], [3]], "atol": 0.5},
        {"text": "def f(x):\n"},
    ),
    (
        "mbpp", None, "test", "test",
        {"task_id": 11, "text": "Double it.", "code": "def f(x):\r\n  return 2*x", "test_list": ["assert f(1) == 2"], "test_setup_code": "",
         "challenge_test_list": []},
        {"text": "Double it.\nYour code should pass these tests:\n\nassert f(1) == 2", "solution": "def f(x):\n  return 2*x",
         "name": "mbpp-11"},
    ),
    (
        "mbpp", "sanitized", "test", "sanitized",
        {"task_id": 11, "prompt": "Double it.", "code": "c", "test_imports": ["import math"], "test_list": ["assert f(1) == 2"],
         "split": "test"},
        {"text": "Double it.\nYour code should pass these tests:\n\nassert f(1) == 2"},
    ),
    (
        "mbpp_plus", None, "test", "test",
        {"task_id": 2, "prompt": "Double it.", "code": "c", "test_imports": [], "test_list": ["assert f(1) == 2"],
         "test": "assert f(2) == 4"},
        {"text": "Double it.\nYour code should pass these tests:\n\nassert f(1) == 2"},
    ),
    (
        "musr", "team_allocation", "test", "team_allocation",
        {"narrative": "Story.", "question": "Who?", "choices": "['Ann', \"Ben's\", 'Cy']", "answer_index": 1, "answer_choice": "Ben's"},
        {"text": "Story.\n\nWho?", "choices": ("Ann", "Ben's", "Cy"), "answer_index": 1},
    ),
]  # fmt: skip


def put(folder: Path, name: str, stem: str, *rows: dict[str, Any]) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / f"{stem}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("case", PUBLISHED, ids=[f"{c[0]}-{c[1] or ''}-{i}" for i, c in enumerate(PUBLISHED)])
def test_rows_in_published_form(case: Any, tmp_path: Path) -> None:
    name, subset, split, stem, row, expected = case
    put(tmp_path, name, stem, row)
    (q,) = read(SourceConfig(source=name, subset=subset, split=split), data=str(tmp_path)).questions
    assert {field: getattr(q, field) for field in expected} == expected
    assert q.domain == KNOWN[name].domain
    default = {"dapo-math-17k": "all", "mbpp": "full"}.get(name)
    assert q.source == "/".join(filter(None, (name, subset or default, split)))


def test_every_known_set_has_a_published_row_above() -> None:
    assert {case[0] for case in PUBLISHED} == set(KNOWN)


def test_one_changed_column_stops_every_set(tmp_path: Path) -> None:
    """Whichever needed column is renamed, the error names the columns that are there."""
    for number, (name, subset, split, stem, row, _) in enumerate(PUBLISHED):
        folder = tmp_path / str(number)
        put(folder, name, stem, {f"{key}_renamed": value for key, value in row.items()})
        with pytest.raises(QuestionError, match="columns found: ") as caught:
            load(SourceConfig(source=name, subset=subset, split=split), data=str(folder))
        assert "_renamed" in str(caught.value), name


def test_rows_published_without_gold_are_left_out_and_counted(tmp_path: Path) -> None:
    row = {"question": "Q", "solution": "S", "answer": "12", "perturbation_type": "x"}
    put(
        tmp_path,
        "gsm_plus",
        "test",
        row,
        {**row, "question": "R", "answer": None},
        {**row, "question": "T", "answer": "None"},
    )
    loaded = read(SourceConfig(source="gsm_plus", split="test"), data=str(tmp_path))
    assert [q.text for q in loaded.questions] == ["Q"]
    assert "gsm_plus/test: 2 of 3 rows left out: published without an answer" in loaded.notes[1]
    math = {"problem": "P", "level": "Level ?", "type": "Algebra", "solution": r"\boxed{}"}
    put(tmp_path, "math", "train", math, {**math, "problem": "R", "solution": r"\boxed{3}"})
    loaded = read(SourceConfig(source="math", split="train"), data=str(tmp_path))
    assert [(q.answer, q.meta) for q in loaded.questions] == [("3", {"subject": "Algebra"})]
    assert any("1 of 2 rows left out" in note for note in loaded.notes)


def test_one_published_id_for_two_questions_is_numbered_with_a_note(tmp_path: Path) -> None:
    rows = [{"ID": "chal-1", "Body": f"Ann has {i}.", "Question": "How many?", "Answer": i} for i in (3, 4, 3)]
    put(tmp_path, "svamp", "test", *rows)
    loaded = read(SourceConfig(source="svamp", split="test"), data=str(tmp_path))
    assert [q.name for q in loaded.questions] == ["chal-1", "chal-1-2"]
    assert any(
        "1 row has the id of another, different question: chal-1; their names are numbered" in n for n in loaded.notes
    )


def test_tests_of_programs(tmp_path: Path) -> None:
    rows = {case[0]: (case[3], case[4]) for case in PUBLISHED if KNOWN[case[0]].domain == "code"}
    for name, (stem, row) in rows.items():
        put(tmp_path, name, stem, row)

    def tests(name: str, subset: str | None = None) -> Any:
        return load(SourceConfig(source=name, subset=subset, split="test"), data=str(tmp_path))[0].tests

    assert (tests("humaneval").entry_point, tests("humaneval").prompt) == ("f", "def f(x):\n")
    plus = tests("humaneval_plus")
    assert (plus.inputs, plus.reference, plus.atol, plus.test) == (
        ([1], [2], [3]),
        "def f(x):\n    return x\n",
        0.5,
        "",
    )
    assert (tests("mbpp", "sanitized").test_list, tests("mbpp", "sanitized").setup) == (
        ("assert f(1) == 2",),
        "import math",
    )
    assert tests("mbpp_plus").test_list == ("assert f(2) == 4",)


MBPP_PLUS = {
    "task_id": "Mbpp/1", "prompt": '"""\nPairs.\nassert f([(1, 2)], {3}) == 3\n"""\n', "entry_point": "f",
    "canonical_solution": "def f(pairs, s):\n    return sum(a for a, _ in pairs) / 2 + len(s) if type(pairs[0]) is tuple else None",
    "base_input": [[[[1, 2]], [3]]], "plus_input": [[[[5, 6], [7, 8]], []]], "atol": 0, "assertion": "assert f([(1, 2)], {3}) == 1.5",
}  # fmt: skip


def test_mbpp_plus_arguments_get_the_types_of_the_assertions(tmp_path: Path) -> None:
    put(tmp_path, "mbpp_plus", "test", MBPP_PLUS)
    (q,) = load(SourceConfig(source="mbpp_plus", split="test"), data=str(tmp_path))
    assert q.text == "Pairs.\nassert f([(1, 2)], {3}) == 3"
    assert q.tests and not q.tests.inputs

    def judge(program: str) -> bool:
        space: dict[str, Any] = {}
        exec(q.tests.test if q.tests else "", space)
        candidate: dict[str, Any] = {}
        exec(program, candidate)
        try:
            space["check"](candidate["f"])
        except AssertionError:
            return False
        return True

    assert judge(str(q.solution))
    assert judge("def f(pairs, s):\n    return sum(p[0] for p in pairs) / 2 + len(s) + 1e-9")
    assert not judge("def f(pairs, s):\n    return sum(p[0] for p in pairs) / 2 + len(s) + 1e-3")
    assert not judge("def f(pairs, s):\n    return 1.5")
    assert not judge("def f(pairs, s):\n    pairs.clear()\n    return None")


@pytest.mark.parametrize(
    ("assertion", "calls", "typed"),
    [
        ("assert f((1, 2)) == 3", [[[5, 6]]], [[(5, 6)]]),
        ("assert f([1, 2]) == 3", [[[5, 6]]], [[[5, 6]]]),
        ("assert f([[1], [2]], 3) == 3", [[[[5]], 1]], [[[[5]], 1]]),
        ("assert f((1, (2, 3))) == 3", [[[4, [5, [6, 7]]]]], [[(4, (5, (6, 7)))]]),
        ("assert f({'a': (1, 2)}) == 3", [[{"b": [3]}]], [[{"b": (3,)}]]),
        ("assert f(1j) == 3", [["(2+1j)"]], [[2 + 1j]]),
        ("assert f(x) == 3", [[[1]]], [[[1]]]),
        ("this is no Python", [[[1]]], [[[1]]]),
        ("assert f((1,)) == g([2])", [[[1], [2]]], [[(1,), [2]]]),
    ],
)
def test_typed_calls(assertion: str, calls: list[list[Any]], typed: list[list[Any]]) -> None:
    assert typed_calls(assertion, "f", calls) == typed


def test_names_are_found_however_written() -> None:
    for spelled in ("dapo-math-17k", "dapo_math_17k", "DAPO-Math-17k"):
        known = known_set(spelled)
        assert known is not None and known.name == "dapo-math-17k"
    assert known_set("gsm") is None


def test_the_catalogue_is_complete() -> None:
    assert set(KNOWN) == {
        "gsm8k", "math", "math500", "dapo-math-17k", "amc23", "aime24", "aime25", "olympiadbench", "minerva_math", "svamp",
        "svamp_embedded", "asdiv", "mawps", "gsm_hard", "gsm_symbolic", "gsm_plus", "college_math", "humaneval", "humaneval_plus", "mbpp",
        "mbpp_plus", "musr",
    }  # fmt: skip
    for known in catalogue():
        assert known["hub"].count("/") == 1 and known["licence"] and known["gold"] and known["columns"], known["name"]
        assert known["splits"], known["name"]
    for known_ in KNOWN.values():
        assert set(known_.subsets()) <= set(known_.parts), known_.name
        if known_.few_shot:
            name, split = known_.few_shot
            assert split in KNOWN[name].parts[KNOWN[name].subsets()[0]], known_.name


# rows of the files, and of them: kept
FILES = {
    ("gsm8k", None, "train"): (7473, 7473), ("gsm8k", None, "test"): (1319, 1319), ("math", None, "train"): (7500, 7500),
    ("math", None, "test"): (5000, 5000), ("math500", None, "test"): (500, 500), ("amc23", None, "test"): (40, 40),
    ("aime24", None, "test"): (30, 30), ("olympiadbench", None, "test"): (675, 675), ("minerva_math", None, "test"): (272, 272),
    ("asdiv", None, "test"): (2305, 2304), ("mawps", None, "test"): (2065, 1981), ("mawps", "addsub", "test"): (395, 395),
    ("gsm_hard", None, "test"): (1319, 1319), ("college_math", None, "test"): (2818, 2808), ("humaneval", None, "test"): (164, 164),
    ("mbpp", None, "test"): (240, 240), ("mbpp", None, "prompt"): (10, 10), ("mbpp", "sanitized", "validation"): (43, 43),
    ("musr", "murder_mystery", "test"): (250, 250), ("musr", "object_placements", "test"): (256, 256),
}  # fmt: skip


def test_whole_files(shared_data: Path) -> None:
    for (name, subset, split), (rows, kept) in FILES.items():
        loaded = read(SourceConfig(source=name, subset=subset, split=split), data=str(shared_data))
        assert len(loaded.questions) == kept, (name, subset, split)
        said = " ".join(loaded.notes)
        assert (f"{rows - kept} of {rows:,} rows repeat" in said) == (kept < rows), (name, said)
        assert len({q.id for q in loaded.questions}) == kept
        assert all(gold(q) for q in loaded.questions), name
    with pytest.raises(
        QuestionError, match=r"(?s)musr/team_allocation/test.*has no team_allocation.*there: murder_mystery"
    ):
        load(SourceConfig(source="musr", split="test"), data=str(shared_data))


def gold(q: Question) -> bool:
    return {"math": bool(q.answer), "choice": q.answer_index is not None, "code": q.tests is not None}[q.domain]


def test_levels_tolerances_and_solutions_are_taken_along(shared_data: Path) -> None:
    data = str(shared_data)
    levels = [q.meta.get("level") for q in load(SourceConfig(source="math", split="test"), data=data)]
    assert {level for level in levels if level is not None} == {1, 2, 3, 4, 5}
    olympiad = load(SourceConfig(source="olympiadbench", split="test"), data=data)
    assert [q.meta["tolerance"] for q in olympiad if "tolerance" in q.meta] == [0.1]
    train = load(SourceConfig(source="gsm8k", split="train"), data=data)
    assert not [q.name for q in train if not q.solution or "<<" in q.solution or "####" in q.solution]


def test_the_same_row_has_the_same_id_from_a_folder_and_in_published_form(shared_data: Path, tmp_path: Path) -> None:
    from_folder = load(SourceConfig(source="gsm8k", split="test"), data=str(shared_data))
    lines = (shared_data / "gsm8k" / "test.jsonl").read_text().splitlines()
    put(
        tmp_path,
        "gsm8k",
        "test",
        *({"question": r["question"], "answer": r["solution"]} for r in map(json.loads, lines)),
    )
    published = load(SourceConfig(source="gsm8k", split="test"), data=str(tmp_path))
    assert [(q.id, q.solution, q.name) for q in published[:3]] == [
        (q.id, q.solution, f"gsm8k-test-{i:05d}") for i, q in enumerate(from_folder[:3])
    ]
    assert {q.id for q in published} == {q.id for q in from_folder}
