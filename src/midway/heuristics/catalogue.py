"""Load heuristics from TOML files: the built-in catalogue, then folders of the user's own.

Promises: every file is checked when it is read (keys, four cues or none, exemplars that name their phases in order or not at all, and end
in the answer form of their domain), so that a prompt is never built from a half-written file. What goes wrong is reported
as CatalogueError: which file, which key, what to write. Answers of exemplars are not judged here (`verify` lies above
this room); the tests do that for the built-in ones.

The format of a file is in docs/heuristics.md; `midway heuristics new SLUG` writes one to fill in (`writing`).
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from midway import registry
from midway.records import PHASE_TITLES, PHASES, UNGUIDED, Domain, Exemplar, Heuristic, UserError

BUILT_IN = Path(__file__).parent / "catalogue"

_TEXTS = ("slug", "title", "short_cue", "description", "fits", "fits_not")
_REQUIRED = ("slug", "title", "description")
_EXEMPLAR_KEYS = ("question", "solution", "answer", "difficulty")
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_HEADING = re.compile(rf"^({'|'.join(PHASE_TITLES[p] for p in PHASES)}):", re.MULTILINE)


class CatalogueError(UserError, ValueError):
    """A heuristic file cannot be used. The message names the file, the key and the cure."""


class UnknownHeuristicError(CatalogueError):
    """No heuristic of that slug. The message lists the nearest ones."""


def load_catalogue(folders: Sequence[Path] = ()) -> dict[str, Heuristic]:
    """Return the built-in heuristics and those of `folders` (every `*.toml` in them), by slug, in order of slug.

    A file in a folder replaces the built-in heuristic of the same slug. Raises CatalogueError for a folder that is
    missing or empty, a malformed file, and two files of the user's with one slug.
    """
    found = dict(_built_in())
    own: dict[str, Path] = {}
    for folder in folders:
        folder = Path(folder)
        if not folder.is_dir():
            raise CatalogueError(f"{folder}: no such folder of heuristics; make it, or take it out of the list")
        paths = sorted(folder.glob("*.toml"))
        if not paths:
            raise CatalogueError(f"{folder}: holds no *.toml file; add one, or take the folder out of the list")
        for path in paths:
            heuristic = read_heuristic(path)
            if heuristic.slug in own:
                raise CatalogueError(
                    f"{path}: slug {heuristic.slug!r} is also in {own[heuristic.slug]}; rename or remove one of the two"
                )
            own[heuristic.slug] = path
            found[heuristic.slug] = heuristic
    return dict(sorted(found.items()))


def get(slug: str, folders: Sequence[Path] = ()) -> Heuristic:
    """Return one heuristic. Raises UnknownHeuristicError with the nearest slugs, and what `load_catalogue` raises."""
    return pick([slug], load_catalogue(folders))[0]


def pick(slugs: Iterable[str], catalogue: Mapping[str, Heuristic]) -> list[Heuristic]:
    """Return the heuristics of `slugs`, in that order. Raises UnknownHeuristicError."""
    chosen = []
    for slug in slugs:
        if slug not in catalogue:
            near = difflib.get_close_matches(
                slug.lower().replace(" ", "-").replace("_", "-"), catalogue, n=3, cutoff=0.5
            )
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(catalogue)}"
            raise UnknownHeuristicError(f"no heuristic {slug!r}; {hint} (`midway heuristics list` shows all)")
        chosen.append(catalogue[slug])
    return chosen


def exemplar_sections() -> dict[str, Domain]:
    """Return section of a heuristic's file -> domain whose questions its exemplars are shown with: every domain's name, and older names."""
    return {
        section: part.name for part in registry.parts("domains") for section in (part.name, part.section) if section
    }


def exemplar_domains(catalogue: Mapping[str, Heuristic]) -> list[Domain]:
    """Return the domains that heuristics of a catalogue have worked examples of."""
    return [name for name in registry.names("domains") if any(h.exemplars.get(name) for h in catalogue.values())]


@cache
def unguided() -> Heuristic:
    """Return the exemplars for few-shot prompts *without* a heuristic: plain worked solutions that name no approach.

    Its slug is `unguided`; it is not part of the catalogue.
    """
    return read_heuristic(Path(__file__).parent / f"{UNGUIDED}.toml")


@cache
def _built_in() -> tuple[tuple[str, Heuristic], ...]:
    return tuple((h.slug, h) for h in map(read_heuristic, sorted(BUILT_IN.glob("*.toml"))))


def read_heuristic(path: Path) -> Heuristic:
    """Read and check one file. Raises CatalogueError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogueError(f"{path}: cannot be read ({error.strerror}); check its name and permissions") from error
    except UnicodeDecodeError as error:
        raise CatalogueError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(
            f"{path}: not valid TOML: {error}; write text with backslashes between ''' and '''"
        ) from error
    sections = exemplar_sections()
    known = {*_TEXTS, "cues", *sections}
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise CatalogueError(
                f"{path}: unknown key {key!r}; "
                + (f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}")
            )
    texts = {key: _text(path, data, key, required=key in _REQUIRED) for key in _TEXTS}
    slug = texts["slug"]
    if not SLUG.fullmatch(slug):
        raise CatalogueError(f"{path}: slug = {slug!r}; use lower-case letters, digits and single hyphens")
    if slug != path.stem:
        raise CatalogueError(f"{path}: slug = {slug!r}, but the file is named {path.name}; rename it to {slug}.toml")
    if slug == UNGUIDED and path.parent != Path(__file__).parent:
        raise CatalogueError(f"{path}: slug {UNGUIDED!r} is kept for completions without a heuristic; choose another")
    cues = data.get("cues")
    if cues is not None and (not isinstance(cues, dict) or set(cues) != set(PHASES)):
        raise CatalogueError(f"{path}: [cues] must have exactly the keys {', '.join(PHASES)}, or be left out")
    return Heuristic(
        **texts,
        cues={phase: _text(path, cues, phase, required=True, where="cues.") for phase in PHASES} if cues else {},
        exemplars={
            domain: tuple(_exemplars(path, section, domain, data[section]))
            for section, domain in sections.items()
            if section in data
        },
    )


def _text(path: Path, data: Mapping[str, Any], key: str, *, required: bool, where: str = "") -> str:
    value = data.get(key, "")
    if not isinstance(value, str):
        raise CatalogueError(f"{path}: {where}{key} is a {type(value).__name__}; write it as text in quotes")
    value = value.strip()
    if required and not value:
        raise CatalogueError(f'{path}: {where}{key} is missing; add  {key} = "..."')
    return value


def _exemplars(path: Path, section: str, domain: str, rows: Any) -> list[Exemplar]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise CatalogueError(f"{path}: write each exemplar under [[{section}]], with two brackets")
    exemplars = []
    for number, row in enumerate(rows, 1):
        where = f"{section}[{number}]."
        for key in row:
            if key not in _EXEMPLAR_KEYS:
                raise CatalogueError(f"{path}: unknown key {where}{key}; known keys: {', '.join(_EXEMPLAR_KEYS)}")
        question, solution, answer = (_text(path, row, key, required=True, where=where) for key in _EXEMPLAR_KEYS[:3])
        difficulty = row.get("difficulty", number)
        if type(difficulty) is not int or difficulty < 1:
            raise CatalogueError(f"{path}: {where}difficulty = {difficulty!r}; write a whole number from 1 (easiest)")
        headings = _HEADING.findall(solution)
        if headings and headings != [PHASE_TITLES[phase] for phase in PHASES]:
            raise CatalogueError(
                f"{path}: {where}solution has the headings {headings}; it needs paragraphs that start with "
                + ", ".join(f"'{PHASE_TITLES[phase]}:'" for phase in PHASES)
                + ", in this order, or none of them"
            )
        exemplar = Exemplar(question=question, solution=solution, answer=answer, difficulty=difficulty)
        if problem := registry.domain(domain).check_exemplar(exemplar):
            raise CatalogueError(f"{path}: {where}{problem}")
        exemplars.append(exemplar)
    return exemplars


def to_markdown(catalogue: Mapping[str, Heuristic]) -> str:
    """Return the catalogue as a Markdown page: `docs/heuristics.md` but for its chapter on the file format (`writing.format_page`)."""
    lines = [
        "# The heuristics",
        "",
        f"The {len(catalogue)} heuristics that come with midway, after George Pólya, *How to Solve It* (1945),",
        "told in our own words.",
        "Written by `midway heuristics list --markdown`; do not edit by hand.",
        "",
        "| slug | title | fits | does not fit | exemplars (math, code, choice) |",
        "|---|---|---|---|---|",
    ]
    for h in catalogue.values():
        counts = ", ".join(str(len(h.exemplars.get(domain, ()))) for domain in exemplar_domains(catalogue))
        lines.append(f"| [`{h.slug}`](#{h.slug}) | {h.title} | {h.fits} | {h.fits_not} | {counts} |")
    for h in catalogue.values():
        lines += ["", f"## {h.slug}", "", f"**{h.title}.** {h.description}", ""]
        lines += [f"- *{PHASE_TITLES[phase]}:* {h.cues[phase]}" for phase in PHASES if phase in h.cues]
        if h.short_cue:
            lines.append(f"- *Short cue:* {h.short_cue}")
    return "\n".join(lines) + "\n"
