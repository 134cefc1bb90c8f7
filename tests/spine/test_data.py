"""`midway data`: only the data, from a server or a file, without torch, a tokenizer or an arm."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest
import yaml

from midway.rundir import RunDir

NO_TORCH = (
    "import sys; from midway.cli import main\n"
    "try: main()\n"
    "except SystemExit as end: code = end.code\n"
    "else: code = 0\n"
    "heavy = {'torch', 'transformers', 'trl', 'datasets'} & set(sys.modules)\n"
    "assert not heavy, heavy\n"
    "sys.exit(code)"
)


class _Adder(BaseHTTPRequestHandler):
    """A stand-in for a chat server: it adds the two numbers of the last message, and says how."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self._send({"object": "list", "data": [{"id": "adder-7b"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = body["messages"][-1]["content"]
        a, b = map(int, re.findall(r"(\d+) \+ (\d+)", asked)[-1])
        way = "backward" if "backward" in str(body["messages"]) else "straight"
        text = f"Going {way} from {a} by {b} for seed {body['seed'] % 97}: {a} + {b} = {a + b}. \\boxed{{{a + b}}}"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        self._send({"id": "x", "object": "chat.completion", "model": "adder-7b", "choices": [choice], "usage": usage})


@pytest.fixture
def server() -> Iterator[str]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Adder)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}/v1"
    httpd.shutdown()
    thread.join()


def data(folder: Path, recipe: dict, *args: str) -> subprocess.CompletedProcess[str]:
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", NO_TORCH, "data", "recipe.yaml", *args]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def questions(folder: Path) -> None:
    rows = [{"question": f"What is {n} + {n + 3}?", "answer": str(2 * n + 3)} for n in range(50)]
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_fifty_questions_of_ones_own_from_a_server(server: str, tmp_path: Path) -> None:
    questions(tmp_path)
    recipe = {
        "questions": {"train": [{"source": "mine.jsonl", "domain": "math"}]},
        "engine": {"kind": "openai", "base_urls": [server], "model": "adder-7b"},
        "pools": {"guided": {"heuristics": ["working-backward", "analogy"], "samples": 1}},
        "selection": {"near_copy": 1.0},
        "verify": {"workers": 1},
    }
    done = data(tmp_path, recipe, "--to", "messages", "--out", "set")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "set/data/train.jsonl").read_text().splitlines()]
    assert len({row["question_id"] for row in rows}) == 50 and len(rows) == 100
    assert [m["role"] for m in rows[0]["messages"]] == ["user", "assistant"] and "\\boxed" in rows[0]["messages"][1][
        "content"
    ]
    assert {row["heuristic"] for row in rows} == {"working-backward", "analogy"}
    card = (tmp_path / "set/README.md").read_text()
    assert "written by `adder-7b`" in card and "The exact weights are not known here." in card
    kinds = {m["stage"] for m in RunDir(tmp_path / "runs/recipe").stages().values()}
    assert kinds == {"generate", "verify", "select"}, "nothing is trained"
    again = data(tmp_path, recipe, "--to", "trl", "--out", "trl")
    assert again.returncode == 0, again.stderr
    assert pl.read_parquet(tmp_path / "trl/data/train.parquet").height == 100


def test_from_a_file_of_completions_no_model_is_needed(tmp_path: Path) -> None:
    questions(tmp_path)
    solved = [
        {"question": "What is 1 + 4?", "completion": f"I count {n} times: \\boxed{{5}}", "model": "gpt-x"}
        for n in range(3)
    ]
    (tmp_path / "solved.jsonl").write_text("".join(json.dumps(row) + "\n" for row in solved))
    recipe = {
        "questions": {"train": [{"source": "mine.jsonl", "domain": "math"}]},
        "pools": {"theirs": {"samples": 4, "engine": {"kind": "recorded", "path": "solved.jsonl"}}},
        "selection": {"near_copy": 1.0, "per_heuristic": 4},
        "verify": {"workers": 1},
    }
    done = data(tmp_path, recipe, "--to", "sharegpt", "--out", "set")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "set/data/train.jsonl").read_text().splitlines()) == 3
    assert "written by `gpt-x (recorded in solved.jsonl)`" in (tmp_path / "set/README.md").read_text()


def test_what_cannot_be_made(tmp_path: Path) -> None:
    questions(tmp_path)
    done = data(
        tmp_path,
        {
            "model": {"path": "nobody/adder-7b"},
            "questions": {"train": [{"source": "mine.jsonl", "domain": "math"}]},
            "arms": {"rl-only": []},
        },
    )
    assert done.returncode == 2 and "it has no pools" in done.stderr
    done = data(tmp_path, {"pools": {"plain": {"samples": 1}}}, "--to", "parquet")
    assert done.returncode == 2 and "there is no such format; there are trl, messages" in done.stderr


def test_a_recipe_names_its_model_where_one_is_needed(tmp_path: Path) -> None:
    from midway.recipe import RecipeError, loads_recipe

    questions(tmp_path)
    mine = {"train": [{"source": str(tmp_path / "mine.jsonl"), "domain": "math"}]}
    served = {"kind": "openai", "base_urls": ["http://127.0.0.1:1/v1"]}
    for needs in (
        {"questions": mine},
        {"questions": mine, "pools": {"plain": {"samples": 1}}},
        {
            "questions": mine,
            "pools": {"plain": {"samples": 1}},
            "engine": served,
        },  # the server is asked for the recipe's model
        {"benchmarks": ["gsm8k"]},
    ):
        with pytest.raises(RecipeError, match=r"name the model for the questions of .*(mine\.jsonl|gsm8k)"):
            loads_recipe(needs)
        loads_recipe({**needs, "model": {"path": "somebody/something"}})
    for fine in (
        {},
        {"questions": {"train": [{"source": "lab", "limit": 9}]}, "benchmarks": ["lab"]},
        {"questions": mine, "pools": {"plain": {"samples": 1}}, "engine": {**served, "model": "adder-7b"}},
        {"questions": mine, "pools": {"theirs": {"engine": {"kind": "recorded", "path": "solved.jsonl"}}}},
    ):
        recipe = loads_recipe(fine)
        assert loads_recipe(recipe.model_dump(mode="json")) == recipe, "a stored recipe loads"


def test_every_list_and_the_former_names(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from midway.cli import app
    from midway.cli.list import KINDS

    def call(*args: str) -> str:
        done = CliRunner().invoke(app, list(args))
        assert done.exit_code == 0, done.output
        return done.stdout

    lists = {kind: call("list", kind) for kind in KINDS}
    expected = {
        "recipes": "demo", "sources": "gsm8k", "models": "lab", "heuristics": "working-backward", "engines": "openai", "domains": "gym",
        "scorers": "judge", "rewards": "verdict", "trainers": "trl",
    }  # fmt: skip
    assert set(expected) == set(KINDS)
    for kind, name in expected.items():
        assert any(line.split()[0] == name for line in lists[kind].splitlines() if line), lists[kind]
        assert name in [row["name"] for row in json.loads(call("list", kind, "--json"))]
    for old in ("recipes", "sources", "models"):
        assert call(old) == lists[old]
    shown = call("--help")
    assert "list" in shown and not re.search(r"^\W*(recipes|sources) ", shown, re.MULTILINE)
    (tmp_path / "mine.py").write_text(
        "from midway.registry import RewardPart\nTEN = RewardPart(name='ten', summary='always ten', open=None)\n"
    )
    assert "always ten" in call("list", "rewards", "--plugin", str(tmp_path / "mine.py"))
    wrong = CliRunner().invoke(app, ["list", "engine"])
    assert "did you mean engines?" in str(wrong.exception)
