"""From a Prompt to the tokens that a model sees. One place, so that every engine counts and feeds the same tokens.

Promises: messages go through the tokenizer's chat template where there is one (unless `chat` is false); else their texts are joined by
blank lines. A plain text goes in as it is, with the tokenizer's own special tokens (such as BOS).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from midway.engines.base import EngineError
from midway.recipe import ModelConfig
from midway.records import Message, Prompt

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json", "tokenizer_config.json",
)  # fmt: skip


def load_tokenizer(path: str, config: ModelConfig) -> Any:
    """Load the tokenizer of a model. Raises EngineError, saying what to do, when there is none."""
    from transformers import AutoTokenizer

    say_once()
    folder = Path(path).expanduser()
    if folder.is_dir() and not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise EngineError(
            f"{path} has no tokenizer (looked for {', '.join(TOKENIZER_FILES[:3])})\n"
            f'  save the base model\'s there: AutoTokenizer.from_pretrained(BASE).save_pretrained("{path}")'
        )
    try:
        return AutoTokenizer.from_pretrained(
            str(folder) if folder.is_dir() else path,
            revision=None if folder.is_dir() else config.revision,
            trust_remote_code=config.trust_remote_code,
        )
    except (OSError, ValueError, KeyError) as error:
        raise EngineError(
            f"the tokenizer of {path} cannot be loaded: {first_line(error)}\n"
            "  `model.path` is a directory, a model of the Hub (org/name), or a name of `midway list models`"
        ) from error


class _Once(logging.Filter):
    """Lets a warning about a tokenizer through the first time in this process."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if record.levelno != logging.WARNING or "token" not in f"{record.name} {text}".lower():
            return True
        new = text not in self.said
        self.said.add(text)
        return new


_ONCE = _Once()


def say_once() -> None:
    """Have transformers say each of its warnings about tokenizers once in this process, not at every load."""
    from transformers.utils import logging as theirs

    theirs.get_verbosity()  # puts its handler in place
    for handler in logging.getLogger("transformers").handlers:
        handler.addFilter(_ONCE)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its type when it has none."""
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__


def uses_chat(tokenizer: Any, config: ModelConfig) -> bool:
    """Return whether messages go through the chat template. Raises EngineError when `chat: true` and there is none."""
    has = bool(getattr(tokenizer, "chat_template", None))
    if config.chat is True and not has:
        raise EngineError(f"the tokenizer of {config.path} has no chat template\n  set `model.chat: auto` or `false`")
    return has and config.chat is not False


def turn_end(tokenizer: Any) -> str | None:
    """Return the token with which the chat template ends an assistant's turn, None if it is none of the vocabulary.

    Some base checkpoints (Qwen2.5's) have another EOS than that: who learns from chat messages learns to end with this token, so
    engines and RL must stop there too.
    """
    turn = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "@@"}]
    try:
        text = str(tokenizer.apply_chat_template(turn, tokenize=False))
    except Exception as error:  # a template may refuse anything, with exceptions of its own
        raise EngineError(
            f"the chat template refuses a plain exchange: {first_line(error)}\n  set `model.chat: false`"
        ) from error
    tail = text.rpartition("@@")[2].strip()
    special = [
        token for token in tokenizer.get_added_vocab() if tail.startswith(token)
    ]  # Phi's has two, one after the other
    if special:
        return str(max(special, key=len))
    return tail if tail and tail in tokenizer.get_vocab() else None


def plain_text(prompt: Prompt) -> str:
    """Return a prompt as plain text: its text, or its messages joined by blank lines."""
    return prompt.text or "\n\n".join(m["content"] for m in prompt.messages) + ("\n\n" if prompt.messages else "")


def chat_text(messages: Sequence[Message], tokenizer: Any, template: Mapping[str, Any] | None = None) -> str:
    """Return messages in the model's chat template, ready for an answer; `template` is what it is given besides (`enable_thinking`).

    Raises EngineError for a template that refuses them, is broken, or leaves a message out, as one that shows only lists of parts.
    """
    try:
        text = str(
            tokenizer.apply_chat_template(
                [dict(m) for m in messages], tokenize=False, add_generation_prompt=True, **(template or {})
            )
        )
    except Exception as error:  # a template may refuse anything, with exceptions of its own
        raise EngineError(
            f"the chat template cannot show a prompt of {', '.join(m['role'] for m in messages)}: {first_line(error)}\n"
            "  set `model.chat: false`, or correct the template in the tokenizer's folder"
        ) from error
    flat = ""
    for message in messages:
        words = message["content"].strip()
        if words and words not in text:
            flat = flat or "".join(text.split())
            if "".join(words.split()) not in flat:
                raise EngineError(
                    f"the chat template leaves out the {message['role']} message; the prompt would lack: {' '.join(words.split())[:80]!r}\n"
                    "  set `model.chat: false`, or use a template that shows a content that is plain text"
                )
    return text


def render(prompt: Prompt, tokenizer: Any, chat: bool) -> tuple[str, bool]:
    """Return the text of a prompt and whether special tokens are still to be added by the tokenizer."""
    if prompt.messages and chat:
        return chat_text(prompt.messages, tokenizer, prompt.template), False
    return plain_text(prompt), True


def encode(prompt: Prompt, tokenizer: Any, chat: bool) -> list[int]:
    """Return the token ids of a prompt; at least one (BOS or EOS stands for an empty prompt)."""
    text, special = render(prompt, tokenizer, chat)
    ids = list(tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"])
    if ids:
        return ids
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return [start if start is not None else 0]
