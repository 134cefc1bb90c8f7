"""Writes the generated parts of docs/theory.md: figures, numbers and the text between `<!-- midway theory: NAME -->` marks.

    python docs/theory_page.py            run `midway theory` (about a minute), write docs/theory/ and the page
    python docs/theory_page.py --words    only write the page again, from docs/theory/results.json

tests/theory/test_page.py holds that the page, the numbers and the figures are what the code gives.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
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
    return text


def main() -> None:
    """Run what is to be run, write the page."""
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
