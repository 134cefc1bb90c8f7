"""Holds the house rules that no linter knows: run as a script by `make lint`. Exit code 1 and a list when one is broken."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 600
CLASS_LIMIT = 250
IMPORTS_BY_NAME = {"midway/__init__.py", "midway/registry/__init__.py", "midway/verifier/pool/worker.py"}
"""The only files of the package that import a module by a string: everything else goes through the registry or imports openly."""
DOMAINS = re.compile(
    r"""(==|!=|\bin\b)\s*[({\[]?\s*["'](math|code|choice|text|python)["']|["'](math|code|choice)["']\s*:"""
)
"""A domain that is told from others by name."""


def main() -> int:
    """Return 0 when every file keeps the rules."""
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
        broken += rules_of_the_package(path, text)
        if text.strip() and not text.lstrip().startswith(('"""', 'r"""', "#!")):
            broken.append(f"{path.relative_to(ROOT)}: its first lines do not say what it promises (module docstring)")
    print("\n".join(broken) or f"house: {len(files)} files in order")
    return 1 if broken else 0


def rules_of_the_package(path: Path, text: str) -> list[str]:
    """Return what a file of src/ breaks: classes that are too large, imports in secret, domains told apart outside their room."""
    if ROOT / "src" not in path.parents:
        return []
    name = path.relative_to(ROOT / "src").as_posix()
    broken = [
        f"{name}: class {node.name} has {node.end_lineno - node.lineno} lines, at most {CLASS_LIMIT}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) and (node.end_lineno or 0) - node.lineno > CLASS_LIMIT
    ]
    if name not in IMPORTS_BY_NAME and re.search(r"\bimport_module\(|\b__import__\(", text):
        broken.append(f"{name}: imports a module by a string; use midway.registry (load_object) or an open import")
    if not name.startswith("midway/domains/") and (found := DOMAINS.search(text)):
        broken.append(f"{name}: tells a domain by its name ({found[0].strip()}); ask registry.domain(name)")
    return broken


if __name__ == "__main__":
    sys.exit(main())
