"""Files and Hub sets of one's own, repeats, limits, and every kind of bad input with its message."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from midway.questions import QuestionError, few_shot_examples, load, read, shuffled, worked_solution
from midway.recipe import SourceConfig
from midway.records import Question

Write = Callable[..., Path]
SUMS = [{"question": f"What is {i} + {i}?", "answer": 2 * i} for i in range(10)]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(name: str, rows: list[dict[str, Any]]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(text.encode(), mtime=0))
        elif name.endswith(".json"):
            path.write_text(json.dumps(rows))
        elif name.endswith(".parquet"):
            pl.DataFrame(rows).write_parquet(path)
        elif name.endswith(".csv"):
            pl.DataFrame(rows).write_csv(path)
        else:
            path.write_text(text)
        return path

    return make


def own(path: Path | str, **fields: Any) -> SourceConfig:
    return SourceConfig(source=str(path), **{"domain": "math", **fields})


def message(source: SourceConfig, data: str | None = None) -> str:
    with pytest.raises(QuestionError) as caught:
        load(source, data=data)
    return str(caught.value)


# --- what works ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.parquet", "a.csv"])
def test_every_kind_of_file_gives_the_same_questions(write: Write, name: str) -> None:
    questions = load(own(write(name, SUMS)))
    assert [(q.text, q.answer, q.domain) for q in questions] == [
        (r["question"], str(r["answer"]), "math") for r in SUMS
    ]
    assert questions[3].id == Question(domain="math", text="What is 3 + 3?", answer="6").id
    assert questions[3].name == "a-00003"
    assert questions[3].source == name


def test_columns_are_mapped_also_nested_ones(write: Write) -> None:
    path = write(
        "rl.jsonl",
        [
            {
                "prompt": [{"role": "user", "content": "2+2?"}],
                "reward_model": {"ground_truth": "4", "style": "rule"},
                "difficulty": 3,
                "how": "count <<2+2=4>>4\n#### 4",
                "key": "k1",
            }
        ],
    )
    columns = {
        "question": "prompt.0.content",
        "answer": "reward_model.ground_truth",
        "level": "difficulty",
        "solution": "how",
        "id": "key",
    }
    (q,) = load(own(path, columns=columns))
    assert (q.text, q.answer, q.meta, q.solution, q.name) == (
        "2+2?",
        "4",
        {"level": 3},
        "count 4\nThe answer is $\\boxed{4}$.",
        "k1",
    )


@pytest.mark.parametrize(
    ("gold", "answer"), [("boxed", r"so \boxed{4}"), ("hashes", "so\n#### 4"), ("as-is", " 4 "), ("as-is", 4.0)]
)
def test_forms_of_the_gold(write: Write, gold: str, answer: str | float) -> None:
    (q,) = load(own(write("g.jsonl", [{"question": "2+2?", "answer": answer}]), options={"gold": gold}))
    assert q.answer == "4"


def test_choice_and_code_of_ones_own(write: Write) -> None:
    path = write(
        "c.jsonl",
        [
            {"narrative": "Ann sat.", "question": "Who?", "choices": ["Ann", "Ben"], "answer": "B"},
            {"question": "Which?", "choices": "['x', 'y', 'z']", "answer": "z"},
        ],
    )
    first, second = load(own(path, domain="choice"))
    assert (first.text, first.choices, first.answer_index) == ("Ann sat.\n\nWho?", ("Ann", "Ben"), 1)
    assert (second.choices, second.answer_index) == (("x", "y", "z"), 2)
    path = write(
        "p.jsonl",
        [
            {"question": "double", "test_list": ["assert f(2) == 4"]},
            {"question": "echo", "io": [["1\n", "1\n"], {"input": "2", "output": "2"}]},
            {"question": "twice", "entry_point": "f", "inputs": [[1], [2]], "reference": "def f(x): return 2 * x"},
            {"question": "half", "entry_point": "f", "test": "def check(candidate): assert candidate(4) == 2"},
        ],
    )
    tests = [q.tests for q in load(own(path, domain="code"))]
    assert tests[0] and tests[0].test_list == ("assert f(2) == 4",)
    assert tests[1] and tests[1].io == (("1\n", "1\n"), ("2", "2"))
    assert tests[2] and (tests[2].inputs, tests[2].reference) == (([1], [2]), "def f(x): return 2 * x")
    assert tests[3] and tests[3].entry_point == "f"


def test_limit_draws_by_seed_and_content(write: Write) -> None:
    path = write("a.jsonl", SUMS)
    some = load(own(path, limit=4, seed=1))
    assert len(some) == 4
    assert [q.text for q in some] == [r["question"] for r in SUMS if r["question"] in {q.text for q in some}], (
        "file order"
    )
    assert some == load(own(write("b/a.jsonl", SUMS), limit=4, seed=1))
    assert {q.id for q in load(own(write("turned.jsonl", SUMS[::-1]), limit=4, seed=1))} == {q.id for q in some}
    assert {q.id for q in load(own(path, limit=4, seed=2))} != {q.id for q in some}
    assert {q.id for q in some} < {q.id for q in load(own(path, limit=6, seed=1))}, (
        "a larger sample has the smaller one in it"
    )


def test_limit_beyond_what_is_there_is_noted(write: Write) -> None:
    loaded = read(own(write("a.jsonl", SUMS), limit=50))
    assert len(loaded.questions) == 10
    assert loaded.notes == [f"{own(write('a.jsonl', SUMS)).source}: 50 questions are asked for, there are 10"]


def test_a_set_in_the_form_of_the_hub_is_read_through_datasets(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets")
    write("acme/sums/train.jsonl", SUMS)
    monkeypatch.chdir(tmp_path)
    questions = load(SourceConfig(source="acme/sums", split="train", domain="math"))
    assert [q.answer for q in questions] == [str(r["answer"]) for r in SUMS]
    assert questions[0].source == "acme/sums/train"
    text = message(SourceConfig(source="acme/sums", split="dev", domain="math"))
    assert "acme/sums split dev: cannot be loaded from the Hub" in text
    assert "train" in text.partition("cannot be loaded")[2], "names the splits that are there"
    text = message(SourceConfig(source="acme/sums", split="train", domain="math", columns={"answer": "anwser"}))
    assert "there is no column 'anwser'; did you mean answer?" in text
    assert "columns found: answer, question" in text


def test_no_network_is_said_with_the_way_out() -> None:
    pytest.importorskip("datasets")
    text = message(SourceConfig(source="aime25", split="test"))
    assert text.startswith("aime25/test: math-ai/aime25 split test: cannot be loaded from the Hub")
    assert "--data DIR" in text


def test_shuffled_options() -> None:
    q = Question(domain="choice", text="Who?", choices=("Ann", "Ben", "Cy", "Di"), answer_index=2, meta={"story": 5})
    mixed = shuffled(q, seed=3)
    assert mixed == shuffled(q, seed=3)
    assert sorted(mixed.choices) == sorted(q.choices)
    assert mixed.answer_index is not None and mixed.choices[mixed.answer_index] == "Cy"
    assert [q.choices[i] for i in mixed.meta["order"]] == list(mixed.choices)
    assert (mixed.meta["story"], mixed.meta["unshuffled"]) == (5, q.id)
    assert mixed.id == Question(domain="choice", text="Who?", choices=mixed.choices, answer_index=mixed.answer_index).id
    plain = Question(domain="math", text="1+1?", answer="2")
    assert shuffled(plain, seed=3) is plain


def test_shuffling_puts_the_answer_everywhere_alike() -> None:
    """1,000 questions of four options: each place is expected 250 times, standard deviation 13.7; 5 of them are 68."""
    at = [0, 0, 0, 0]
    for i in range(1000):
        index = shuffled(
            Question(domain="choice", text=f"q{i}", choices=("a", "b", "c", "d"), answer_index=0)
        ).answer_index
        assert index is not None
        at[index] += 1
    assert all(abs(n - 250) < 68 for n in at), at


def test_worked_solution_ends_in_the_answer() -> None:
    q = Question(domain="math", text="2+2?", answer="4", solution="Count on from 2.")
    assert worked_solution(q) == "Count on from 2.\nThe answer is $\\boxed{4}$."
    boxed = Question(domain="math", text="2+2?", answer="4", solution=r"It is \boxed{4}.")
    assert worked_solution(boxed) == r"It is \boxed{4}."
    with pytest.raises(QuestionError, match="no reference solution"):
        worked_solution(Question(domain="math", text="2+2?", answer="4", name="q7"))


def test_few_shot_examples(write: Write, tmp_path: Path) -> None:
    rows = [{"question": f"{i}+1?", "answer": f"add\n#### {i + 1}"} for i in range(6)]
    write("gsm8k/train.jsonl", rows)
    examples = few_shot_examples("gsm_hard", 3, data=str(tmp_path))
    assert [(q.text, q.solution, q.answer) for q in examples] == [
        (f"{i}+1?", f"add\nThe answer is $\\boxed{{{i + 1}}}$.", str(i + 1)) for i in range(3)
    ]
    with pytest.raises(QuestionError, match="8 examples are asked for, gsm8k/train has 6 rows"):
        few_shot_examples("gsm8k", 8, data=str(tmp_path))
    for name in ("amc23", "mine.jsonl"):
        with pytest.raises(QuestionError, match=r"(?s)no published split with worked solutions.*few_shot: 0"):
            few_shot_examples(name)


def test_an_id_of_zero_is_an_id(write: Write) -> None:
    assert [q.name for q in load(own(write("a.jsonl", [{"id": i, **row} for i, row in enumerate(SUMS[:2])])))] == [
        "0",
        "1",
    ]


def test_the_lab_is_asked_for_by_name() -> None:
    pytest.importorskip("midway.lab.world")
    questions = load(SourceConfig(source="lab", split="test", limit=7, seed=3))
    assert len(questions) == 7 and all(isinstance(q, Question) for q in questions)
    assert "lab: `columns`" in message(SourceConfig(source="lab", columns={"question": "q"}))
    assert message(SourceConfig(source="lab", split="tset")).startswith("lab: ")


def test_importing_the_room_is_light() -> None:
    code = "import midway.questions, sys; print([m for m in ('torch', 'datasets', 'transformers', 'midway.lab') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


# --- what does not -------------------------------------------------------------------------------------------------------------


def test_missing_file(tmp_path: Path, write: Write) -> None:
    write("other.jsonl", SUMS)
    assert message(own(tmp_path / "mine.jsonl")) == f"{tmp_path / 'mine.jsonl'}: no such file (there: other.jsonl)"
    assert "nor such a folder" in message(own(tmp_path / "no" / "mine.jsonl"))
    assert message(SourceConfig(source="gsm8k"), data=str(tmp_path / "no")).startswith(
        f"{tmp_path / 'no'}: no such folder"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"question": "a", "answer": 1}\n\n{"question": "b", "answer": }\n', ":3: not valid JSON"),
        (b'{"question": "a", "answer": 1}\n["b", 2]\n', ":2: a row is an object ({...}), this is a list"),
        (b'{"question": "a", "answer": 1}\n{"question": "b", "ans', ":2: not valid JSON"),
        (b'{"question": "a", "answer": 1}\n{"question": "\xff"}\n', ":2: not UTF-8 (byte 0xff)"),
        (b"", ": no rows in it"),
        (b"\n \n", ": no rows in it"),
    ],
)
def test_malformed_lines_are_named_by_number(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    assert message(own(path)).startswith(f"{path}{said}")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.jsonl.gz", b"not gzip", "cannot be read"),
        ("x.jsonl.gz", gzip.compress(b'{"question": "a", "answer": 1}\n' * 99, mtime=0)[:-12], "cannot be read"),
        ("x.parquet", b"PAR1 not really", "not a Parquet file"),
        ("x.json", b'[{"question": "a",\n "answer": }]', ":2: not valid JSON"),
        ("x.json", b'{"question": "a"}', "a list of objects is needed"),
        ("x.csv", b"question,answer\n1+1?,2,3\n", ":2: more fields than the 2 columns"),
        ("x.csv", b"question,answer\n", "no rows in it"),
        ("x.csv", b'question,answer\n1+1?,"2\n', "not valid CSV"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    text = message(own(path))
    assert text.startswith(str(path)) and said in text


def test_questions_without_an_answer_are_counted_and_placed(write: Write) -> None:
    rows = [
        *SUMS[:3],
        {"question": "x?"},
        {"question": "y?", "answer": None},
        {"question": "z?", "answer": float("nan")},
        {"answer": 5},
    ]
    path = write("a.jsonl", [*rows, {"question": "  ", "answer": 1}])
    text = message(own(path))
    assert text.startswith("a.jsonl: 5 of 8 rows cannot be used")
    assert f"{path}:4: no answer: there is no column `answer`" in text
    assert f"{path}:5: no answer: column `answer` is empty" in text
    assert "and 2 more" in text and "skip_bad" in text
    loaded = read(own(path, options={"skip_bad": True}))
    assert [q.text for q in loaded.questions] == [r["question"] for r in SUMS[:3]]
    assert "5 of 8 rows cannot be used" in loaded.notes[0] and "left out" in loaded.notes[0]


def test_no_row_left_is_an_error_even_when_bad_rows_are_skipped(write: Write) -> None:
    path = write("a.jsonl", [{"question": "x?", "answer": ""}, {"question": "y?", "answer": "  "}])
    assert "none of 2 rows is left" in message(own(path, options={"skip_bad": True}))


def test_unknown_columns_are_named_with_those_found(write: Write) -> None:
    path = write("a.jsonl", [{"problem": "1+1?", "solution": "2"}])
    text = message(own(path))
    assert "there is no column `question`" in text and "columns found: problem, solution" in text
    assert "columns: {question: YOUR_COLUMN}" in text
    text = message(own(path, columns={"question": "problm", "answer": "solution"}))
    assert "columns.question: there is no column 'problm'; did you mean problem?" in text
    text = message(own(path, columns={"quesion": "problem"}))
    assert "columns.quesion is nothing that a math question has; did you mean question?" in text
    assert "unknown option 'glod'" in message(own(path, options={"glod": "boxed"}))
    assert "options.gold is 'boxd'; did you mean boxed?" in message(own(path, options={"gold": "boxd"}))


def test_the_changed_set_names_columns_and_a_way_round(write: Write, tmp_path: Path) -> None:
    write("svamp/test.jsonl", [{"context": "Ann has 3.", "query": "How many?", "target": 3}])
    text = message(SourceConfig(source="svamp", split="test"), data=str(tmp_path))
    assert "svamp/test: no question: there is no column `Body`" in text
    assert "columns found: context, query, target" in text
    assert "source: ChilleD/SVAMP" in text and "columns" in text


def test_repeats_are_dropped_with_a_note(write: Write) -> None:
    loaded = read(own(write("a.jsonl", [*SUMS, SUMS[4], SUMS[4], SUMS[7]])))
    assert len(loaded.questions) == 10
    assert "3 of 13 rows repeat another one" in loaded.notes[0]
    loaded = read(own(write("b.jsonl", [*SUMS, {"question": SUMS[0]["question"], "answer": 99}])))
    assert len(loaded.questions) == 11
    assert "2 questions have the text of another one but another gold" in loaded.notes[0]


def test_one_id_for_two_questions_is_refused(write: Write) -> None:
    rows = [{"id": "a", "question": "1+1?", "answer": 2}, {"id": "a", "question": "1+2?", "answer": 3}]
    text = message(own(write("a.jsonl", rows)))
    assert "1 row has the id of another, different question: a" in text and "an id of its own" in text
    same = read(own(write("b.jsonl", [rows[0], rows[0]])))
    assert len(same.questions) == 1 and "1 of 2 rows repeat" in same.notes[0]


def test_unknown_source_split_subset_domain(write: Write, tmp_path: Path) -> None:
    text = message(SourceConfig(source="gms8k"))
    assert text.startswith("unknown source 'gms8k'; did you mean gsm8k?") and "midway list sources" in text
    assert message(SourceConfig(source="gsm8k", split="dev")) == "gsm8k: there is no split 'dev'; it has train, test"
    text = message(SourceConfig(source="musr", subset="murder", split="test"))
    assert text.startswith("musr: there is no subset 'murder'") and "murder_mystery" in text
    assert "it has none" in message(SourceConfig(source="gsm8k", subset="main"))
    text = message(SourceConfig(source=str(write("a.jsonl", SUMS))))
    assert text.endswith("domain: math, code, choice, text, python or gym")
    assert "math, not code" in message(SourceConfig(source="gsm8k", domain="code"))
    assert "its columns are known" in message(SourceConfig(source="gsm8k", columns={"question": "q"}))
    assert "unknown option 'levels'" in message(SourceConfig(source="gsm8k", options={"levels": [1]}))
    assert "are for sets on the Hub" in message(own(write("a.jsonl", SUMS), revision="main"))


@pytest.mark.parametrize(
    ("domain", "row", "said"),
    [
        ("choice", {"question": "q", "choices": ["a", "b"]}, "no answer: there is no column `answer_index`"),
        ("choice", {"question": "q", "choices": ["a", "b"], "answer_index": 2}, "outside of 0 to 1"),
        ("choice", {"question": "q", "choices": "a, b", "answer_index": 0}, "not a list"),
        ("choice", {"question": "q", "answer_index": 0}, "no choices"),
        ("code", {"question": "q"}, "exactly one of test, test_list, io, tests, inputs is needed, there is none"),
        ("code", {"question": "q", "test": "x", "io": [["a", "b"]]}, "there are test, io"),
        ("code", {"question": "q", "test": "def check(candidate): pass"}, "needs `entry_point`"),
        ("code", {"question": "q", "inputs": [[1]], "entry_point": "f"}, "needs `reference`"),
        ("code", {"question": "q", "io": [["a"]]}, "pairs"),
        ("math", {"question": "q", "answer": ["1"]}, "holds list"),
        ("math", {"question": ["q"], "answer": "1"}, "holds list, not text"),
        ("math", {"question": "q", "answer": "1", "tolerance": "wide"}, "tolerance 'wide' is no number"),
        ("math", {"question": "q", "answer": "1", "meta": [1]}, "not an object"),
    ],
)
def test_rows_that_are_no_question(write: Write, domain: str, row: dict[str, Any], said: str) -> None:
    good = {
        "math": {"question": "1+1?", "answer": 2},
        "choice": {"question": "g", "choices": ["a", "b"], "answer_index": 1},
        "code": {"question": "g", "test_list": ["assert f() == 1"]},
    }[domain]
    path = write("a.jsonl", [good, row])
    text = message(own(path, domain=domain))
    assert "1 of 2 rows cannot be used" in text and f"{path}:2: " in text and said in text
