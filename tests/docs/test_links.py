"""Links between pages lead somewhere as GitHub shows them, places within pages too. Figures in prose are those of the runs. One version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import midway
from midway.report.words import verdict
from midway.results import read_results

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def places(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", without_code(page), flags=re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
        count = 0
        while (slug if not count else f"{slug}-{count}") in found:
            count += 1
        found.add(slug if not count else f"{slug}-{count}")
    return found


def test_links_and_places_are_there() -> None:
    dead, seen = [], 0
    for page in PAGES:
        for link in LINK.findall(re.sub(r"`[^`]*`", "", without_code(page))):
            if "://" in link or link.startswith("mailto:"):
                continue
            seen += 1
            path, _, place = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists():
                dead.append(f"{page.name}: {link}")
            elif place and target.suffix == ".md" and place not in places(target):
                dead.append(f"{page.name}: {link}: no such heading")
    assert not dead, dead
    assert seen > 100


def test_the_readme_is_short_and_its_figures_are_those_of_the_runs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 120
    real = (ROOT / "docs/real.md").read_text(encoding="utf-8")
    said = text[text.index("**On a real model**") :].partition("\n\n")[0]
    figures = re.findall(r"[+−]?\d+\.\d|\[[^\]\d]*−?\d+\.\d, [^\]]*\d\]", said)
    assert len(figures) >= 4 and not [f for f in figures if f not in real], figures
    words = " ".join(verdict(read_results(ROOT / "docs/example-report/results.json")).sentences)
    repeated = set(re.findall(r"repeats (\d+) %", words))
    for page in ("README.md", "docs/arms.md", "docs/method.md", "docs/lab.md"):
        prose = without_code(ROOT / page).partition("<!-- /example report -->")
        said = " ".join((prose[2] or prose[0]).split())
        found = re.findall(r"repeat\w*\s.{0,12}?(\d+) % (?:and \D{0,20}(\d+) %|of)", said)
        assert found and {share for pair in found for share in pair if share} <= repeated, (page, found)


def test_the_version_stands_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"] and "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/midway/__init__.py"
    assert f"\nversion: {midway.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
