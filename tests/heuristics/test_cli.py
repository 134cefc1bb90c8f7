"""`midway heuristics`, as real processes with real tokenizer files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import typer
from typer.testing import CliRunner, Result

from midway.cli import heuristics as verb
from midway.heuristics import build_prompt, format_page, get, load_catalogue, to_markdown
from midway.records import Question

# the verb is registered here if the package's list of verbs does not have it
RUN = (
    "from midway.cli import app, heuristics\n"
    "if 'heuristics' not in [g.name for g in app.registered_groups]: heuristics.register(app)\n"
    "app()"
)
ASKED = "What is 6 times 7?"


def heuristics(*args: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, "heuristics", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_list() -> None:
    catalogue = load_catalogue()
    lines = heuristics("list").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(catalogue)
    rows = json.loads(heuristics("list", "--json").stdout)
    assert [row["slug"] for row in rows] == list(catalogue)
    assert rows[0]["cues"] == catalogue["analogy"].cues and rows[0]["exemplars"]["math"] == 3
    assert heuristics("list", "--markdown").stdout == to_markdown(catalogue) + format_page()


def test_show_prints_everything() -> None:
    h, text = get("analogy"), heuristics("show", "analogy").stdout
    for part in (h.title, h.description, h.fits, h.fits_not, *h.cues.values()):
        assert part in text
    assert all(e.solution in text and e.question in text for es in h.exemplars.values() for e in es)


def test_preview_is_exactly_what_the_chat_model_sees(chat_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(chat_model)
    done = heuristics("preview", "symmetry", "--question", ASKED, "--model", chat_model, "--exemplars", "2")
    prompt = build_prompt(Question("math", ASKED), get("symmetry"), chat=True, exemplars=2)
    messages = [dict(m) for m in prompt.messages]
    seen = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert done.stdout == seen + "\n"
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert f"[{len(ids)} tokens; prompt version " in done.stderr


def test_preview_for_a_base_model(base_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_model)
    done = heuristics("preview", "symmetry", "--question", ASKED, "--model", base_model, "--no-phases")
    prompt = build_prompt(Question("math", ASKED), get("symmetry"), chat=False, phases=False)
    assert done.stdout == prompt.text + "\n"
    assert f"[{len(tokenizer(prompt.text)['input_ids'])} tokens;" in done.stderr


def in_process(*args: str | Path) -> Result:
    """The same command in this process, where transformers is imported already."""
    app = typer.Typer()
    verb.register(app)
    return CliRunner().invoke(app, ["heuristics", *map(str, args)])


def test_preview_where_the_template_refuses_a_system_message(no_system_model: Path) -> None:
    done = in_process("preview", "symmetry", "--question", ASKED, "--model", no_system_model)
    assert done.exit_code == 0
    assert done.stdout.startswith("<|im_start|>user\nSolve the question with this approach: Symmetry.")
    assert "<|im_start|>system" not in done.stdout


def test_preview_of_questions_in_files(tmp_path: Path) -> None:
    story = tmp_path / "story.jsonl"
    row = {
        "domain": "choice",
        "narrative": "Bo ran.",
        "question": "Who ran?",
        "choices": ["Al", "Bo"],
        "answer_index": 1,
    }
    story.write_text(json.dumps(row) + "\n", encoding="utf-8")
    text = heuristics("preview", "unguided", "--question", story, "--base").stdout
    assert "### Question\nBo ran.\n\nWho ran?\n(A) Al\n(B) Bo\n" in text
    task = tmp_path / "task.json"
    task.write_text(
        json.dumps({"prompt": "def f():\n    '''One.'''\n", "entry_point": "f", "test": "..."}), encoding="utf-8"
    )
    text = heuristics("preview", "analogy", "--question", task, "--domain", "code").stdout
    assert text.endswith(
        "[user]\nComplete this program; repeat what is given.\n```python\ndef f():\n    '''One.'''\n```\n"
    )
    words = tmp_path / "question.txt"
    words.write_text(f"{ASKED}\n", encoding="utf-8")
    assert heuristics("preview", "unguided", "--question", words, "--style", "plain", "--base").stdout == f"{ASKED}\n"


def test_errors_say_what_to_type_next(tmp_path: Path, base_model: Path) -> None:
    assert "did you mean symmetry" in heuristics("show", "symetry", code=2).stderr
    (tmp_path / "bad.toml").write_text("slug = ", encoding="utf-8")
    for args, told in (
        (["list", "--folder", tmp_path], "not valid TOML"),
        (["preview", "unguided", "--question", "?", "--exemplars", "7"], "set it to a number from 0 to 3"),
        (["preview", "symmetry", "--question", "?", "--domain", "art"], "must be one of math, code, choice"),
        (["preview", "symmetry", "--question", "?", "--model", tmp_path], "no tokenizer for"),
        (["preview", "symmetry", "--question", "?", "--model", base_model, "--chat"], "no chat template"),
    ):
        done = in_process(*args)
        assert done.exit_code == 2
        assert told in done.stderr


def test_no_torch_is_loaded_for_list_and_preview_without_a_model() -> None:
    code = RUN.replace(
        "app()", "app(standalone_mode=False)\nimport sys\nprint('torch' in sys.modules, file=sys.stderr)"
    )
    for args in (["list"], ["preview", "analogy", "--question", "?"]):
        done = subprocess.run(
            [sys.executable, "-c", code, "heuristics", *args], capture_output=True, text=True, check=True
        )
        assert done.stderr.endswith("False\n")


def test_a_heuristic_of_ones_own_from_nothing_to_a_prompt(tmp_path: Path) -> None:
    made = heuristics("new", "count-twice", "--folder", tmp_path)
    path = tmp_path / "count-twice.toml"
    assert str(path) in made.stdout
    assert "is there already" in heuristics("new", "count-twice", "--folder", tmp_path, code=2).stderr
    assert "no name for a heuristic" in heuristics("new", "Count Twice", "--folder", tmp_path, code=2).stderr
    told = heuristics("check", path, code=1)
    assert told.stdout.splitlines() == [
        'description is missing: what the approach is, in two or three sentences; write  description = "..."'
    ]
    text = path.read_text().replace('description = ""', 'description = "Count in two ways and compare."')
    path.write_text(text)
    said = heuristics("check", path).stdout
    assert "in order; worked examples: none" in said and "no [cues]: its prompts ask for no phases" in said
    shown = heuristics("preview", "count-twice", "--folder", tmp_path, "--question", ASKED).stdout
    assert "Count in two ways and compare." in shown and "four short parts" not in shown
    # with the commented parts filled in
    lines = text.splitlines()
    first = lines.index("# [[math]]")
    whole = [*lines[:first], *(line.removeprefix("#").removeprefix(" ") for line in lines[first:])]
    path.write_text("\n".join(whole))
    said = heuristics("check", path).stdout
    assert "worked examples: 1 of math" in said and "no worked examples of code, choice" in said
    shown = heuristics("preview", "count-twice", "--folder", tmp_path, "--question", ASKED, "--exemplars", "3").stdout
    assert shown.count("[assistant]") == 1, "it shows those that there are"
    path.write_text("\n".join(whole).replace('answer = "48"', 'answer = "49"'))
    said = heuristics("check", path, code=1).stdout
    assert "math[1]: its solution does not verify against its answer (wrong: wrong-answer:boxed)" in said
    path.write_text(text + '[cues]\nunderstand = "Look."\nplan = ""\n')
    assert heuristics("check", path, code=1).stdout.count("is missing") == 3
