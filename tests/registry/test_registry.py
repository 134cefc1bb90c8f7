"""Parts are found by name, built-in ones like anybody's; what cannot be found or loaded is told with what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from midway import registry
from midway.recipe import RecipeError, load_recipe
from midway.registry import RegistryError, find, load_object, load_plugins, names

ROOT = Path(__file__).resolve().parents[2]

DOMAIN = """
from dataclasses import dataclass
from midway.domains import Domain, task
from midway.records import Judgement, Verdict


@dataclass(frozen=True, kw_only=True)
class Shout(Domain):
    name: str = "{name}"

    def gold(self, row):
        return {{"gold": row.pick("answer", what="answer")}}

    def judge(self, question, text, *, truncated, require_sandbox):
        return task(judge, {{"gold": question.gold, "text": text}})


def judge(fields):
    return Verdict(Judgement.CORRECT if fields["text"] == fields["gold"].upper() else Judgement.WRONG, fields["text"], "{word}")


SHOUT = Shout()
"""


def written(path: Path, name: str = "shout", word: str = "loud") -> Path:
    path.write_text(DOMAIN.format(name=name, word=word))
    return path


def test_the_built_in_parts_are_there() -> None:
    assert {"transformers", "vllm", "openai", "recorded"} <= set(names("engines"))
    assert names("domains")[:5] == ["math", "code", "choice", "text", "python"]
    assert {"gsm8k", "lab"} <= set(names("sources")) and {"lab", "tiny"} <= set(names("models"))
    assert {"likelihood", "reward-model", "judge"} <= set(names("scorers"))
    assert "verdict" in names("rewards") and "trl" in names("trainers")


def test_looking_parts_up_loads_nothing_heavy() -> None:
    code = (
        "import sys; from midway import registry\n"
        "for group in registry.GROUPS: registry.names(group)\n"
        "from midway.recipe import load_recipe; load_recipe('demo')\n"
        "bad = {'torch', 'transformers', 'trl', 'vllm', 'ray', 'datasets', 'sympy', 'httpx'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_says_what_is_there() -> None:
    with pytest.raises(RegistryError, match="there is no engine 'vlm'; did you mean vllm"):
        find("engines", "vlm")
    with pytest.raises(RegistryError, match=r"entry point of `midway\.domains`.*plugins"):
        find("domains", "poetry")


def test_an_empty_registry_is_an_error(tmp_path: Path) -> None:
    """The source on the path of another environment: nothing is registered there."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import importlib.metadata as m\n"
        "m.entry_points = lambda **_: ()\n"
        "from midway import registry\n"
        "try: registry.names('engines')\n"
        "except registry.RegistryError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ROOT / "src")], capture_output=True, text=True, check=True)
    assert "no engine is registered" in done.stdout and "pip install -e ." in done.stdout


def test_a_file_beside_the_recipe_brings_a_domain(tmp_path: Path) -> None:
    written(tmp_path / "my_parts.py")
    (tmp_path / "q.jsonl").write_text('{"question": "Say hello", "answer": "hello"}\n')
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "plugins: [my_parts.py]\nmodel: {path: 'tiny:llama'}\n"
        "questions: {train: [{source: q.jsonl, domain: shout}]}\narms: {rl-only: []}\n"
    )
    loaded = load_recipe(recipe)
    assert loaded.plugins == [str(tmp_path / "my_parts.py")]
    from midway.domains import Verifier
    from midway.questions import load

    (question,) = load(loaded.questions.train[0])
    with Verifier(1) as verifier:  # in a process of its own, which loads the same file
        assert [v.judgement for v in verifier.verify_batch([(question, "HELLO"), (question, "hello")])] == [
            "correct",
            "wrong",
        ]
    assert registry.domain("shout").origin


def test_the_content_of_a_file_is_hashed_into_what_it_changes(tmp_path: Path) -> None:
    from midway.plan import make_plan
    from midway.rundir.layout import Layout
    from midway.workbench import Workbench

    (tmp_path / "q.jsonl").write_text('{"question": "Say hello", "answer": "hello"}\n')
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "plugins: [my_parts.py]\nmodel: {path: 'tiny:llama'}\npools: {plain: {samples: 1}}\n"
        "questions: {train: [{source: q.jsonl, domain: shout}]}\narms: {mine: {rl: false, midtrain: [plain]}}\n"
    )
    found = []
    for word in ("loud", "loud", "louder"):
        written(tmp_path / "my_parts.py", word=word)
        loaded = load_recipe(recipe)
        stages = make_plan(loaded, Workbench(loaded, Layout(tmp_path))).stages
        found.append(stages["pools/plain/verdicts"].digest)
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "holds no part"),
        ("import nothing_of_that_name\n", r"broken\.py:1: cannot be imported: ModuleNotFoundError"),
        ("def f(:\n", r"broken\.py:1: cannot be imported: SyntaxError"),
        (DOMAIN.format(name="math", word=""), "the domain 'math' exists; choose another name"),
    ],
)
def test_a_file_that_is_no_plug_in_says_why(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(RegistryError, match=said):
        load_plugins([str(tmp_path / "broken.py")])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("plugins: [broken.py]\n")
    with pytest.raises(RecipeError, match=said):
        load_recipe(recipe)


def test_two_files_with_one_name_are_refused(tmp_path: Path) -> None:
    files = [written(tmp_path / f"{n}.py", word=n) for n in ("a", "b")]
    with pytest.raises(RegistryError, match=r"a\.py has a domain 'shout' already"):
        load_plugins([str(f) for f in files])
    with pytest.raises(RegistryError, match="cannot be read"):
        load_plugins([str(tmp_path / "nothing.py")])


def test_objects_are_loaded_by_path(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("def f():\n    return 7\n")
    assert load_object(f"{tmp_path / 'f.py'}:f")() == 7
    assert load_object("midway.records:content_id")
    for path in (f"{tmp_path / 'f.py'}:g", "midway.nothing:x", "nothing"):
        with pytest.raises(RegistryError, match="cannot be loaded"):
            load_object(path)
