"""Writing a heuristic of one's own: a commented file to fill in, what is wrong with a file, and the page about the format.

Promises: `new_file` never writes over a file; `problems` tells everything that is missing, not only the first thing.
When things go wrong: CatalogueError, as in `catalogue`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from midway import registry
from midway.heuristics.catalogue import SLUG, CatalogueError, exemplar_sections, load_catalogue, read_heuristic
from midway.records import PHASE_TITLES, PHASES, Heuristic

TEMPLATE = r"""# A heuristic of your own: an approach that a model is asked to solve questions with.
# Check it:    midway heuristics check {slug}.toml
# Look at it:  midway heuristics preview {slug} --folder . --question "What is 6 times 7?"
# Use it:      in a recipe, prompt: {{heuristics: [FOLDER]}} and pools: {{guided: {{heuristics: [{slug}]}}}}

slug = "{slug}"          # the file's name without .toml
title = "{title}"

# Needed: what the approach is, in two or three sentences. The model reads it in every prompt.
description = ""

# Optional. One short sentence for very small models (prompt.style: cue), such as "Work backward."
short_cue = ""
# Optional, for readers only: where the approach fits, and where not.
fits = ""
fits_not = ""

# Optional: what to do in each of the four phases. All four, or leave the section out: then no phases are asked for.
# [cues]
# understand = ""
# plan = ""
# carry_out = ""
# look_back = ""

# Optional: worked examples, the easiest first, under [[math]], [[choice]], [[code]] or another domain. A prompt shows as many as
# prompt.exemplars says, or as there are. Between ''' and ''' backslashes need no care. Begin the paragraphs of a solution with
# {headings}, all four in this order, or with none of them.
# [[math]]
# question = '''
# A box holds 12 eggs. How many eggs are in 4 boxes?
# '''
# solution = '''
# Twelve eggs in each of four boxes: 4 * 12 = 48.
#
# The answer is \boxed{{48}}.
# '''
# answer = "48"
"""


def new_file(slug: str, folder: Path) -> Path:
    """Write `FOLDER/SLUG.toml` to fill in and return its path. Raises CatalogueError for a slug that cannot be, or a file that is there."""
    if not SLUG.fullmatch(slug):
        raise CatalogueError(
            f"{slug!r} is no name for a heuristic; use lower-case letters, digits and single hyphens, such as my-way"
        )
    path = folder / f"{slug}.toml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(template(slug))
    except FileExistsError:
        raise CatalogueError(
            f"{path} is there already; choose another name, or: midway heuristics check {path}"
        ) from None
    except OSError as error:
        raise CatalogueError(f"{path}: cannot be written ({error.strerror}); give another --folder") from error
    return path


def template(slug: str) -> str:
    """Return the text of a file to fill in."""
    headings = ", ".join(f"{PHASE_TITLES[phase]}:" for phase in PHASES)
    return TEMPLATE.format(slug=slug, title=slug.replace("-", " ").capitalize(), headings=headings)


def problems(path: Path) -> Iterator[str]:
    """Yield what is missing or wrong in a file, each with what to write; nothing for one that can be used."""
    empty = list(_empty(path))
    yield from empty
    if not empty:
        try:
            read_heuristic(path)
        except CatalogueError as error:
            yield str(error)


def _empty(path: Path) -> Iterator[str]:
    """What is needed and empty."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return  # read_heuristic says it better
    for key, what in (
        ("slug", "the file's name without .toml"),
        ("title", "a few words"),
        ("description", "what the approach is, in two or three sentences"),
    ):
        if data.get(key, "") == "":
            yield f'{key} is missing: {what}; write  {key} = "..."'
    cues = data.get("cues")
    if isinstance(cues, dict):
        for phase in PHASES:
            if cues.get(phase, "") == "":
                yield f'cues.{phase} is missing: write  {phase} = "..."  or leave the section [cues] out'
    for section in exemplar_sections():
        rows = data.get(section, ())
        for number, row in enumerate(rows if isinstance(rows, list) else (), 1):
            for key in ("question", "solution", "answer"):
                if isinstance(row, dict) and row.get(key, "") == "":
                    yield f"{section}[{number}].{key} is missing: write it, or take the example out"


def missing(heuristic: Heuristic) -> Iterator[str]:
    """Yield what a heuristic does without, and what follows from it."""
    if not heuristic.cues:
        yield "no [cues]: its prompts ask for no phases"
    if not heuristic.short_cue:
        yield "no short_cue: it cannot be used with prompt.style: cue"
    usual = [
        name for name in registry.names("domains") if any(h.exemplars.get(name) for h in load_catalogue().values())
    ]
    if without := [name for name in usual if not heuristic.exemplars.get(name)]:
        yield f"no worked examples of {', '.join(without)}: its prompts for these show none"


def format_page() -> str:
    """Return the chapter of docs/heuristics.md on files of one's own."""
    return "\n".join(
        [
            "",
            "## A heuristic of your own",
            "",
            "<!-- slow -->",
            "```sh",
            "midway heuristics new my-way            # writes my-way.toml, to fill in",
            "```",
            "",
            "<!-- needs: editing -->",
            "```sh",
            "midway heuristics check my-way.toml     # what is missing, what is wrong, what to write",
            "```",
            "",
            "A recipe uses the files of a folder with `prompt: {heuristics: [FOLDER]}`; a file with the slug of a heuristic of midway's",
            "own takes its place. This is the file that `new` writes:",
            "",
            "```toml",
            template("my-way").rstrip("\n"),
            "```",
            "",
            "Worked examples may stand under any domain's name (`[[math]]`, `[[choice]]`, `[[code]]`, `[[text]]` ...). A solution of maths",
            "ends in `\\boxed{}`, one of code in a ```` ```python ```` block (its `answer` holds assert statements), one of choice in",
            "`The answer is (B).`",
            "Files that call the section of choice `[[narrative]]`, as older ones do, still load.",
            "",
        ]
    )
