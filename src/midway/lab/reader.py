"""Reads a typed word problem back into the numbers that it is made of, so that the labeller can judge answers to it.

Promises: `read_question` gives a question with the lab's `spec` for text in the world's own wording (any numbers, names
and things), and None for everything else; it never guesses. A test reads back every family.
"""

from __future__ import annotations

import re
from typing import Any

from midway.lab.ways import BACKWARD, DECOMPOSE, FORWARD, Part, apply, part_answer, solvable_part
from midway.records import Question

_STARTS = (
    r"^\w+ has (?P<n>\d+|some) \w+$",
    r"^a bus starts with (?P<n>\d+|some) (?:people|person)$",
    r"^a tank holds (?P<n>\d+|some) liters?$",
    r"^\w+ is in (?:room (?P<n>\d+)|some room)$",
    r"^x = (?P<n>\d+|input)$",
)
_MOVES: tuple[tuple[str, str, int], ...] = (
    (r"(?:gets|finds|buys) (\d+)(?: more)?$", "+", 0),
    (r"(?:loses|gives away|sells) (\d+)$", "-", 0),
    (r"^(\d+) (?:people get|person gets) on$", "+", 0),
    (r"^(\d+) (?:people get|person gets) off$", "-", 0),
    (r"^(\d+) liters? flows? in$", "+", 0),
    (r"^(\d+) liters? flows? out$", "-", 0),
    (r"goes up (\d+) rooms?$", "+", 0),
    (r"goes down (\d+) rooms?$", "-", 0),
    (r"^x = x \+ (\d+)$", "+", 0),
    (r"^x = x - (\d+)$", "-", 0),
    (r"^then the (?:number|amount) doubles$", "*", 2),
    (r"^then the (?:number|amount) triples$", "*", 3),
    (r"^then half (?:get|flows) o(?:ff|ut)$|gives away half$", "/", 2),
)
_END = re.compile(r"^(?:now (?:\w+ has|there are|it holds|\w+ is in room)|it prints) (\d+)$")
_DIFFERENCE = re.compile(
    r"^(\w+) and (\w+) have (\d+) (\w+) together\. \1 has (\d+) more \w+ than \2\. how many \w+ does (\w+) have\?$"
)
_EQUATIONS = re.compile(r"^(\w) \+ (\w) = (\d+)\. \1 - \2 = (\d+)\. print (\w)\. what is printed\?$")
_COMPARE = re.compile(
    r"^(\w+) has (\d+) times as many \w+ as (\w+)\. together they have (\d+)\. how many \w+ does (\w+) have\?$"
)
_MIXTURE = re.compile(
    r"^\w+ counts (\d+) (\w+) and (\w+) with (\d+) \w+\. each of the \2 has (\d+), each of the \3 has (\d+)\. "
    r"how many \3 are there\?$"
)
_LEG = re.compile(r"^(?:then )?\w+ \w+ (\d+) (?:\w+ )?an hour for (\d+) hours?$")


def read_question(text: str) -> Question | None:
    """Return the problem that `text` states, with its answer, or None when it is not in the world's wording."""
    low = " ".join(text.lower().split())
    parts, join, words = _read(low, text)
    if not parts:
        return None
    answer = sum(part_answer(p) for p in parts) if join == "sum" else part_answer(parts[-1])
    needs = [BACKWARD if p.get("dir") == "b" else FORWARD for p in parts] if join == "sum" else []
    meta = {
        "family": "typed",
        "level": 0,
        "kind": "single",
        "ways": list(solvable_part(parts[0])) if join == "single" else [DECOMPOSE],
        "hybrid": needs if len(set(needs)) > 1 else [],
        "spec": {"parts": parts, "join": join, "words": words},
    }
    return Question("math", text, str(answer), source="lab/typed", meta=meta)


def _cased(name: str, text: str) -> str:
    found = re.search(rf"\b{re.escape(name)}\b", text, re.I)
    return found[0] if found else name


def _read(low: str, text: str) -> tuple[list[Part], str, dict[str, Any]]:
    if (m := _DIFFERENCE.match(low)) and m[6] in (m[1], m[2]) and int(m[3]) > int(m[5]):
        ask = "small" if m[6] == m[2] else "large"
        return (
            [{"kind": "difference", "sum": int(m[3]), "diff": int(m[5]), "ask": ask}],
            "single",
            {"small": _cased(m[2], text)},
        )
    if (m := _EQUATIONS.match(low)) and m[5] in (m[1], m[2]):
        ask = "small" if m[5] == m[2] else "large"
        return [{"kind": "difference", "sum": int(m[3]), "diff": int(m[4]), "ask": ask}], "single", {"small": m[2]}
    if (m := _COMPARE.match(low)) and m[5] in (m[1], m[3]):
        ask = "small" if m[5] == m[3] else "large"
        return (
            [{"kind": "compare", "times": int(m[2]), "total": int(m[4]), "ask": ask}],
            "single",
            {"small": _cased(m[3], text)},
        )
    if (m := _MIXTURE.match(low)) and int(m[6]) > int(m[5]):
        part = {"kind": "mixture", "n": int(m[1]), "a": int(m[5]), "b": int(m[6]), "total": int(m[4])}
        return [part], "single", {"a_name": m[2], "b_name": m[3]}
    sentences = [s.strip() for s in re.split(r"[.?]", low) if s.strip()]
    legs = [_LEG.match(s) for s in sentences[:-1]]
    if legs and all(legs) and "in all" in sentences[-1]:
        return [{"kind": "legs", "legs": [[int(m[1]), int(m[2])] for m in legs if m]}], "single", {}
    chains = _chains(sentences)
    return chains, "sum" if len(chains) == 2 else "single", {}


def _chains(sentences: list[str]) -> list[Part]:
    """One or two chains; [] when any sentence but the question is not understood."""
    chains: list[dict[str, Any]] = []
    for sentence in sentences:
        if starts := [m for m in (re.match(p, sentence) for p in _STARTS) if m]:
            known = starts[0]["n"]
            known = known if known and known.isdigit() else None
            chains.append(
                {"kind": "chain", "dir": "f" if known else "b", "start": int(known or 0), "ops": [], "end": 0}
            )
        elif sentence.startswith(("how many", "what is", "what was", "in which")) or sentence == "print x":
            continue
        elif not chains:
            return []
        elif end := _END.match(sentence):
            chains[-1]["end"], chains[-1]["known"] = int(end[1]), True
        else:
            for pattern, op, fixed in _MOVES:
                if m := re.search(pattern, sentence):
                    chains[-1]["ops"].append([op, fixed or int(m[1])])
                    break
            else:
                return []
    for chain in chains:
        if not chain["ops"] or (chain["dir"] == "b" and not chain.pop("known", False)):
            return []
        value, ops = (chain["start"], chain["ops"]) if chain["dir"] == "f" else (chain["end"], chain["ops"][::-1])
        inverse = {"+": "-", "-": "+", "*": "/", "/": "*"}
        for op, b in ops:
            value = apply(value, op if chain["dir"] == "f" else inverse[op], b)
        chain["end" if chain["dir"] == "f" else "start"] = value
    return list(chains) if len(chains) <= 2 else []
