"""Holds the house rules that no linter knows: run as a script by `make lint`. Exit code 1 and a list when one is broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 600


def main() -> int:
    """Return 0 when every source file has at most LIMIT lines and starts with a docstring."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    files = [ROOT / name for name in listed.stdout.split()] or [*ROOT.glob("src/**/*.py"), *ROOT.glob("tests/**/*.py")]
    broken = []
    for path in files:
        if not path.exists():
            continue
        text = path.read_text(encoding="utf-8")
        lines = text.count("\n")
        if lines > LIMIT:
            broken.append(f"{path.relative_to(ROOT)}: {lines} lines, at most {LIMIT}: cut it along a seam")
        if text.strip() and not text.lstrip().startswith(('"""', 'r"""', "#!")):
            broken.append(f"{path.relative_to(ROOT)}: its first lines do not say what it promises (module docstring)")
    print("\n".join(broken) or f"house: {len(files)} files in order")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
