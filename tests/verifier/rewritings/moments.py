"""Times of day, dates, and numbers with units."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from rewritings.saying import PLAIN, Case, math

MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905


def time(r: Random) -> Case:
    hour, minute, half = r.randint(1, 12), r.choice((0, 15, 30, 45, r.randint(1, 59))), r.choice(("AM", "PM"))
    other = "PM" if half == "AM" else "AM"

    def forms(h: int, m: int, half: str) -> list[str]:
        dotted = f"{half[0].lower()}.m."
        found = [
            f"{h}:{m:02d} {half}",
            f"{h}:{m:02d} {dotted}",
            f"{h}:{m:02d}{half.lower()}",
            f"\\text{{{h}:{m:02d} {half}}}",
            f"{h}:{m:02d}\\text{{ {dotted}}}",
        ]
        return found + ([f"{h} {half}", f"{h} {dotted}"] if m == 0 else [])

    gold = r.choice(forms(hour, minute, half)[:2])
    misses = [
        *forms(hour, minute, other),
        *forms(hour % 12 + 1, minute, half),
        *forms(hour, (minute + r.choice((1, 10, 30))) % 60, half),
    ]
    right = r.random() < 0.5
    shown = r.choice(forms(hour, minute, half) if right else misses)
    return math(
        gold,
        r.choice(("\\boxed{{{}}}", "The answer is {}.", "Answer: {}", "The train arrives at {}.", "#### {}")).format(
            shown
        ),
        right,
        "clock",
    )


def date(r: Random) -> Case:
    year, month, day = r.randint(1900, 2050), r.randint(1, 12), r.randint(1, 28)
    right = r.random() < 0.5
    if r.random() < 0.4:
        gold = f"{year}-{month:02d}-{day:02d}"
        misses = [
            str(year - month - day),
            f"{year}-{month:02d}-{day % 28 + 1:02d}",
            f"{year}-{month % 12 + 1:02d}-{day:02d}",
            str(year),
            f"{year + 1}-{month - 1:02d}-{day:02d}",
        ]
        return math(
            gold,
            r.choice(PLAIN[:2]).format(r.choice([gold, f"{year}-{month}-{day}"] if right else misses)),
            right,
            "date",
        )
    name, other = MONTHS[month - 1], MONTHS[month % 12]
    tail = f", {year}" if r.random() < 0.5 else ""
    th = {1: "st", 2: "nd", 3: "rd"}.get(day % 10 if day not in (11, 12, 13) else 0, "th")
    gold = r.choice((f"{name} {day}{tail}", f"{day} {name}{tail.replace(',', '')}"))
    same = [
        f"{name} {day}{tail}",
        f"{day} {name}{tail.replace(',', '')}",
        f"{name} {day}{th}{tail}",
        f"{day} {name[:3]}{tail.replace(',', '')}",
        f"\\text{{{name} {day}{tail}}}",
    ]
    misses = [
        f"{other} {day}{tail}",
        f"{day} {other}{tail.replace(',', '')}",
        f"{name} {day + 1}{tail}",
        f"{day} {other[:3]}{tail.replace(',', '')}",
        str(day),
        f"{name} {year + 1}",
    ]
    return math(
        gold,
        r.choice(("\\boxed{{{}}}", "Answer: {}", "#### {}")).format(r.choice(same if right else misses)),
        right,
        "date",
    )


UNITS = {
    "m": ("m", "meters", "metres"),
    "s": ("s", "seconds", "sec"),
    "kg": ("kg", "kilograms"),
    "g": ("g", "grams"),
    "L": ("L", "liters"),
    "N": ("N", "newtons"),
    "W": ("W", "watts"),
    "J": ("J", "joules"),
    "K": ("K", "kelvin"),
    "C": ("C", "degrees Celsius"),
    "V": ("V", "volts"),
    "h": ("h", "hours"),
    "cm": ("cm", "centimeters"),
    "km/h": ("km/h", "kilometers per hour", "kph"),
    "m/s": ("m/s", "meters per second"),
    "m/s^2": ("m/s^2", "m s^{-2}", "meters per second squared"),
    "cm^2": ("cm^2", "square centimeters", "cm²"),
    "m^3": ("m^3", "cubic meters", "m³"),
    "in": ("in", "inches"),
    "ft": ("ft", "feet"),
    "mL": ("mL", "ml"),
}


def unit(r: Random) -> Case:
    n = r.choice((str(r.randint(2, 99)), f"{r.randint(1, 9)}.{r.randint(1, 9)}"))
    name = r.choice(list(UNITS))
    other = r.choice([u for u in UNITS if u != name])
    miss = str(Fraction(n) + 1) if "." not in n else f"{float(n) + 1:.1f}"
    word = r.choice(UNITS[name])
    spellings = [f"{n} {word}", f"{n}\\text{{ {word}}}", f"{n}\\ \\mathrm{{{word}}}", n]
    if r.random() < 0.35:  # a number is asked for, and said with a unit
        right = r.random() < 0.5
        return math(n, r.choice(PLAIN[:5]).format(f"{n if right else miss} {word}"), right, "unit")
    if r.random() < 0.1:  # algebra is not a number with a unit
        a, b = r.randint(3, 12), r.randint(2, 9)
        return math(
            f"{a}-{b}{r.choice('mnsgh')}", r.choice(PLAIN[:2]).format(r.choice((str(a - b), str(a)))), False, "unit"
        )
    if r.random() < 0.1:  # what is counted is not in the table of units
        thing, another = r.sample(("apples", "pears", "birds", "cups of tea", "tickets"), 2)
        right = r.random() < 0.5
        text = r.choice(
            (f"{n} {thing}", f"{n} {thing} in total", f"{n}\\text{{ {thing}}}")
            if right
            else (f"{n} {another}", f"{miss} {thing}")
        )
        return math(f"{n} {thing}", r.choice(PLAIN[:5]).format(text), right, "unit")
    if r.random() < 0.05:  # a bound is no number
        return math(r.choice((f"> {n}", f"{n}+", f"x > {n}")), f"\\boxed{{{n}}}", False, "bound")
    misses = [f"{n} {r.choice(UNITS[other])}", f"{n}\\text{{ {r.choice(UNITS[other])}}}", f"{miss} {word}", miss]
    right = r.random() < 0.5
    return math(f"{n} {name}", r.choice(PLAIN[:5]).format(r.choice(spellings if right else misses)), right, "unit")
