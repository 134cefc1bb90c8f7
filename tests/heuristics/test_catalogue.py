"""The catalogue: complete, right, in its own words, and strict about malformed files."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from midway.domains import verify
from midway.heuristics import (
    CatalogueError,
    UnknownHeuristicError,
    format_page,
    get,
    load_catalogue,
    pick,
    to_markdown,
    unguided,
)
from midway.heuristics.catalogue import BUILT_IN, read_heuristic
from midway.records import PHASE_TITLES, PHASES, CodeTests, Domain, Exemplar, Heuristic, Question

DOMAINS = ("math", "code", "choice")
"""The domains that the built-in heuristics have worked examples of."""

ASKED = [
    "working-backward",
    "analogy",
    "decomposing-and-recombining",
    "auxiliary-elements",
    "auxiliary-problem",
    "setting-up-equations",
    "drawing-a-figure",
    "specialization",
    "generalization",
    "induction-and-patterns",
    "guess-and-check",
    "variation-of-the-problem",
    "symmetry",
    "reductio-and-indirect-proof",
    "test-by-dimension",
    "going-back-to-definitions",
    "separating-the-condition",
    "restating-the-problem",
    "bright-idea",
    "carry-out-step-by-step",
    "looking-back",
]

CATALOGUE = load_catalogue()
ALL: list[tuple[str, Domain, Exemplar]] = [
    (f"{h.slug}/{domain}/{n}", domain, e)
    for h in [*CATALOGUE.values(), unguided()]
    for domain in DOMAINS
    for n, e in enumerate(h.exemplars[domain], 1)
]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def grams(text: str, n: int) -> set[tuple[str, ...]]:
    w = words(text)
    return set(zip(*(w[k:] for k in range(n)), strict=False))


def as_question(domain: Domain, e: Exemplar) -> Question:
    if domain == "math":
        return Question(domain=domain, text=e.question, answer=e.answer)
    if domain == "code":
        return Question(domain=domain, text=e.question, tests=CodeTests(test_list=tuple(e.answer.splitlines())))
    choices = tuple(re.findall(r"^\([A-Z]\) (.+)$", e.question, re.MULTILINE))
    text = e.question[: e.question.index("\n(A) ")]
    return Question(domain=domain, text=text, choices=choices, answer_index=ord(e.answer) - 65)


def test_at_least_twenty_with_everything_that_was_asked_for() -> None:
    assert len(CATALOGUE) >= 20
    assert set(ASKED) <= set(CATALOGUE)
    assert list(CATALOGUE) == sorted(CATALOGUE)
    for h in CATALOGUE.values():
        assert set(h.cues) == set(PHASES)
        assert h.fits and h.fits_not and h.description and h.short_cue.endswith(".")
        assert len(h.short_cue.split()) <= 6
        for domain in DOMAINS:
            difficulties = [e.difficulty for e in h.exemplars[domain]]
            assert difficulties == [1, 2, 3], (h.slug, domain)
    assert len({h.short_cue for h in CATALOGUE.values()}) == len(CATALOGUE)


def test_every_exemplar_names_its_phases_and_is_short() -> None:
    for name, _, e in ALL:
        headings = re.findall(rf"^({'|'.join(PHASE_TITLES.values())}):\s+\S", e.solution, re.MULTILINE)
        assert headings == [PHASE_TITLES[phase] for phase in PHASES], name
        assert len(words(e.solution)) <= 260, name


def test_math_answers() -> None:
    math_verify = pytest.importorskip("math_verify")
    for name, domain, e in ALL:
        if domain == "math":
            last = e.solution.splitlines()[-1]
            assert math_verify.verify(math_verify.parse(f"${e.answer}$"), math_verify.parse(last)), name


def test_code_answers_run(tmp_path: Path) -> None:
    """Every program, extracted as the last fenced block, passes its own asserts; and the asserts can fail."""
    parts = ["def check(name, program, tests):\n    space = {}\n    exec(program, space)\n    exec(tests, space)\n"]
    for name, domain, e in ALL:
        if domain == "code":
            program = re.findall(r"```python\n(.*?)```", e.solution, re.DOTALL)[-1]
            assert len(e.answer.splitlines()) >= 2, name
            parts.append(f"check({name!r}, {program!r}, {e.answer!r})\n")
    file = tmp_path / "programs.py"
    file.write_text("".join(parts), encoding="utf-8")
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    file.write_text(parts[0] + parts[1].replace("assert ", "assert not "), encoding="utf-8")
    assert subprocess.run([sys.executable, file], capture_output=True, timeout=60).returncode == 1


def test_every_final_answer_passes_the_verifier() -> None:
    for name, domain, e in ALL:
        verdict = verify(as_question(domain, e), e.solution)
        assert verdict.correct, (name, verdict)


def test_the_letter_of_the_answer_is_no_hint() -> None:
    letters = [e.answer for _, domain, e in ALL if domain == "choice"]
    for letter in "ABC":
        assert 0.25 <= letters.count(letter) / len(letters) <= 0.42, letters.count(letter)


def test_different_heuristics_do_not_share_their_exemplars() -> None:
    seen: dict[tuple[str, ...], str] = {}
    for name, _, e in ALL:
        for gram in grams(e.question, 8) | grams(e.solution, 8):
            other = seen.setdefault(gram, name)
            assert other == name, (name, other, gram)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


def test_no_exemplar_shares_an_8_gram_with_a_benchmark(shared_data: Path) -> None:
    own: dict[tuple[str, ...], str] = {}
    for name, _, e in ALL:
        for text in (e.question, e.solution, e.answer):
            own |= dict.fromkeys(grams(text, 8), name)
    files = sorted(p for p in shared_data.rglob("*.jsonl*") if p.parent.name not in ("sandbox", "verifier", "awkward"))
    assert files and len(own) > 10_000
    shared = []
    for path in files:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                for key in ("base_input", "plus_input"):  # values of test calls, megabytes of them, and no text
                    row.pop(key, None)
                for text in _strings(row):
                    w = words(text)
                    hits = own.keys() & zip(*(w[k:] for k in range(8)), strict=False)
                    shared += [(own[gram], path.parent.name, " ".join(gram)) for gram in hits]
    assert shared == []


def test_the_page_is_true() -> None:
    page = Path(__file__).parents[2] / "docs" / "heuristics.md"
    assert page.read_text(encoding="utf-8") == to_markdown(CATALOGUE) + format_page(), (
        "write it anew: midway heuristics list --markdown > docs/heuristics.md"
    )


GOOD = (BUILT_IN / "symmetry.toml").read_text(encoding="utf-8")


def own_folder(tmp_path: Path, text: str, name: str = "symmetry") -> Path:
    (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    return tmp_path


def test_a_file_in_a_folder_adds_a_heuristic(tmp_path: Path) -> None:
    text = GOOD.replace('slug = "symmetry"', 'slug = "mirror"').replace('title = "Symmetry"', 'title = "Mirror"')
    catalogue = load_catalogue([own_folder(tmp_path, text, "mirror")])
    assert catalogue["mirror"].title == "Mirror"
    assert set(catalogue) == {*CATALOGUE, "mirror"}
    assert get("mirror", [tmp_path]) == catalogue["mirror"]


def test_a_file_of_ones_own_replaces_the_built_in(tmp_path: Path) -> None:
    catalogue = load_catalogue([own_folder(tmp_path, GOOD.replace('title = "Symmetry"', 'title = "My symmetry"'))])
    assert catalogue["symmetry"].title == "My symmetry"
    assert CATALOGUE["symmetry"].title == "Symmetry"


def test_the_name_of_no_heuristic_is_kept(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="'unguided' is kept"):
        load_catalogue([own_folder(tmp_path, GOOD.replace('slug = "symmetry"', 'slug = "unguided"'), "unguided")])


def test_several_are_picked_in_the_order_asked() -> None:
    assert [h.slug for h in pick(["symmetry", "analogy"], CATALOGUE)] == ["symmetry", "analogy"]


def test_a_domain_may_be_left_out(tmp_path: Path) -> None:
    text = GOOD[: GOOD.index("[[code]]")]
    heuristic = read_heuristic(own_folder(tmp_path, text) / "symmetry.toml")
    assert set(heuristic.exemplars) == {"math"}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('title = "Symmetry"', "title = Symmetry", "not valid TOML"),
        ('title = "Symmetry"', "", 'title is missing; add  title = "..."'),
        ('title = "Symmetry"', "title = 3", "title is a int"),
        ('title = "Symmetry"', 'titel = "Symmetry"', "unknown key 'titel'; did you mean 'title'?"),
        ('slug = "symmetry"', 'slug = "Symmetry"', "lower-case"),
        ('slug = "symmetry"', 'slug = "mirror"', "rename it to mirror.toml"),
        (
            "look_back = ",
            "lookback = ",
            "[cues] must have exactly the keys understand, plan, carry_out, look_back, or be left out",
        ),
        ("[[math]]", "[math]", ""),  # TOML itself refuses the second [math]
        ("difficulty = 1", "difficulty = 0", "math[1].difficulty = 0"),
        ("difficulty = 2", "level = 2", "unknown key math[2].level"),
        ("Plan: Pair each", "Pair each", "'Plan:'"),
        (r"\boxed{60}", "60", r"math[1].solution must end with a line that has \boxed{60}"),
        ("```python", "```", "code[1].solution must end with one ```python"),
        ("assert ring_table(5)[0]", "ring_table(5)[0]", "code[1].answer must be assert statements"),
        ("(A) Ole", "Ole", "choice[1].question must end with its options"),
        ("The answer is (", "It is (", "choice[1].solution must end with 'The answer is ("),
    ],
)
def test_malformed_files_are_refused_with_the_cure(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    folder = own_folder(tmp_path, GOOD.replace(old, new))
    with pytest.raises(CatalogueError) as caught:
        load_catalogue([folder])
    assert str(caught.value).startswith(str(folder / "symmetry.toml"))
    assert told in str(caught.value)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="no such folder"):
        load_catalogue([tmp_path / "none"])
    with pytest.raises(CatalogueError, match=r"no \*\.toml file"):
        load_catalogue([tmp_path])
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        own_folder(folder, GOOD)
    with pytest.raises(CatalogueError, match="is also in"):
        load_catalogue([one, two])


@pytest.mark.parametrize(
    ("slug", "near"), [("working-backwards", "working-backward"), ("Test by dimensions", "test-by-dimension")]
)
def test_an_unknown_slug_names_its_neighbours(slug: str, near: str) -> None:
    with pytest.raises(UnknownHeuristicError, match=f"did you mean {near}"):
        get(slug)
    with pytest.raises(UnknownHeuristicError, match="there are: analogy"):
        get("xyzzy")


def test_the_records_are_plain_data() -> None:
    assert all(isinstance(h, Heuristic) for h in CATALOGUE.values())
    assert unguided().slug not in CATALOGUE


def test_old_files_with_the_section_narrative_load(tmp_path: Path) -> None:
    text = (BUILT_IN / "analogy.toml").read_text(encoding="utf-8")
    assert "[[choice]]" in text and "[[narrative]]" not in text
    (tmp_path / "analogy.toml").write_text(text.replace("[[choice]]", "[[narrative]]"), encoding="utf-8")
    assert load_catalogue([tmp_path])["analogy"] == CATALOGUE["analogy"]
