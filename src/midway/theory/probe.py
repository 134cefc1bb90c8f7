"""What a probe counted: for each question, how often the base model was right unasked and with each heuristic, and in which way.

Promises: plain arrays, no tables, no model; `as_dict` and `from_dict` give the same counts back. Axes: Q questions, W ways that were asked
for, V other ways that showed unasked. ValueError says which counts cannot be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
COUNTS = (
    "judged_Q",
    "right_Q",
    "shown_QW",
    "shown_right_QW",
    "asked_QW",
    "solved_QW",
    "followed_QW",
    "followed_right_QW",
)
OTHERS = ("other_QV", "other_right_QV")


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe:
    """The counts of a probe."""

    ways: tuple[str, ...]
    """The heuristics that were asked for, W of them."""
    labelled: bool
    """Whether a program says which way each sample used; without it shown, shown_right, followed and followed_right are 0."""
    judged_Q: Array
    """Unguided samples that were judged."""
    right_Q: Array
    """Of these, right ones."""
    shown_QW: Array
    """Of the unguided samples, those that used way w first; what is left, less those of other ways, is the model's default."""
    shown_right_QW: Array
    asked_QW: Array
    """Judged samples that were guided by heuristic w."""
    solved_QW: Array
    """Of these, right ones, in whatever way."""
    followed_QW: Array
    """Of the guided samples, those that use the way asked for."""
    followed_right_QW: Array
    others: tuple[str, ...] = ()
    """Other ways that unguided samples used, V of them. Probes made before midway counted them have none."""
    other_QV: Array = field(default_factory=lambda: np.zeros((0, 0)))
    """Of the unguided samples, those that used such a way first."""
    other_right_QV: Array = field(default_factory=lambda: np.zeros((0, 0)))
    tokens: float = float("nan")
    """Mean tokens of an unguided sample."""
    nats: float = float("nan")
    """Mean entropy of a token of unguided samples, in nats, estimated by minus their log-probability; NaN where it is not known."""
    guided_nats: float = float("nan")
    """As `nats`, of guided samples."""
    cut_off: float = 0.0
    """Share of unguided samples that were cut off."""
    unjudged: int = 0
    """Samples without a verdict, left out of every count."""

    def __post_init__(self) -> None:
        shape = (self.judged_Q.size, len(self.ways))
        for name in COUNTS:
            value = np.asarray(getattr(self, name), float)
            if value.shape != (shape if name.endswith("QW") else shape[:1]) or np.any(value < 0):
                raise ValueError(f"{name} needs counts of shape {shape if name.endswith('QW') else shape[:1]}")
            object.__setattr__(self, name, value)
        for name in OTHERS:
            value = np.asarray(getattr(self, name), float)
            if not self.others:
                value = np.zeros((self.judged_Q.size, 0))
            if value.shape != (self.judged_Q.size, len(self.others)) or np.any(value < 0):
                raise ValueError(f"{name} needs counts of shape {(self.judged_Q.size, len(self.others))}")
            object.__setattr__(self, name, value)
        parts = (
            ("right_Q", "judged_Q"),
            ("shown_right_QW", "shown_QW"),
            ("solved_QW", "asked_QW"),
            ("followed_right_QW", "followed_QW"),
            ("followed_QW", "asked_QW"),
            ("followed_right_QW", "solved_QW"),
            ("other_right_QV", "other_QV"),
        )
        for part, whole in parts:
            if np.any(getattr(self, part) > getattr(self, whole)):
                raise ValueError(f"{part} cannot be above {whole}")
        if np.any(self.shown_QW.sum(1) + self.other_QV.sum(1) > self.judged_Q):
            raise ValueError("more ways were shown than samples judged")

    def take(self, index_Q: Any) -> Probe:
        """Return the probe of some questions (with repeats: a bootstrap's)."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return Probe(**{name: value[index_Q] if name in (*COUNTS, *OTHERS) else value for name, value in own.items()})

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON holds them."""
        out: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in (*COUNTS, *OTHERS):
                value = value.astype(int).tolist()
            elif isinstance(value, float):
                value = value if np.isfinite(value) else None
            out[f.name] = list(value) if isinstance(value, tuple) else value
        return out

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Probe:
        """Return the counts that `as_dict` gave. Raises ValueError for what is no probe."""
        names = {f.name for f in fields(cls)}
        if not set(COUNTS) <= set(found):
            raise ValueError(f"a probe needs {', '.join(sorted(set(COUNTS) - set(found)))}")
        given = {name: value for name, value in found.items() if name in names}
        width = len(given["ways"])
        for name in COUNTS:
            array = np.asarray(given[name], float)
            given[name] = array.reshape(len(given["judged_Q"]), width) if name.endswith("QW") else array
        given["others"] = tuple(given.get("others", ()))
        for name in OTHERS:
            given[name] = np.asarray(given.get(name, ()), float).reshape(len(given["judged_Q"]), len(given["others"]))
        for name in ("tokens", "nats", "guided_nats"):
            given[name] = float("nan") if given.get(name) is None else float(given[name])
        return cls(**{**given, "ways": tuple(given["ways"])})
