"""Decides whether two formulas are equal, in bounded time: exactly where it can, else to 40 digits at sample points.

Promises: `same` answers True, False or None (cannot tell), never hangs and raises nothing. How it decides:

1. both are rational numbers: exact arithmetic, with a bound on the size of every intermediate result;
2. both are rational functions (symbols, + - * /, integer powers, i): values modulo a 61-bit prime at fixed
   pseudo-random points. Different values prove that they differ; equal values at three points prove equality up to a
   chance below 1e-15 (Schwartz 1980, Zippel 1979, for degrees below a thousand);
3. anything else: 40-digit real or complex arithmetic at fixed sample points. Apart by more than 1e-15 of their size:
   they differ. Together to 1e-30: they are equal. In between, or nowhere defined: None.

Numbers that are too large to compute with (towers of powers, factorials of large numbers) give None.
"""

from __future__ import annotations

import threading
from fractions import Fraction
from functools import lru_cache
from math import comb, factorial
from typing import Any

from midway.verifier.math.expression import Node, symbols

MAX_BITS = 20_000
PRIME = 2305843009213693921
"""The largest prime below 2**61 that is 1 modulo 4, so that -1 has a square root."""


class Undefined(ArithmeticError):
    """No value here: division by zero, a root of a negative number in real arithmetic, or a number too large."""


class _NotRational(ArithmeticError):
    pass


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
        raise Undefined("too large")
    return value


def rational(node: Node) -> Fraction | None:
    """Return the exact value when `node` is a rational number that is small enough; None when it is not rational.

    Raises Undefined for a division by zero or a number that is too large.
    """
    try:
        return _rational(node)
    except _NotRational:
        return None


def _rational(node: Node) -> Fraction:
    kind = node[0]
    if kind == "num":
        return node[1]
    if kind == "neg":
        return -_rational(node[1])
    if kind == "pct":
        return _rational(node[1]) / 100
    if kind in ("add", "sub", "mul", "div", "pow"):
        a, b = _rational(node[1]), _rational(node[2])
        if kind == "add":
            return _bounded(a + b)
        if kind == "sub":
            return _bounded(a - b)
        if kind == "mul":
            return _bounded(a * b)
        if kind == "div":
            if not b:
                raise Undefined("division by zero")
            return _bounded(a / b)
        if b.denominator != 1:
            return _root(a, b.denominator, b.numerator)
        return _power(a, b.numerator)
    if kind == "root":
        n = _rational(node[1])
        if n.denominator != 1 or n <= 0:
            raise _NotRational
        return _root(_rational(node[2]), n.numerator, 1)
    if kind == "fact":
        n = _rational(node[1])
        if n.denominator != 1 or n < 0:
            raise _NotRational
        if n > 1000:
            raise Undefined("too large")
        return Fraction(factorial(int(n)))
    if kind == "binom":
        n, k = _rational(node[1]), _rational(node[2])
        if n.denominator != 1 or k.denominator != 1 or n < 0 or k < 0:
            raise _NotRational
        if n > 2000:
            raise Undefined("too large")
        return Fraction(comb(int(n), int(k)))
    if kind == "fn" and node[1] in ("abs", "floor", "ceil"):
        a = _rational(node[2])
        return abs(a) if node[1] == "abs" else Fraction(a.__floor__() if node[1] == "floor" else a.__ceil__())
    raise _NotRational


def _power(a: Fraction, n: int) -> Fraction:
    if n < 0 and not a:
        raise Undefined("division by zero")
    if a in (0, 1, -1):
        return a ** (n % 2 + 2) if n else Fraction(1)
    if abs(n) * (a.numerator.bit_length() + a.denominator.bit_length()) > MAX_BITS:
        raise Undefined("too large")
    return a**n


def _root(a: Fraction, n: int, power: int) -> Fraction:
    """a ** (power/n) if that is rational."""
    if n > 64 or (a < 0 and n % 2 == 0):
        raise _NotRational
    parts = []
    for part in (abs(a.numerator), a.denominator):
        guess = round(part ** (1 / n)) if part.bit_length() < 900 else 0
        found = next((g for g in (guess - 1, guess, guess + 1) if g >= 0 and g**n == part), None)
        if found is None:
            raise _NotRational
        parts.append(found)
    return _power(Fraction(parts[0], parts[1]) * (-1 if a < 0 else 1), power)


def _modular(node: Node, point: dict[str, int], unit: int) -> int:
    """Value modulo PRIME; `unit` is the square root of -1. Raises Undefined or _NotRational."""
    kind = node[0]
    if kind == "num":
        if node[1].denominator % PRIME == 0:
            raise Undefined
        return node[1].numerator * pow(node[1].denominator, -1, PRIME) % PRIME
    if kind == "sym":
        if node[1] == "i":
            return unit
        if node[1] in ("\\pi", "e"):
            raise _NotRational
        return point[node[1]]
    if kind == "neg":
        return -_modular(node[1], point, unit) % PRIME
    if kind == "pct":
        return _modular(node[1], point, unit) * pow(100, -1, PRIME) % PRIME
    if kind in ("add", "sub", "mul", "div"):
        a, b = _modular(node[1], point, unit), _modular(node[2], point, unit)
        if kind == "add":
            return (a + b) % PRIME
        if kind == "sub":
            return (a - b) % PRIME
        if kind == "mul":
            return a * b % PRIME
        if not b:
            raise Undefined
        return a * pow(b, -1, PRIME) % PRIME
    if kind == "pow":
        exponent = rational(node[2])
        if exponent is None or exponent.denominator != 1:
            raise _NotRational
        a = _modular(node[1], point, unit)
        if not a and exponent < 0:
            raise Undefined
        return pow(a, exponent.numerator, PRIME)
    if kind in ("fact", "binom"):
        value = rational(node)
        if value is None:
            raise _NotRational
        return value.numerator % PRIME
    raise _NotRational


_UNIT = next(r for r in (pow(g, (PRIME - 1) // 4, PRIME) for g in range(2, 50)) if r * r % PRIME == PRIME - 1)


def _same_modular(a: Node, b: Node, names: list[str]) -> bool | None:
    agreed = 0
    for k in range(5):
        point = {name: pow(7 + j, 1_000_003 + 7919 * k + j, PRIME) for j, name in enumerate(names)}
        try:
            if _modular(a, point, _UNIT) != _modular(b, point, _UNIT):
                return False
        except Undefined:
            continue
        agreed += 1
        if agreed == 3:
            return True
    return None


_local = threading.local()


def _context() -> Any:
    """A 40-digit mpmath context of this thread's own: mpmath's global one is not safe to share."""
    if not hasattr(_local, "context"):
        from mpmath.ctx_mp import MPContext  # type: ignore[import-untyped]

        _local.context = MPContext()
        _local.context.dps = 45
    return _local.context


def _numeric(node: Node, point: dict[str, Any], m: Any) -> Any:
    """Value at `point` to 45 digits; real unless i occurs. Raises Undefined."""
    kind = node[0]
    if kind == "num":
        return m.mpf(node[1].numerator) / node[1].denominator
    if kind == "sym":
        if node[1] in ("\\pi", "e", "i"):
            return {"\\pi": +m.pi, "e": +m.e, "i": m.mpc(0, 1)}[node[1]]
        return point[node[1]]
    if kind == "neg":
        return -_numeric(node[1], point, m)
    if kind == "pct":
        return _numeric(node[1], point, m) / 100
    if kind in ("fact", "binom"):
        value = rational(node)
        if value is None:
            raise Undefined
        return m.mpf(value.numerator)
    if kind == "fn":
        return _function(node[1], _numeric(node[2], point, m), m)
    a = _numeric(node[1], point, m)
    b = _numeric(node[2], point, m)
    if kind == "add":
        return a + b
    if kind == "sub":
        return a - b
    if kind == "mul":
        return a * b
    if kind == "div":
        if not b:
            raise Undefined
        return a / b
    if kind == "pow":
        return _numeric_power(a, b, m)
    if kind == "root":
        if not a:
            raise Undefined
        if not isinstance(b, m.mpc) and b < 0 and m.isint(a) and int(a) % 2:
            return -_numeric_power(-b, 1 / a, m)
        return _numeric_power(b, 1 / a, m)
    if kind == "log":
        return _function("ln", b, m) / _nonzero(_function("ln", a, m))
    raise Undefined


def _nonzero(a: Any) -> Any:
    if not a:
        raise Undefined
    return a


def _numeric_power(a: Any, b: Any, m: Any) -> Any:
    if abs(b) > 100_000 or (a and abs(m.log(abs(a)) * abs(b)) > 1_000_000):
        raise Undefined("too large")
    if not a:
        if isinstance(b, m.mpc) or b <= 0:
            if b == 0:
                return m.mpf(1)
            raise Undefined
        return a
    if isinstance(b, m.mpf) and not isinstance(a, m.mpc) and a < 0 and not m.isint(b):
        raise Undefined("root of a negative number")
    return a**b


def _function(name: str, a: Any, m: Any) -> Any:
    if abs(a) > 1e12 and name not in ("abs", "ln", "log", "lg"):
        raise Undefined("too large")
    if name == "abs":
        return abs(a)
    if isinstance(a, m.mpc):
        raise Undefined("complex argument")
    if name in ("floor", "ceil"):
        return m.floor(a) if name == "floor" else m.ceil(a)
    if name in ("ln", "log", "lg"):
        if a <= 0:
            raise Undefined
        return m.log(a) / m.log(10) if name == "lg" else m.log(a)
    if name in ("arcsin", "arccos"):
        if abs(a) > 1:
            raise Undefined
        return m.asin(a) if name == "arcsin" else m.acos(a)
    if name == "exp" and a > 100_000:
        raise Undefined("too large")
    if name in ("sinh", "cosh", "tanh") and abs(a) > 1000:
        raise Undefined("too large")
    if name in ("tan", "sec"):
        _nonzero(m.cos(a))
    if name in ("cot", "csc"):
        _nonzero(m.sin(a))
    return getattr(m, {"arctan": "atan"}.get(name, name))(a)


_POINTS = ("1.3717", "0.41113", "2.7391", "-0.7331", "17.0917", "-2.4193", "0.08317", "-13.331")


def sample(node: Node, names: list[str]) -> list[Any]:
    """Values (45 digits) at the sample points; None where it is undefined. `names` are the symbols, sorted."""
    m = _context()
    values = []
    for k in range(len(_POINTS) if names else 1):
        point = {n: m.mpf(_POINTS[(k + 3 * j) % len(_POINTS)]) * (1 + m.mpf(j) / 7) for j, n in enumerate(names)}
        if k == 0:
            point = {n: abs(v) for n, v in point.items()}
        try:
            values.append(_numeric(node, point, m))
        except (ArithmeticError, ValueError, OverflowError):
            values.append(None)
    return values


def _same_numeric(a: Node, b: Node, names: list[str]) -> bool | None:
    agreed = 0
    for x, y in zip(sample(a, names), sample(b, names), strict=True):
        if x is None or y is None:
            continue
        size = max(abs(x), abs(y))
        gap = abs(x - y)
        if gap > size * 1e-15 and gap > 1e-35:
            return False
        if gap > size * 1e-30 and gap > 1e-35:
            return None
        agreed += 1
    return True if agreed >= (2 if names else 1) else None


def same(a: Node, b: Node) -> bool | None:
    """Return whether two formulas are equal for all values of their symbols; None when that cannot be told."""
    if a == b:
        return True
    names = sorted(symbols(a) | symbols(b))
    try:
        if not names:
            try:
                x, y = rational(a), rational(b)
                if x is not None and y is not None:
                    return x == y
            except Undefined:
                pass
        try:
            return _same_modular(a, b, names)
        except _NotRational:
            return _same_numeric(a, b, names)
    except (Undefined, RecursionError, OverflowError):
        return None


@lru_cache(maxsize=4096)
def same_ratio(a: Node, b: Node) -> int | None:
    """Return the sign of c when a = c * b for a constant c that is not 0; 0 when there is none, None if unknown."""
    names = sorted(symbols(a) | symbols(b))
    ratios = []
    try:
        for x, y in zip(sample(a, names), sample(b, names), strict=True):
            if x is None or y is None or (not x and not y):
                continue
            if not x or not y:
                return 0
            ratios.append(x / y)
    except (ArithmeticError, ValueError, RecursionError):
        return None
    if len(ratios) < 3:
        return None
    first = ratios[0]
    if any(abs(r - first) > abs(first) * 1e-25 for r in ratios) or first.imag:
        return 0
    return 1 if first.real > 0 else -1
