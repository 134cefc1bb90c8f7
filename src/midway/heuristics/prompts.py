"""The one prompt builder: what a model sees for a question, with or without a heuristic.

Promises: pure text in, `Prompt` out; the same arguments give the same prompt on every machine. The order is heuristic,
exemplars, question, so that everything up to the question is the same for all questions of a heuristic and may be
computed once (`Prompt.shared`). What cannot be built (an exemplar that does not exist, a choice question without
choices) raises PromptError with the numbers; nothing is silently left out.

Three styles:

- `boxed` (default): the question and the answer form that the verifier prefers: `\\boxed{}` for math, one fenced
  program for code, `The answer is (B).` for choice. With a heuristic: its description, cues and exemplars come first.
- `plain`: the question as it is, no instruction (choice: with its options). With a heuristic this is refused.
- `cue`: for very small models: the heuristic's one-sentence `short_cue`, a space, the question as it is.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal, get_args

from midway import registry
from midway.heuristics.catalogue import unguided
from midway.records import (
    PHASE_TITLES,
    PHASES,
    Domain,
    Exemplar,
    Heuristic,
    Message,
    Prompt,
    Question,
    UserError,
    content_id,
)
from midway.wording import plural

Style = Literal["boxed", "plain", "cue"]

QUESTION_MARK = "### Question"
SOLUTION_MARK = "### Solution"
STOP_STRINGS: tuple[str, ...] = (f"\n{QUESTION_MARK}",)
"""Stop strings for plain-text prompts: a base model that has finished goes on to invent the next question."""

_HEADING = re.compile(rf"^(?:{'|'.join(PHASE_TITLES[p] for p in PHASES)}):[ \n]*", re.MULTILINE)


class PromptError(UserError, ValueError):
    """The prompt that was asked for cannot be built. The message says what is missing and what to change."""


def answer_form(domain: Domain) -> str:
    """Return the one sentence that asks for the final answer in the form that the verifier prefers."""
    return registry.domain(domain).answer_form


def render_question(question: Question) -> str:
    """Return the question as the model reads it, without any instruction on the form of the answer: as its domain shows it.

    Raises PromptError for a choice question without choices.
    """
    return registry.domain(question.domain).show(question)


def _guidance(heuristic: Heuristic, domain: Domain, phases: bool) -> str:
    parts = [f"Solve the question with this approach: {heuristic.title}.\n{heuristic.description}"]
    if phases and heuristic.cues:
        steps = "\n".join(f"{PHASE_TITLES[phase]}: {heuristic.cues[phase]}" for phase in PHASES)
        parts.append(f"Write four short parts, each beginning with its heading:\n{steps}")
    elif heuristic.cues:
        parts.append("\n".join(f"- {heuristic.cues[phase]}" for phase in PHASES))
    parts.append(
        "Keep to this approach even where another would do. The solution must stand on its own: do not speak of these "
        f"instructions. {answer_form(domain)}"
    )
    return "\n\n".join(parts)


def _exemplar_turn(exemplar: Exemplar, domain: Domain, phases: bool) -> tuple[str, str]:
    question = registry.domain(domain).exemplar_question(exemplar)
    solution = exemplar.solution if phases else _HEADING.sub("", exemplar.solution)
    return question, solution


def build_prompt(
    question: Question,
    heuristic: Heuristic | None,
    *,
    chat: bool,
    phases: bool = True,
    exemplars: int | None = None,
    system: str | None = None,
    style: Style = "boxed",
) -> Prompt:
    """Return what the model sees.

    Args:
        question: the question; exemplars of its domain are shown.
        heuristic: the approach to ask for; None asks for none (unguided pools, fine-tuning, RL, evaluation).
        chat: messages for a model with a chat template (guidance in the system message, exemplars as turns), else
            plain text that ends where the solution begins; give the engine STOP_STRINGS then.
        phases: ask for the four phases as headings, where the heuristic has them, and show them in the exemplars; never
            without a heuristic.
        exemplars: how many worked exemplars at most, easiest first; None is 1 with a heuristic and 0 without. Without a
            heuristic the exemplars are plain solutions that name no approach (a few-shot control).
        system: text of your own in front of everything else.
        style: see the module.

    Raises PromptError: without a heuristic, more exemplars than there are; a style that does not go with the other arguments.
    """
    if style not in get_args(Style):
        raise PromptError(f"style is {style!r}; it must be one of {', '.join(get_args(Style))}")
    if style != "boxed":
        return _short_prompt(question, heuristic, chat=chat, exemplars=exemplars, system=system, style=style)
    domain = question.domain
    turns = [_exemplar_turn(e, domain, phases and heuristic is not None) for e in _choose(heuristic, domain, exemplars)]
    head = [system.strip()] if system and system.strip() else []
    asked = render_question(question)
    if heuristic is not None:
        head.append(_guidance(heuristic, domain, phases))
    elif turns:
        head.append(answer_form(domain))
    else:
        asked = f"{asked}\n{answer_form(domain)}"
    if chat:
        messages: list[Message] = [{"role": "system", "content": "\n\n".join(head)}] if head else []
        for given, solution in turns:
            messages += [{"role": "user", "content": given}, {"role": "assistant", "content": solution}]
        return Prompt(messages=(*messages, {"role": "user", "content": asked}), shared=len(messages))
    blocks = [*head, *(f"{QUESTION_MARK}\n{given}\n\n{SOLUTION_MARK}\n{solution}" for given, solution in turns)]
    prefix = "\n\n".join([*blocks, f"{QUESTION_MARK}\n"])
    return Prompt(text=f"{prefix}{asked}\n\n{SOLUTION_MARK}\n", shared=len(prefix))


def _short_prompt(
    question: Question,
    heuristic: Heuristic | None,
    *,
    chat: bool,
    exemplars: int | None,
    system: str | None,
    style: Style,
) -> Prompt:
    if exemplars:
        raise PromptError(f"style {style!r} shows no exemplars; set exemplars to 0 or use style 'boxed'")
    cue = ""
    if heuristic is not None:
        if style == "plain":
            raise PromptError(f"style 'plain' leaves no room for heuristic {heuristic.slug!r}; use 'boxed' or 'cue'")
        if not heuristic.short_cue:
            raise PromptError(
                f"heuristic {heuristic.slug!r} has no short_cue; add one to its file or use style 'boxed'"
            )
        cue = f"{heuristic.short_cue} "
    text = registry.domain(question.domain).show_short(question)
    if chat:
        messages: tuple[Message, ...] = ({"role": "system", "content": system.strip()},) if system else ()
        return Prompt(messages=(*messages, {"role": "user", "content": cue + text}), shared=len(messages))
    prefix = (f"{system.strip()}\n\n" if system else "") + cue
    return Prompt(text=prefix + text, shared=len(prefix))


def _choose(heuristic: Heuristic | None, domain: Domain, exemplars: int | None) -> tuple[Exemplar, ...]:
    wanted = exemplars if exemplars is not None else int(heuristic is not None)
    if wanted == 0:
        return ()
    source = heuristic if heuristic is not None else unguided()
    there = source.exemplars.get(domain, ())
    if heuristic is not None:
        wanted = min(
            wanted, len(there)
        )  # a heuristic serves also domains that it has fewer worked examples of, or none
    if not 0 <= wanted <= len(there):
        raise PromptError(
            f"prompt.exemplars asks for {plural(wanted, 'worked example')} of {domain}, and {source.slug} has {len(there)}: "
            f"set it to {f'a number from 0 to {len(there)}' if there else '0'}, or add some to its file"
        )
    return registry.domain(domain).exemplars(there, wanted)


def fold_system(prompt: Prompt) -> Prompt:
    """Return the prompt with its system message moved to the front of the first user message.

    For chat templates that refuse a system message. With exemplars the shared part stays shared; without, it becomes
    the question's own message and `shared` is 0.
    """
    if not prompt.messages or prompt.messages[0]["role"] != "system":
        return prompt
    first, second, *rest = prompt.messages
    merged: Message = {"role": "user", "content": f"{first['content']}\n\n{second['content']}"}
    return replace(prompt, messages=(merged, *rest), shared=max(0, prompt.shared - 1))


def prompt_version(
    heuristic: Heuristic | None,
    domain: Domain,
    *,
    chat: bool,
    phases: bool = True,
    exemplars: int | None = None,
    system: str | None = None,
    style: Style = "boxed",
) -> str:
    """Return a content hash of everything in the prompts of these settings but the question; part of a completion's id.

    It is the hash of the prompts of fixed probe questions, so it changes with any wording that a question of `domain`
    could see (description, cues, exemplars shown, separators, answer form) and with nothing else.
    """
    if not registry.has("domains", domain):
        raise PromptError(f"domain is {domain!r}; it must be one of {', '.join(registry.names('domains'))}")
    keys = [
        build_prompt(probe, heuristic, chat=chat, phases=phases, exemplars=exemplars, system=system, style=style).key()
        for probe in registry.domain(domain).probes()
    ]
    return content_id("prompt", *keys)
