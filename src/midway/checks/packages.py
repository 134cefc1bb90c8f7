"""Whether what the recipe's engines and its trainer need is installed here. Imports none of it."""

from __future__ import annotations

from collections.abc import Iterator

from midway import registry
from midway.checks.base import Check, Finding, Level, Subject


def run(subject: Subject) -> Iterator[Finding]:
    recipe = subject.recipe
    used = [recipe.pools[name].engine for name in recipe.used_pools]
    engines = {config.kind for config in [recipe.engine, *used] if config is not None}
    parts = [registry.find("engines", kind) for kind in sorted(engines)]
    if any(arm.rl or arm.midtrain for arm in recipe.arms.values()) and not recipe.launch:
        parts.append(registry.find("trainers", recipe.training.trainer))
    for part in parts:
        if lacking := registry.missing_packages(part):
            text = f"packages: {part.group[:-1]} {part.name} needs {', '.join(lacking)}: {registry.install_hint(part)}"
            yield Finding(text, Level.PROBLEM)


CHECK = Check("packages", run)
