"""Writes the generated parts of docs/theory.md: figures, numbers and the text between `<!-- midway theory: NAME -->` marks.

    python docs/theory_page.py            run `midway theory` (about a minute), write docs/theory/ and the page
    python docs/theory_page.py --words    only write the page again, from docs/theory/results.json
    python docs/theory_page.py --run RUN NAME
                                          measure a run (`midway theory --run`), keep it as docs/theory/run-NAME.json with its figures, and
                                          write what stands between the marks `<!-- run NAME: ACCOUNT -->`

tests/theory/test_page.py holds that the page, the numbers and the figures are what the code gives.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from midway.theory import Account, markdown

HERE = Path(__file__).resolve().parent
OUT = HERE / "theory"
PAGE = HERE / "theory.md"


def block(name: str, account: dict[str, Any]) -> str:
    """Return what stands between the marks of one prediction: its account and its figure."""
    text = markdown(Account(**{**account, "panels": ()}))
    return f"{text}\n![{account['title']}](theory/{name}.svg)\n"


def page(text: str, results: dict[str, Any]) -> str:
    """Return the page with every marked part made anew. Raises ValueError for a prediction without marks."""
    for name, found in results["predictions"].items():
        start, end = f"<!-- midway theory: {name} -->\n", f"<!-- /midway theory: {name} -->\n"
        if start not in text or end not in text:
            raise ValueError(f"docs/theory.md has no marks for {name}: add {start.strip()} and {end.strip()}")
        text = re.sub(
            re.escape(start) + ".*?" + re.escape(end),
            lambda _, body=block(name, found["account"]), a=start, b=end: a + body + b,
            text,
            flags=re.DOTALL,
        )
    return with_runs(text)


def with_runs(text: str) -> str:
    """Return the page with the accounts of every kept run that it has marks for."""
    for file in sorted(OUT.glob("run-*.json")):
        run = file.stem.removeprefix("run-")
        for name, account in json.loads(file.read_text(encoding="utf-8"))["accounts"].items():
            start, end = f"<!-- run {run}: {name} -->\n", f"<!-- /run {run}: {name} -->\n"
            body = markdown(Account(**{**account, "panels": ()}))
            if (OUT / f"run-{run}-{name}.svg").is_file():
                body += f"\n![{account['title']}](theory/run-{run}-{name}.svg)\n"
            text = re.sub(
                re.escape(start) + ".*?" + re.escape(end),
                lambda _, body=body, a=start, b=end: a + body + b,
                text,
                flags=re.DOTALL,
            )
    return text


def keep_run(run: str, name: str) -> None:
    """Measure a run and keep what came out; midway says what is wrong with a name."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "midway", "theory", "--run", run, "--json", "--figures", folder],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        (OUT / f"run-{name}.json").write_text(done.stdout, encoding="utf-8")
        for figure in Path(folder).glob("*.svg"):
            shutil.copy(figure, OUT / f"run-{name}-{figure.name}")


def main() -> None:
    """Run what is to be run, write the page."""
    if "--run" in sys.argv:
        keep_run(*sys.argv[sys.argv.index("--run") + 1 :][:2])
        PAGE.write_text(with_runs(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return
    if "--words" not in sys.argv:
        done = subprocess.run(
            [sys.executable, "-m", "midway", "theory", "--json", "--figures", str(OUT)],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        (OUT / "results.json").write_text(done.stdout, encoding="utf-8")
    results = json.loads((OUT / "results.json").read_text(encoding="utf-8"))
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main()
