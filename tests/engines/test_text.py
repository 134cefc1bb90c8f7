"""From messages to the text that a model sees: a chat template that loses the question is an error, never a prompt."""

from __future__ import annotations

import pytest
from tiny import tiny_tokenizer

from midway.engines import EngineError
from midway.engines.text import render
from midway.records import Prompt


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (
            "{% for m in messages %}{% for part in m.content %}{{ part.text }}{% endfor %}{% endfor %}",
            "leaves out the user message",
        ),
        ("{% for m in messages %}{{ m.name.upper() }}: {{ m.content }}{% endfor %}", "cannot show a prompt of user"),
        ("{% for m in messages %}{{ m.content }}", "cannot show a prompt of user"),
        ("{{ raise_exception('no system message, please') }}", "no system message, please"),
        ("{{ messages[0].role }}", "leaves out the user message"),
    ],
)
def test_a_chat_template_that_loses_the_question_is_an_error(template: str, says: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(EngineError, match=says):
        render(Prompt(messages=({"role": "user", "content": "What is 2 + 2?"},)), tokenizer, chat=True)
    tokenizer.chat_template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}{% endfor %}"
    text, special = render(Prompt(messages=({"role": "user", "content": " What is\n2 + 2? "},)), tokenizer, chat=True)
    assert "2 + 2?" in text and not special
