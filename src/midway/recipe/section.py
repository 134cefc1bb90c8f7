"""What all sections of a recipe share: unknown fields are errors, and a section says what of it changes results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from midway import registry
from midway.records import UserError
from midway.registry import near


class RecipeError(UserError, ValueError):
    """The recipe cannot be used; the message says where and what to write instead."""


class Section(BaseModel):
    """A section of a recipe; settings of a plug-in's part are one too."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=True)

    added: ClassVar[frozenset[str]] = frozenset()
    """Fields that came after the first edition: at their defaults they enter no digest, so that older runs go on."""

    def identity(self, *, exclude: Sequence[str] = ()) -> dict[str, Any]:
        """Return the section as JSON for a stage's digest: without `exclude`, and without `added` fields at their defaults."""
        out = self.model_dump(mode="json", exclude=set(exclude))
        for name, field in type(self).model_fields.items():
            if name not in out:
                continue
            value = getattr(self, name)
            if name in self.added and value == field.get_default(call_default_factory=True):
                del out[name]
            elif isinstance(value, Section):
                out[name] = value.identity()
        return out


def find_part(group: str, name: Any) -> Any:
    """Return a part by name. Raises ValueError, as validators do."""
    try:
        return registry.find(group, str(name))
    except registry.RegistryError as error:
        raise ValueError(str(error)) from None


def part_settings(config: type[BaseModel] | None, value: Mapping[str, Any]) -> Any:
    """Return settings as an instance of the class of the part that they are for; None where it takes none."""
    if config is None:
        if value:
            raise ValueError(f"it takes no settings ({', '.join(value)})")
        return None
    try:
        return config.model_validate(dict(value))
    except ValidationError as error:
        raise settings_error(error, config) from None


class EngineSettings(Section):
    """Settings of an engine; those of a part of your own derive from it and have a `kind: Literal["NAME"] = "NAME"`."""

    kind: str


PART = "midway_part"
"""Type of the pydantic error that carries the errors inside a part's settings."""


def settings_error(error: ValidationError, config: type[BaseModel]) -> PydanticCustomError:
    """Return an error that tells what is wrong inside a part's settings, for the section that holds them."""
    return PydanticCustomError(
        PART, "{text}", {"text": "; ".join(lines(error, config)), "lines": list(lines(error, config))}
    )


def lines(error: ValidationError, model: type[BaseModel], where: str = "") -> Iterator[str]:
    """Yield each mistake as `place: what is wrong; what would be right`. `where` stands for the whole."""
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"] if part not in ("function-before", "list[str]")) or where
        if item["type"] == PART:
            yield from (f"{place}.{line}" for line in item["ctx"]["lines"])
        elif item["type"] == "extra_forbidden":
            known = known_fields(model, item["loc"][:-1])
            yield f"{place}: unknown field{near(str(item['loc'][-1]), known) if known else ''}"
        else:
            text = item["msg"].removeprefix("Value error, ")
            yield f"{place}: {text}" if place else text


def known_fields(model: Any, location: Sequence[str | int]) -> list[str]:
    """Return the field names at a place below `model`, for suggestions."""
    for key in location:
        fields = getattr(model, "model_fields", None)
        if fields is None or key not in fields:
            continue  # the key of a mapping, the index of a list
        found = [a for a in _classes(fields[key].annotation) if hasattr(a, "model_fields")]
        if not found:
            return []
        model = found[0]
    return list(getattr(model, "model_fields", {}))


def _classes(annotation: Any) -> list[Any]:
    args = getattr(annotation, "__args__", None)
    if not args:
        return [annotation]
    return [c for a in args for c in _classes(a)]
