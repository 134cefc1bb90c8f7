"""The prompt builder: what the model sees, in every style, and a version that changes with the wording alone."""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from midway.heuristics import (
    STOP_STRINGS,
    PromptError,
    answer_form,
    build_prompt,
    fold_system,
    load_catalogue,
    prompt_version,
    render_question,
)
from midway.records import PHASE_TITLES, CodeTests, Domain, Question

DOMAINS = ("math", "code", "choice")
"""The domains that the built-in heuristics have worked examples of."""

CATALOGUE = load_catalogue()
BACKWARD = CATALOGUE["working-backward"]

MATH = (Question("math", "How many legs have 3 cats?", answer="12"), Question("math", "Half of 7?", answer="7/2"))
CHOICE = (
    Question("choice", "Ann hid it. Who hid it?", choices=("Ann", "Bo"), answer_index=0),
    Question("choice", "Cy ran. Who stayed?", choices=("Cy", "Di", "Ed"), answer_index=1),
)
HUMANEVAL = Question(
    "code",
    'def twice(x):\n    """Return 2x."""\n',
    tests=CodeTests(prompt='def twice(x):\n    """Return 2x."""\n', entry_point="twice", test="def check(c): ..."),
)
MBPP = Question(
    "code", "Write a function to double.", tests=CodeTests(test_list=("assert dbl(2) == 4", "assert dbl(0) == 0"))
)
PAIRS: dict[Domain, tuple[Question, Question]] = {"math": MATH, "choice": CHOICE, "code": (HUMANEVAL, MBPP)}


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("slug", CATALOGUE)
def test_everything_before_the_question_is_shared(slug: str, domain: Domain) -> None:
    h = CATALOGUE[slug]
    for exemplars in (0, 1, len(h.exemplars[domain])):
        one, two = (build_prompt(q, h, chat=True, exemplars=exemplars) for q in PAIRS[domain])
        assert one.shared == two.shared == 1 + 2 * exemplars == len(one.messages) - 1
        assert one.messages[: one.shared] == two.messages[: two.shared]
        assert [m["role"] for m in one.messages] == ["system", *["user", "assistant"] * exemplars, "user"]
        assert h.title in one.messages[0]["content"] and answer_form(domain) in one.messages[0]["content"]
        one, two = (build_prompt(q, h, chat=False, exemplars=exemplars) for q in PAIRS[domain])
        assert one.shared == two.shared and one.text[: one.shared] == two.text[: two.shared]
        assert one.text[one.shared :].startswith(render_question(PAIRS[domain][0]))


def test_chat_prompt_word_for_word() -> None:
    system, user, assistant, asked = build_prompt(MATH[0], BACKWARD, chat=True).messages
    assert system["content"] == (
        "Solve the question with this approach: Working backward.\n"
        "Start from what is wanted, or from how things ended, and ask what must have come just before. Undo one step "
        "at a time until you stand on what is given; then the path, read the other way round, is the solution.\n\n"
        "Write four short parts, each beginning with its heading:\n"
        "Understand: Say what the end looks like and where the known beginning lies.\n"
        "Plan: Ask what must hold just before the end, and before that; name the inverse of each step.\n"
        "Carry out: Undo the steps one at a time, last one first, until the beginning is reached.\n"
        "Look back: Run forward from what you found and see that you arrive at the end.\n\n"
        "Keep to this approach even where another would do. The solution must stand on its own: do not speak of these "
        "instructions. Put the final answer in \\boxed{}."
    )
    assert user["content"] == BACKWARD.exemplars["math"][0].question
    assert assistant["content"] == BACKWARD.exemplars["math"][0].solution
    assert asked == {"role": "user", "content": "How many legs have 3 cats?"}


def test_base_prompt_layout() -> None:
    text = build_prompt(CHOICE[1], CATALOGUE["symmetry"], chat=False, exemplars=2).text
    assert text.count("### Question\n") == text.count("\n\n### Solution\n") == 3
    assert text.endswith("### Question\nCy ran. Who stayed?\n(A) Cy\n(B) Di\n(C) Ed\n\n### Solution\n")
    assert text.index("### Question") > text.index("The solution must stand on its own")
    # what a base model writes after its own solution is cut off by the stop string
    (stop,) = STOP_STRINGS
    assert stop in text


@pytest.mark.parametrize("domain", DOMAINS)
def test_phases_can_be_turned_off(domain: Domain) -> None:
    for h in CATALOGUE.values():
        on, off = (build_prompt(PAIRS[domain][0], h, chat=False, phases=p, exemplars=2).text for p in (True, False))
        assert all(f"\n{title}: " in on for title in PHASE_TITLES.values())
        assert not any(f"\n{title}:" in off for title in PHASE_TITLES.values()), h.slug
        assert all(cue in off for cue in h.cues.values())
        assert domain == "code" or "\n\n\n" not in off, h.slug  # programs have blank lines of their own


def test_without_a_heuristic_only_the_answer_form_is_added() -> None:
    assert build_prompt(MATH[0], None, chat=True).messages == (
        {"role": "user", "content": "How many legs have 3 cats?\nPut the final answer in \\boxed{}."},
    )
    assert build_prompt(MATH[0], None, chat=False).text == (
        "### Question\nHow many legs have 3 cats?\nPut the final answer in \\boxed{}.\n\n### Solution\n"
    )
    assert build_prompt(MATH[0], None, chat=False, style="plain").text == "How many legs have 3 cats?"
    assert build_prompt(HUMANEVAL, None, chat=False, style="plain").text == HUMANEVAL.text  # the newline at its end too
    assert build_prompt(CHOICE[0], None, chat=True).messages[-1]["content"] == (
        "Ann hid it. Who hid it?\n(A) Ann\n(B) Bo\n"
        'End with "The answer is (X)." where X is the letter of the best option.'
    )
    few = build_prompt(MATH[0], None, chat=True, exemplars=2)
    assert [m["role"] for m in few.messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert few.messages[0]["content"] == "Put the final answer in \\boxed{}."
    assert "Understand:" not in few.messages[2]["content"] and "\\boxed{" in few.messages[2]["content"]


def test_cue_style_is_one_sentence_and_the_question() -> None:
    q = MATH[1]
    assert build_prompt(q, BACKWARD, chat=False, style="cue").text == "Work backward. Half of 7?"
    assert build_prompt(q, None, chat=False, style="cue").text == "Half of 7?"
    assert build_prompt(q, BACKWARD, chat=False, style="cue").shared == len("Work backward. ")
    assert build_prompt(q, BACKWARD, chat=True, style="cue").messages[-1]["content"] == "Work backward. Half of 7?"


def test_code_questions_are_rendered_by_their_kind() -> None:
    assert render_question(HUMANEVAL) == (
        'Complete this program; repeat what is given.\n```python\ndef twice(x):\n    """Return 2x."""\n```'
    )
    assert render_question(MBPP) == "Write a function to double.\nIt must pass this test:\nassert dbl(2) == 4"
    again = dataclasses.replace(MBPP, text=f"Double it.\n{MBPP.tests.test_list[0]}", id="")  # type: ignore[union-attr]
    assert render_question(again) == again.text
    stdin = Question("code", "Add two numbers.", tests=CodeTests(io=(("1 2\n", "3\n"), ("0 0\n", "0\n"))))
    assert render_question(stdin) == (
        "Add two numbers.\nIt reads standard input and writes standard output.\nFor the input\n1 2\nit writes\n3"
    )
    plus = Question("code", "Double it.", tests=CodeTests(entry_point="dbl", inputs=((1,),), reference="..."))
    assert render_question(plus) == "Double it.\nName the function `dbl`."


def test_ones_own_system_text_comes_first() -> None:
    for heuristic in (None, BACKWARD):
        chat = build_prompt(MATH[0], heuristic, chat=True, system="Be brief.")
        assert chat.messages[0]["role"] == "system" and chat.messages[0]["content"].startswith("Be brief.")
        assert build_prompt(MATH[0], heuristic, chat=False, system="Be brief.").text.startswith("Be brief.\n\n")


def test_fold_system() -> None:
    prompt = build_prompt(MATH[0], BACKWARD, chat=True, exemplars=1)
    folded = fold_system(prompt)
    assert [m["role"] for m in folded.messages] == ["user", "assistant", "user"]
    assert folded.messages[0]["content"].startswith(prompt.messages[0]["content"])
    assert folded.messages[0]["content"].endswith(prompt.messages[1]["content"])
    assert folded.messages[: folded.shared] == fold_system(build_prompt(MATH[1], BACKWARD, chat=True)).messages[:2]
    assert fold_system(build_prompt(MATH[0], BACKWARD, chat=True, exemplars=0)).shared == 0
    plain = build_prompt(MATH[0], None, chat=True)
    assert fold_system(plain) is plain


@pytest.mark.parametrize(
    ("question", "slug", "settings", "told"),
    [
        (MATH[0], "symmetry", {"exemplars": -1}, "set it to a number from 0 to 3"),
        (MATH[0], None, {"exemplars": 9}, "unguided has 3"),
        (MATH[0], "symmetry", {"style": "plain"}, "leaves no room for heuristic 'symmetry'"),
        (MATH[0], "symmetry", {"style": "cue", "exemplars": 1}, "shows no exemplars"),
        (MATH[0], "symmetry", {"style": "loud"}, "must be one of boxed, plain, cue"),
        (Question("choice", "Who?", answer_index=0), None, {}, "has no choices"),
    ],
)
def test_what_cannot_be_built_is_refused(
    question: Question, slug: str | None, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(PromptError) as caught:
        build_prompt(question, CATALOGUE[slug] if slug else None, chat=True, **settings)
    assert told in str(caught.value)
    without_cue = dataclasses.replace(BACKWARD, short_cue="")
    with pytest.raises(PromptError, match="no short_cue"):
        build_prompt(MATH[0], without_cue, chat=True, style="cue")


def test_the_version_changes_with_every_setting_and_every_word() -> None:
    def version(h: Any = BACKWARD, domain: Domain = "math", **settings: Any) -> str:
        return prompt_version(h, domain, **{"chat": True, **settings})

    versions = [
        version(),
        version(chat=False),
        version(phases=False),
        version(exemplars=0),
        version(exemplars=2),
        version(system="Be brief."),
        version(style="cue"),
        version(domain="code"),
        version(domain="choice"),
        version(None),
        version(None, style="plain"),
        version(CATALOGUE["symmetry"]),
        version(dataclasses.replace(BACKWARD, description="Other words.")),
        version(dataclasses.replace(BACKWARD, cues={**BACKWARD.cues, "plan": "Other words."})),
    ]
    first = BACKWARD.exemplars["math"][0]
    changed = dataclasses.replace(first, solution=first.solution.replace("It fits.", "Good."))
    versions.append(
        version(dataclasses.replace(BACKWARD, exemplars={"math": (changed, *BACKWARD.exemplars["math"][1:])}))
    )
    assert len(set(versions)) == len(versions)
    # and with nothing else: not with exemplars that are not shown, not with what the model never sees
    third = dataclasses.replace(BACKWARD, exemplars={"math": BACKWARD.exemplars["math"][:1]}, fits="", short_cue="")
    assert version(third) == versions[0]


def test_the_version_is_the_same_in_another_process() -> None:
    code = (
        "from midway.heuristics import get, prompt_version;"
        "print(prompt_version(get('symmetry'), 'code', chat=False, exemplars=2))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == prompt_version(CATALOGUE["symmetry"], "code", chat=False, exemplars=2)


def longest_prompts() -> dict[tuple[str, Domain], str]:
    """For each heuristic and domain, the text of the prompt with all its exemplars and a short question."""
    return {
        (h.slug, domain): build_prompt(PAIRS[domain][0], h, chat=False, exemplars=len(h.exemplars[domain])).text
        for h in CATALOGUE.values()
        for domain in DOMAINS
    }


def test_no_prompt_is_over_1500_tokens_by_a_cautious_estimate() -> None:
    """Seven letters of a word, a digit, a sign or a run of white space count as one token each."""
    piece = re.compile(r" ?[A-Za-z]{1,7}|\d|[^\sA-Za-z\d]|\s{2,}|\n")
    for name, text in longest_prompts().items():
        assert len(piece.findall(text)) <= 1500, name


def test_no_prompt_is_over_1500_tokens_of_a_small_vocabulary(shared_data: Path) -> None:
    """16k byte-level BPE, trained on questions and solutions of others; larger vocabularies need fewer tokens."""
    tokenizers = pytest.importorskip("tokenizers")
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=16000, show_progress=False, initial_alphabet=alphabet)
    files = ("gsm8k/train.jsonl.gz", "musr/murder_mystery.jsonl.gz", "humaneval/test.jsonl", "mbpp/train.jsonl")
    texts = []
    for path in (shared_data / file for file in files):
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            texts += [value for line in lines for value in json.loads(line).values() if isinstance(value, str)]
    bpe.train_from_iterator(texts, trainer)
    for name, text in longest_prompts().items():
        assert len(bpe.encode(text).ids) <= 1500, name
