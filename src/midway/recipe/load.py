"""Reading recipes: YAML files, `extends`, overrides, and errors that a reader can act on. Imports no torch.

A recipe may start from another one: `extends: other.yaml` (path relative to the file, or the name of a shipped recipe); mappings are
merged key by key, everything else is replaced. Overrides (`section.key=value`, the value read as YAML, `null` to remove a key) come
last. A mistake raises RecipeError, whose text names the file, the place in it, what is wrong and what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from midway.recipe.schema import Recipe
from midway.recipe.section import RecipeError, lines
from midway.registry import near

SHIPPED = (Path(__file__).parents[1] / "_recipes", Path(__file__).parents[3] / "recipes")
"""Where shipped recipes are: in the wheel, in a source tree."""


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with midway by name (`demo`, `lab/main`, ...)."""
    folder = next((f for f in SHIPPED if f.is_dir()), None)
    if folder is None:
        return {}
    return {p.relative_to(folder).with_suffix("").as_posix(): p for p in sorted(folder.rglob("*.yaml"))}


def find_recipe(name: str | Path) -> Path:
    """Return the file of a recipe given by path or by shipped name. Raises RecipeError with near names."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = shipped_recipes()
    key = path.with_suffix("").as_posix() if path.suffix in (".yaml", ".yml") else str(name)
    for candidate in (key, key.removeprefix("recipes/")):
        if candidate in shipped:
            return shipped[candidate]
    raise RecipeError(f"{name}: no such file, and no shipped recipe of that name{near(str(name), list(shipped))}")


def _read(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not valid YAML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from None
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise RecipeError(f"{path}: a recipe is a mapping (`model: ...`), this is a {type(value).__name__}")
    if path.suffix == ".json" and isinstance(value.get("recipe"), dict):
        value = dict(value["recipe"])  # a run's resolved.json: the recipe as it ran, overrides included
    parent = value.pop("extends", None)
    if parent is None:
        return value
    beside = path.parent / str(parent)
    return merge(_read(beside if beside.is_file() else find_recipe(str(parent))), value)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `over` on top: mappings key by key, everything else replaced; a null removes a key."""
    out = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(out.get(key), Mapping):
            out[key] = merge(out[key], value)
        elif value is None:
            out.pop(key, None)
        else:
            out[key] = value
    return out


def apply_override(tree: dict[str, Any], override: str) -> None:
    """Set `a.b.c=value` in `tree`; a number selects an item of a list. Raises RecipeError for a malformed override."""
    path, eq, text = override.partition("=")
    if not eq or not path.strip():
        raise RecipeError(f"override {override!r}: write section.key=value, such as pools.guided.samples=8")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"override {override!r}: the value is not valid YAML: {error}") from None
    node: Any = tree
    keys = path.strip().split(".")
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                raise RecipeError(f"override {override!r}: {'.'.join(keys[:depth])} has items 0 to {len(node) - 1}")
            if last:
                node[int(key)] = value
            else:
                node = node[int(key)]
        elif isinstance(node, dict):
            if last and value is None:
                node.pop(key, None)
            elif last:
                node[key] = value
            else:
                if not isinstance(node.get(key), dict | list):
                    node[key] = {}
                node = node[key]
        else:
            raise RecipeError(f"override {override!r}: {'.'.join(keys[:depth])} is no section")


def _explain(error: ValidationError, where: str) -> str:
    found = list(lines(error, Recipe, "recipe"))
    return f"{where}: " + ("\n  ".join(["", *found]) if len(found) > 1 else found[0])


def load_recipe(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe in a file or of a shipped name, with overrides applied. Raises RecipeError.

    Relative paths inside the recipe (files of questions, recorded completions) are looked up from the working directory
    first, then beside the recipe, then among the files that come with midway.
    """
    path = find_recipe(name)
    tree = _read(path)
    shipped = next((key for key, file in shipped_recipes().items() if file.resolve() == path.resolve()), path.stem)
    tree.setdefault("name", shipped.replace("/", "-"))
    arms = tree.get("arms")
    if isinstance(arms, dict):  # the short form of an arm has no fields that an override could reach
        tree["arms"] = {k: {"midtrain": v} if isinstance(v, list) else v for k, v in arms.items()}
    for override in overrides:
        apply_override(tree, override)
    try:
        return Recipe.model_validate(_with_files(tree, path.parent))
    except ValidationError as error:
        raise RecipeError(_explain(error, str(path))) from None


def _with_files(tree: Any, folder: Path) -> Any:
    """Replace relative file names that exist beside the recipe but not in the working directory by full paths."""
    if isinstance(tree, dict):
        return {
            k: _beside(v, folder) if k in FILE_KEYS and isinstance(v, str) else _with_files(v, folder)
            for k, v in tree.items()
        }
    if isinstance(tree, list):
        return [_with_files(v, folder) for v in tree]
    if isinstance(tree, str) and _PYTHON.fullmatch(tree):  # a plug-in, or a function in one (`my_judge.py:judge`)
        file, colon, name = tree.partition(".py")
        return f"{_beside(file + '.py', folder)}{name}" if colon else tree
    return tree


FILE_KEYS = ("source", "path", "data", "checkpoint", "prompts")
"""Keys whose values may be the name of a file."""
_PYTHON = re.compile(r"[^\s:]+\.py(:\w+)?")


FIXTURES = Path(__file__).parents[1] / "questions" / "fixtures"
"""Small files of questions and completions that come with midway; shipped recipes name them."""


def _beside(value: str, folder: Path) -> str:
    if ("/" in value or "." in value) and not Path(value).exists():
        for place in (folder, FIXTURES):
            if (place / value).is_file() or (place / value).is_dir():
                return str((place / value).resolve())
    return value


def loads_recipe(tree: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Return a recipe from a mapping (as stored in a run's resolved.json). Raises RecipeError."""
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(_explain(error, where)) from None
