"""Chat rows: what somebody said and what was answered, from a file. Nothing in them is checked.

Promises: rows in the order of the file, each content once. When things go wrong: QuestionError with the place of the first row that is
neither {messages: [{role, content}, ...]} nor {prompt} or {prompt, completion}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midway.questions.base import QuestionError
from midway.questions.rows import read_file
from midway.records import Message, Prompt, content_id

FORMS = "{messages: [{role, content}, ...]} or {prompt, completion}"


@dataclass(frozen=True, slots=True)
class Chat:
    """What a model is asked, as plain text or as messages, and what was answered, if anything was."""

    prompt: str | tuple[Message, ...]
    answer: str | None = None

    @property
    def id(self) -> str:
        """Content hash of what is asked."""
        asked = self.prompt if isinstance(self.prompt, str) else [dict(m) for m in self.prompt]
        return content_id("chat", asked)

    def asked(self, chat: bool) -> Prompt:
        """Return the prompt: messages for a chat model, else text."""
        if isinstance(self.prompt, str):
            if not chat:
                return Prompt(text=self.prompt)
            return Prompt(messages=({"role": "user", "content": self.prompt},))
        if chat:
            return Prompt(messages=self.prompt)
        return Prompt(text="\n\n".join(m["content"] for m in self.prompt) + "\n\n")


def read_chats(path: Path, *, answered: bool) -> list[Chat]:
    """Return the rows of a file; with `answered` each must have an answer, else answers are left out. Raises QuestionError."""
    found = [_chat(row, place, answered) for place, row in read_file(path)]
    rows = found if answered else [Chat(chat.prompt) for chat in found]
    return list({(chat.id, chat.answer): chat for chat in rows}.values())


def chats_digest(chats: Sequence[Chat]) -> str:
    """Return a content hash of rows; order counts."""
    return content_id([[chat.id, chat.answer] for chat in chats])


def _chat(row: Mapping[str, Any], place: str, answered: bool) -> Chat:
    if isinstance(row.get("messages"), list):
        said = _messages(row["messages"], place)
        if said[-1]["role"] == "assistant":
            chat = Chat(_asking(said[:-1], place), said[-1]["content"])
        else:
            chat = Chat(_asking(said, place))
    elif "prompt" in row:
        prompt, answer = row["prompt"], row.get("completion")
        if isinstance(answer, list):
            last = _messages(answer, place)
            answer = last[-1]["content"]
        if isinstance(prompt, list):
            chat = Chat(_asking(_messages(prompt, place), place), answer)
        elif isinstance(prompt, str) and prompt.strip():
            chat = Chat(prompt, answer)
        else:
            raise QuestionError(f"{place}: its prompt is empty, or neither text nor messages")
    else:
        raise QuestionError(f"{place}: a chat row is {FORMS}; this one has {', '.join(row) or 'nothing'}")
    if answered and (not isinstance(chat.answer, str) or not chat.answer.strip()):
        raise QuestionError(
            f"{place}: there is no answer in it; a row to learn from is {FORMS}, the last message the assistant's"
        )
    return chat


def _messages(value: list[Any], place: str) -> tuple[Message, ...]:
    for message in value:
        known = (
            isinstance(message, dict)
            and isinstance(message.get("role"), str)
            and isinstance(message.get("content"), str)
        )
        if not known:
            raise QuestionError(f"{place}: a message is {{role, content}}, both text; this one is {str(message)[:80]}")
    if not value:
        raise QuestionError(f"{place}: no messages in it")
    return tuple({"role": m["role"], "content": m["content"]} for m in value)


def _asking(messages: tuple[Message, ...], place: str) -> tuple[Message, ...]:
    if not messages or messages[-1]["role"] == "assistant":
        raise QuestionError(f"{place}: the answer has no question before it")
    return messages
