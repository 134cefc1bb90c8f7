"""Reasoning before `</think>`, and what a chat template is given: alike in prompts, training text, verdicts and selection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from midway.domains import Verifier
from midway.engines.openai.wire import Dialect, completion_body
from midway.engines.text import encode, render
from midway.lab.tiny import CHATML, tiny_tokenizer
from midway.plan import make_plan
from midway.recipe import loads_recipe
from midway.records import Prompt, Question, Request, Sampling
from midway.rundir.layout import Layout
from midway.selection.consistent import faults
from midway.training.trainers.trl.chat import as_seen
from midway.workbench import Workbench

SWITCH = CHATML.replace(
    "<|im_start|>assistant\n{% endif %}",
    "<|im_start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
)
"""Ends the prompt with an empty reasoning where it is switched off, as Qwen3's does."""
FORGETS = CHATML.replace("{{ m.content }}", "{{ m.content.split('</think>')[-1] }}")
"""Drops the reasoning of an assistant's turns, as DeepSeek-R1's does."""
QUESTION = ({"role": "user", "content": "What is 2 + 2?"},)
THOUGHT = "<think>\nIs it 5? No: 2 + 2 = 5 is wrong, the answer is 5. Wait.\n</think>\n\n2 + 2 = 4. The answer is 4."


def tokenizer_with(template: str) -> Any:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def test_what_the_template_is_given_reaches_every_engine_and_the_key() -> None:
    tokenizer = tokenizer_with(SWITCH)
    plain, off = Prompt(messages=QUESTION), Prompt(messages=QUESTION, template={"enable_thinking": False})
    assert plain.key() != off.key()
    assert Prompt(messages=QUESTION, template={}).key() == plain.key()
    text, _ = render(off, tokenizer, chat=True)
    assert text == render(plain, tokenizer, chat=True)[0] + "<think>\n\n</think>\n\n"
    assert tokenizer.decode(encode(off, tokenizer, chat=True)) == text
    for prompt, given in ((plain, None), (off, {"enable_thinking": False})):
        _, body = completion_body(Request("r", prompt, Sampling(), "q"), Dialect("m"), prompt=None)
        assert body.get("chat_template_kwargs") == given


def test_it_changes_digests_only_where_it_is_set(tmp_path: Path) -> None:
    def digests(prompt: dict[str, Any]) -> dict[str, str]:
        recipe = loads_recipe(
            {"arms": {"rl-only": []}, "prompt": prompt, "benchmarks": [{"source": "lab", "limit": 3}]}
        )
        return {rel: s.digest for rel, s in make_plan(recipe, Workbench(recipe, Layout(tmp_path))).stages.items()}

    assert digests({}) == digests({"chat_template_kwargs": {}})
    given = digests({"chat_template_kwargs": {"enable_thinking": False}})
    assert all(given[rel] != digest for rel, digest in digests({}).items())


@pytest.mark.parametrize("template", [CHATML, SWITCH, FORGETS])
def test_the_model_learns_what_it_wrote_whatever_the_template_drops(template: str) -> None:
    tokenizer = tokenizer_with(template)
    answer = [{"role": "assistant", "content": THOUGHT}]
    rows = as_seen(Dataset.from_list([{"prompt": list(QUESTION), "completion": answer}] * 2), tokenizer, {})
    head = render(Prompt(messages=QUESTION), tokenizer, chat=True)[0]
    row = rows[0]
    if template is FORGETS:
        assert (row["prompt"], row["completion"]) == (head, THOUGHT)
    else:
        shown = tokenizer.apply_chat_template([*row["prompt"], *row["completion"]], tokenize=False)
        assert shown.startswith(head + THOUGHT)
    switched = as_seen(rows, tokenizer_with(SWITCH), {"enable_thinking": False}) if template is SWITCH else None
    assert switched is None or isinstance(switched[0]["prompt"], str), (
        "an answer after an empty reasoning is kept as it is"
    )


def test_verdict_and_selection_look_past_the_reasoning() -> None:
    question = Question(domain="math", text="What is 2 + 2?", answer="4")
    with Verifier(1) as verifier:
        verdict = next(iter(verifier.verify_batch([(question, THOUGHT)])))
    assert verdict.correct and verdict.extracted == "4"
    assert faults(THOUGHT, "4") == ()
    assert faults(THOUGHT.replace("</think>", ""), "4") != ()
