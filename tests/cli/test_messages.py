"""What a person reads when something is wrong: one voice, no traceback, what to type next."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Typed = Callable[..., Any]
ROW = {
    "id": "a",
    "question": "Ann has 3 apples and buys 5 more apples at the market. How many has she now?",
    "answer": "8",
}
OTHER = {
    "id": "b",
    "question": "A train leaves at noon and takes four hours to the sea. When does it arrive?",
    "answer": "4",
}


def rows(path: Path, *items: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def recipe(folder: Path, **sections: Any) -> Path:
    rows(folder / "train.jsonl", ROW)
    rows(folder / "test.jsonl", OTHER)
    tree = {
        "model": {"path": "lab"},
        "questions": {"train": [{"source": "train.jsonl", "domain": "math"}]},
        "arms": {"plain": []},
        "rl": {"max_steps": 1},
        "benchmarks": [{"source": "test.jsonl", "domain": "math", "samples": 1}],
        **sections,
    }
    path = folder / "r.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch"], ["no such command 'nosuch'", "midway --help"]),
        (["run"], ["missing argument", "midway run --help"]),
        (["run", "demo", "--outt", "x"], ["--outt", "--out", "midway run --help"]),
        (["run", "nothing"], ["nothing: no such file"]),
        (["run", "demo", "engine.kind=vlm"], ["there is no engine 'vlm'", "did you mean vllm?"]),
        (["run", "demo", "arms=null"], ["there is no arm 'polya'; there is none"]),
        (["status", "nothing"], ["nothing is not a run directory", "midway run RECIPE"]),
        (["report", "nothing"], ["nothing is not a run directory"]),
        (["report", "nothing.json"], ["nothing.json"]),
        (["compare", "a", "b"], ["a is not a run directory"]),
        (["export", "nothing"], ["nothing is not a run directory"]),
        (["verify", "nothing.jsonl"], ["nothing.jsonl"]),
        (["heuristics", "show", "nothing"], ["no heuristic 'nothing'"]),
        (["lab", "world", "--split", "x"], ["unknown split 'x'"]),
        (["lab", "label", "nothing.jsonl"], ["no file nothing.jsonl"]),
        (["serve", "demo"], ["needs no server"]),
        (["data", "demo", "--to", "csv"], ["--to csv", "sharegpt"]),
        (["list", "nothing"], ["nothing called 'nothing' to list"]),
        (["theory", "P99"], ["P99"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_one_voice(words: list[str], said: list[str], typed: Typed) -> None:
    done = typed(*words)
    assert done.code == 2, done
    assert done.err.startswith("midway: "), done.err
    assert "Traceback" not in done.err and "╭" not in done.err
    for part in said:
        assert part in done.err


def test_a_file_that_is_not_there_is_said_to_be_missing_before_its_domain_is_asked_for(
    typed: Typed, tmp_path: Path
) -> None:
    path = recipe(tmp_path, questions={"train": [{"source": "nothere.jsonl"}]})
    done = typed("run", path)
    assert done.code == 2 and "nothere.jsonl: no such file (there: test.jsonl, train.jsonl)" in done.err
    assert "domain" not in done.err


@pytest.mark.parametrize("verb", ["run", "data"])
def test_a_file_in_the_way_of_a_folder(verb: str, typed: Typed, tmp_path: Path) -> None:
    """Said before anything is generated, and the file stays."""
    path = recipe(tmp_path, pools={"guided": {"heuristics": ["analogy"], "samples": 1}})
    (tmp_path / "taken").write_text("mine")
    done = typed(verb, path, "--out", "taken")
    assert done.code == 2, done
    assert "taken is a file, and a folder is needed there" in done.err and "--out" in done.err
    assert (tmp_path / "taken").read_text() == "mine" and not list(tmp_path.glob("runs/*/pools/*"))


def test_a_full_disk_is_no_traceback(typed: Typed, tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    answers = rows(tmp_path / "answers.jsonl", *[{**ROW, "domain": "math", "completion": "It is 8."}] * 400)
    done = typed("verify", answers, "--out", full, "--workers", "1")
    assert done.code == 2 and done.err.startswith("midway: no space left on the disk") and "Traceback" not in done.err
    run = tmp_path / "run"
    run.mkdir()
    (run / "log.jsonl").symlink_to(full)
    done = typed("run", recipe(tmp_path), "--out", run)
    assert done.code == 2 and "no space left on the disk" in done.err and "type the same command again" in done.err


def test_check_finds_leaks_and_knows_one_from_many(typed: Typed, tmp_path: Path) -> None:
    path = recipe(tmp_path, rl={"algorithm": "dr-grpo", "max_steps": 1})
    told = typed("check", path, "--no-model", "--no-gold").out
    assert "leaks: no question of training or RL stands in a benchmark" in told
    assert "RL (Dr. GRPO) for 1 step, 8 completions a step" in told and "seed 0" in told
    assert "2 models x 1 sample = 2 completions" in told
    assert "warning: power: on test, one question shows no difference" in told
    rows(tmp_path / "test.jsonl", {**ROW, "question": ROW["question"].upper()}, OTHER)
    told = typed("check", path, "--no-model", "--no-gold").out
    assert "warning: leaks: 1 of 1 question of train stands in test (1 in the same words): a" in told
    assert "RL still sees them" in told


def test_check_warns_of_no_arm_and_no_benchmark(typed: Typed, tmp_path: Path) -> None:
    path = recipe(tmp_path, arms={}, benchmarks=[], pools={"guided": {"heuristics": ["analogy"], "samples": 1}})
    told = typed("check", path, "--no-model", "--no-gold").out
    assert "warning: arms: there is none" in told and "midway data RECIPE" in told
    assert "warning: evaluation: there is no benchmark" in told and "0 samples" not in told


def test_check_warns_of_a_floor_that_a_run_has_measured(typed: Typed, tmp_path: Path) -> None:
    import polars as pl

    from midway.questions import load
    from midway.recipe import SourceConfig
    from midway.rundir import EVALUATIONS, layout, write_table
    from midway.rundir.layout import Layout

    path = recipe(tmp_path, name="floor")
    asked = load(SourceConfig(source=str(tmp_path / "test.jsonl"), domain="math"))[0].id
    where = Layout(Path("runs/floor")).evaluated(layout.base_evaluation("test"))
    for right, warned in ((1, True), (10, False)):
        judged = ["correct"] * right + ["wrong"] * (100 - right) + ["unjudged"] * 7
        frame = pl.DataFrame({"question_id": [asked] * 107, "judgement": judged})
        missing = [pl.lit(None, kind).alias(name) for name, kind in EVALUATIONS.items() if name not in frame.columns]
        write_table(where, frame.with_columns(missing).select(*EVALUATIONS))
        told = typed("check", path, "--no-model", "--no-gold").out
        assert f"floor: the base model is right in {right}.0 % of 100 samples on test" in told
        assert ("warning: floor" in told) is warned


def test_a_hub_that_is_away_costs_seconds() -> None:
    """The libraries' retries are cut: they look into their cache alone from then on."""
    code = (
        "import socket, os\n"
        "for name in ('HF_HUB_OFFLINE', 'HF_DATASETS_OFFLINE'): os.environ.pop(name, None)\n"
        "silent = socket.create_server(('127.0.0.1', 0))\n"
        "os.environ['HF_ENDPOINT'] = f'http://127.0.0.1:{silent.getsockname()[1]}'\n"
        "import huggingface_hub.constants as constants\n"
        "from midway.questions import hub\n"
        "hub.PATIENCE = 0.2\n"
        "from midway.workbench import find_model\n"
        "assert not constants.HF_HUB_OFFLINE\n"
        "print(find_model('org/none'), constants.HF_HUB_OFFLINE, os.environ['HF_HUB_OFFLINE'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["org/none", "True", "1"], done.stderr
    assert "does not answer: only what was downloaded before is used" in done.stderr


@pytest.mark.slow
def test_a_model_that_cannot_be_read_is_a_finding_and_the_rest_is_looked_at(typed: Typed, tmp_path: Path) -> None:
    done = typed("check", recipe(tmp_path), "model.path=org/none")
    assert done.code == 1 and "Traceback" not in done.err
    assert "model org/none: cannot be read" in done.out and "midway: before the run: model org/none" in done.err
    assert "memory: not looked at, since the model cannot be read" in done.out
    assert "1 of 1 gold answers verify" in done.out


def test_sentences_are_wrapped_between_words_on_a_terminal_alone() -> None:
    text = "“8 ways + RL” beat “8 unguided solutions + RL” on lab-test, in one training run of each of the two arms."
    code = f"from midway.cli.saying import wrapped; print(wrapped({text!r}, '  '))"
    piped = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert piped == f"  {text}\n"
    here, there = pty.openpty()
    env = {**os.environ, "COLUMNS": "44"}
    subprocess.run([sys.executable, "-c", code], stdout=there, env=env, check=True)
    os.close(there)
    seen = b""
    while chunk := _read(here):
        seen += chunk
    os.close(here)
    lines = seen.decode().split("\r\n")[:-1]
    assert len(lines) > 2 and all(len(line) <= 44 and line.startswith("  ") for line in lines)
    assert " ".join(line.strip() for line in lines) == text


def _read(end: int) -> bytes:
    try:
        return os.read(end, 4096)
    except OSError:  # the other end is closed
        return b""


def test_what_to_install_is_from_where_midway_came() -> None:
    from midway.registry.installing import _asked

    here = Path(__file__).parent
    assert _asked({}, "train") == "'midway[train]'", "from an index"
    assert _asked({"url": here.as_uri(), "dir_info": {"editable": True}}, "gym") == f"-e '{here}[gym]'"
    assert _asked({"url": Path(__file__).as_uri(), "archive_info": {}}, "gym") == f"'{__file__}[gym]'", "a wheel"
    assert _asked({"url": "file:///no/longer/there", "dir_info": {}}, "gym") == "'midway[gym]'"


def test_no_message_says_one_things() -> None:
    from midway.wording import plural

    assert [plural(n, "row") for n in (0, 1, 2, 1200)] == ["0 rows", "1 row", "2 rows", "1,200 rows"]
    assert plural(1, "thing is", "things are") == "1 thing is"


@pytest.mark.slow
def test_the_report_says_how_it_was_run_and_both_ways_make_the_same_recipe(typed: Typed, tmp_path: Path) -> None:
    """The command as typed, overrides included, and the recipe as it ran."""
    short = {"source": "test.jsonl", "domain": "math", "samples": 1, "sampling": {"max_tokens": 16}}
    path = recipe(tmp_path, arms={"untrained": {"rl": False}}, name="once", prompt={"style": "cue"}, benchmarks=[short])
    assert typed("run", path, "benchmarks.0.samples=2", "title=it's a test").code == 0
    commands = json.loads((tmp_path / "runs/once/report/results.json").read_text())["commands"]
    page = (tmp_path / "runs/once/report/report.md").read_text()
    assert commands[0] == f"midway run {path} benchmarks.0.samples=2 'title=it'\"'\"'s a test'"
    assert commands[1] == "midway run runs/once/resolved.json --out runs/once-again"
    assert all(command in page.partition("## Run it again")[2] for command in commands)
    program, *words = shlex.split(commands[1])
    assert program == "midway" and typed(*words).code == 0
    first, again = (
        json.loads((tmp_path / "runs" / name / "resolved.json").read_text()) for name in ("once", "once-again")
    )
    assert again["recipe"] == first["recipe"] and again["recipe"]["benchmarks"][0]["samples"] == 2
    assert again["digest"] == first["digest"]
