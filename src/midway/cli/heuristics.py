"""`midway heuristics list | show | preview | new | check`: the Pólya catalogue, files of your own, and exactly what a model will see.

Promises: `list` and `show` need no torch and no model; `preview --model` loads that model's tokenizer (not its weights)
and prints the prompt as the model's chat template renders it, with its token count. An unknown slug, a malformed file,
a model without tokenizer end with exit code 2 and what to type next.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from midway.cli.saying import say, stop
from midway.wording import plural

if TYPE_CHECKING:
    from midway.records import Heuristic, Prompt, Question

_FOLDER = typer.Option(None, "--folder", help="A folder with heuristic files of your own; may be given again.")
_MODEL = typer.Option(None, "--model", help="Hub id or folder of a model; only its tokenizer is loaded.")


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""
    verbs = typer.Typer(no_args_is_help=True, help="The catalogue of heuristics, and the prompts made of it.")
    verbs.command("list")(list_)
    verbs.command("show")(show)
    verbs.command("preview")(preview)
    verbs.command("new")(new)
    verbs.command("check")(check)
    app.add_typer(verbs, name="heuristics")


@contextmanager
def _told() -> Iterator[None]:
    """Turn an error that the user can mend into exit code 2 and its message."""
    from midway.heuristics import CatalogueError, PromptError

    try:
        yield
    except (CatalogueError, PromptError) as error:
        raise stop(str(error)) from error


def list_(
    json_: bool = typer.Option(False, "--json", help="One JSON array, everything but the exemplars' text."),
    markdown: bool = typer.Option(False, "--markdown", help="The page docs/heuristics.md."),
    model: str | None = _MODEL,
    folder: list[Path] | None = _FOLDER,
) -> None:
    """List the heuristics; with --model, the tokens of each one's longest prompt without the question."""
    import json

    from midway.heuristics import format_page, load_catalogue, to_markdown
    from midway.heuristics.catalogue import exemplar_domains

    with _told():
        catalogue = load_catalogue(folder or [])
        if markdown:
            typer.echo(to_markdown(catalogue) + format_page(), nl=False)
            return
        tokens = {h: _longest(catalogue[h], model) for h in catalogue} if model else {}
    if json_:
        rows = []
        for slug, h in catalogue.items():
            row: dict[str, Any] = {
                "slug": slug,
                "title": h.title,
                "short_cue": h.short_cue,
                "description": h.description,
            }
            row |= {"fits": h.fits, "fits_not": h.fits_not, "cues": dict(h.cues)}
            row["exemplars"] = {domain: len(h.exemplars.get(domain, ())) for domain in exemplar_domains(catalogue)}
            if model:
                row["tokens"] = tokens[slug]
            rows.append(row)
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    width = max(map(len, catalogue))
    header = f"{'slug':<{width}}  " + "".join(f"{domain:>7}" for domain in exemplar_domains(catalogue))
    note = " tokens with all exemplars" if model else " exemplars"
    typer.echo(f"{header} {note}")
    for slug, h in catalogue.items():
        values = (tokens[slug][d] if model else len(h.exemplars.get(d, ())) for d in exemplar_domains(catalogue))
        typer.echo(f"{slug:<{width}}  " + "".join(f"{value:>7}" for value in values) + f"  {h.title}")


def show(slug: str, folder: list[Path] | None = _FOLDER) -> None:
    """Show one heuristic: description, cues, when it fits, and its exemplars."""
    from midway.heuristics import get
    from midway.records import PHASE_TITLES, PHASES

    with _told():
        h = get(slug, folder or [])
    typer.echo(f"{h.title} ({h.slug})\n\n{h.description}\n")
    for phase in PHASES:
        if phase in h.cues:
            typer.echo(f"  {PHASE_TITLES[phase]}: {h.cues[phase]}")
    for label, text in (("Fits", h.fits), ("Does not fit", h.fits_not), ("Short cue", h.short_cue)):
        if text:
            typer.echo(f"\n{label}: {text}")
    for domain in h.exemplars:
        for number, e in enumerate(h.exemplars.get(domain, ()), 1):
            typer.echo(f"\n--- {domain} {number}, difficulty {e.difficulty}\n{e.question}\n\n{e.solution}")


def new(
    slug: str = typer.Argument(help="Its name: lower-case letters, digits and hyphens, such as my-way."),
    folder: Path = typer.Option(Path("."), "--folder", help="Where the file is written."),
) -> None:
    """Write SLUG.toml, a heuristic of your own to fill in, with notes on every field."""
    from midway.heuristics import new_file

    with _told():
        path = new_file(slug, folder)
    typer.echo(f"{path}: write its description, then: midway heuristics check {path}")


def check(file: Path = typer.Argument(help="A heuristic file of your own (*.toml).")) -> None:
    """Say what a heuristic file has, what is wrong with it and what to write; the answers of its examples are judged."""
    from midway.heuristics import missing, problems, read_heuristic

    if found := [*problems(file)]:
        for line in found:
            typer.echo(line)
        say(f"{file}: {plural(len(found), 'thing')} to write or correct")
        raise typer.Exit(1)
    heuristic = read_heuristic(file)
    wrong = list(_wrong_examples(heuristic))
    for line in (*wrong, *missing(heuristic)):
        typer.echo(line)
    counts = ", ".join(f"{len(of)} of {domain}" for domain, of in heuristic.exemplars.items()) or "none"
    typer.echo(f"{file}: {'in order' if not wrong else 'examples to correct'}; worked examples: {counts}")
    if wrong:
        raise typer.Exit(1)


def _wrong_examples(heuristic: Heuristic) -> Iterator[str]:
    """What the verifier says of each worked example's solution, where it is not that it is right."""
    from midway import registry
    from midway.domains import Verifier, question_of

    with Verifier(1) as verifier:
        for domain, examples in heuristic.exemplars.items():
            for number, example in enumerate(examples, 1):
                columns = registry.domain(domain).example_columns(example)
                if columns is None:
                    continue
                verdict = verifier.verify(question_of({"domain": domain, **columns}), example.solution)
                if not verdict.correct:
                    yield f"{domain}[{number}]: its solution does not verify against its answer ({verdict.judgement}: {verdict.reason})"


def preview(
    slug: str = typer.Argument(help="A heuristic, or `unguided` for none."),
    question: str = typer.Option(
        ..., "--question", help="The question, or a file: text, or JSON (first line) with question, choices, tests ..."
    ),
    model: str | None = _MODEL,
    domain: str = typer.Option("math", "--domain", help="math, code or choice; a JSON file's own `domain` goes first."),
    exemplars: int | None = typer.Option(None, "--exemplars", help="0 to 3; default 1, for `unguided` 0."),
    phases: bool = typer.Option(True, "--phases/--no-phases", help="Ask for the four phases as headings."),
    style: str = typer.Option("boxed", "--style", help="boxed, plain or cue."),
    chat: bool | None = typer.Option(None, "--chat/--base", help="Default: chat if the tokenizer has a template."),
    folder: list[Path] | None = _FOLDER,
) -> None:
    """Print exactly what the model will see, then the number of tokens and the version of the prompt (on stderr)."""
    from midway.heuristics import build_prompt, get, prompt_version
    from midway.records import UNGUIDED

    with _told():
        asked = _question(question, domain)
        heuristic = None if slug == UNGUIDED else get(slug, folder or [])
        tokenizer = _tokenizer(model) if model else None
        as_chat = chat if chat is not None else tokenizer is None or bool(tokenizer.chat_template)
        settings: dict[str, Any] = {"chat": as_chat, "phases": phases, "exemplars": exemplars, "style": style}
        prompt = build_prompt(asked, heuristic, **settings)
        version = prompt_version(heuristic, asked.domain, **settings)
        text = _rendered(prompt, tokenizer)
    typer.echo(text)
    if tokenizer is None:
        size = f"{len(text)} characters; give --model for the model's own template and its tokens"
    else:
        # the template writes its special tokens itself; for plain text the tokenizer adds them
        size = f"{len(tokenizer(text, add_special_tokens=not as_chat)['input_ids'])} tokens"
    typer.echo(f"[{size}; prompt version {version}]", err=True)


def _question(text: str, domain: str) -> Question:
    """Make a question of the option's text, or of the file it names."""
    import json
    from dataclasses import replace

    from midway import registry
    from midway.heuristics import PromptError
    from midway.records import Question

    row: dict[str, Any] = {"question": text}
    path = Path(text) if len(text) < 1024 and "\n" not in text else None
    if path is not None and path.is_file():
        content = path.read_text(encoding="utf-8")
        if path.suffix in (".json", ".jsonl"):
            try:
                row = json.loads(content if path.suffix == ".json" else content.strip().splitlines()[0])
            except (json.JSONDecodeError, IndexError) as error:
                raise PromptError(
                    f"{path}: no JSON object in it ({error}); write one object with `question`"
                ) from error
            if not isinstance(row, dict):
                raise PromptError(f"{path}: holds a {type(row).__name__}; write one JSON object with `question`")
        else:
            row = {"question": content.strip()}
    domain = row.get("domain", domain)
    if not registry.has("domains", domain):
        raise PromptError(f"--domain is {domain!r}; it must be one of {', '.join(registry.names('domains'))}")
    asked = row.get("text") or row.get("question") or row.get("prompt") or ""
    if row.get("narrative"):
        asked = f"{row['narrative']}\n\n{asked}"
    if not asked:
        raise PromptError(f"{text}: no question in it; write it under the key `question`")
    try:
        found = registry.domain(domain).of_columns({**row, "question": asked})
    except (KeyError, TypeError, ValueError):  # a question without its gold can be shown all the same
        found = Question(domain=domain, text=asked, choices=tuple(row.get("choices", ())))
    return replace(found, text=asked, id="")


def _tokenizer(model: str) -> Any:
    from midway.heuristics import PromptError
    from midway.registry import install

    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise PromptError(f"--model needs {error.name}, which is not installed\n  {install('train')}") from error
    try:
        return AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise PromptError(
            f"no tokenizer for {model!r}: {str(error).splitlines()[0]}; give a folder with tokenizer files, or "
            f"download the model first (`hf download {model}`)"
        ) from error


def _rendered(prompt: Prompt, tokenizer: Any) -> str:
    """Return the text that the model sees; without a tokenizer, the messages one after the other."""
    if not prompt.messages:
        return prompt.text
    if tokenizer is None:
        return "\n\n".join(f"[{m['role']}]\n{m['content']}" for m in prompt.messages)
    from jinja2.exceptions import TemplateError

    from midway.heuristics import PromptError, fold_system

    if not tokenizer.chat_template:
        raise PromptError("this tokenizer has no chat template; leave out --chat, or add --base")

    def apply(p: Prompt) -> str:
        messages = [dict(m) for m in p.messages]
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    try:
        return apply(prompt)
    except TemplateError:  # some templates refuse a system message; then it opens the first user message
        return apply(fold_system(prompt))


def _longest(heuristic: Any, model: str) -> dict[str, int]:
    """Return for each domain the tokens of the prompt with all exemplars and an empty question."""
    from midway import registry
    from midway.heuristics import build_prompt

    tokenizer = _tokenizer(model)
    chat = bool(tokenizer.chat_template)
    counts: dict[str, int] = {}
    for domain in heuristic.exemplars:
        question = registry.domain(domain).probes()[0]
        prompt = build_prompt(question, heuristic, chat=chat, exemplars=len(heuristic.exemplars.get(domain, ())))
        text = _rendered(prompt, tokenizer)
        counts[domain] = len(tokenizer(text, add_special_tokens=not chat)["input_ids"])
    return counts
