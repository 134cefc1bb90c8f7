"""Tuples, sets, intervals, matrices and expressions."""

from __future__ import annotations

from random import Random

from rewritings.numbers import near
from rewritings.saying import PLAIN, Case, math, said


def distinct(r: Random, count: int, low: int = -20, high: int = 20) -> list[int]:
    return r.sample(range(low, high), count)


def pair_text(r: Random, values: list[int], left: str = "(", right: str = ")") -> str:
    return left + r.choice((",", ", ", " , ")).join(map(str, values)) + right


def tuple_(r: Random) -> Case:
    values = distinct(r, r.randint(2, 4))
    miss = list(values)
    if r.random() < 0.5:
        miss[0], miss[1] = miss[1], miss[0]
    else:
        k = r.randrange(len(miss))
        miss[k] = near(r, miss[k])
    gold = pair_text(r, values)
    spellings = [
        pair_text(r, values),
        pair_text(r, values, "\\left(", "\\right)"),
        f"(x, y) = {gold}" if len(values) == 2 else gold,
    ]
    misses = [
        pair_text(r, miss),
        pair_text(r, [*values[:-1], values[-1] + 1]),
        pair_text(r, values, "\\{", "\\}"),
        pair_text(r, [*values, 7]),
    ]
    return said(r, gold, r.choice(spellings), r.choice(misses))


def set_(r: Random) -> Case:
    kind = r.randrange(7)
    right = r.random() < 0.5
    if kind == 0:  # small, large: might be one number with a separator
        a, b = r.randint(2, 99), r.randint(100, 999)
        if r.random() < 0.5:
            return math(
                f"{a}, {b}", r.choice(PLAIN[:5]).format(f"{b}, {a}" if right else f"{a}{b}"), right, "spaced-comma"
            )
        return math(f"{a}{b}", r.choice(PLAIN[:5]).format(f"{a},{b}" if right else f"{a}, {b}"), right, "spaced-comma")
    if kind == 1:
        a, b = r.randint(2, 99), r.randint(100, 999)
        gold = r.choice((f"{a},{b}", f"\\{{{a},{b}\\}}"))
        return math(gold, r.choice(PLAIN[:2]).format(f"{b}, {a}" if right else f"{b}, {a + 1}"), right, "tight-comma")
    values = distinct(r, r.randint(2, 5))
    mixed = r.sample(values, len(values))
    if kind == 2:
        repeated = [*mixed, r.choice(values)] if right else [*mixed[:-1], near_other(r, values)]
        return math(
            pair_text(r, values, "\\{", "\\}"),
            f"\\boxed{{{pair_text(r, repeated, chr(92) + '{', chr(92) + '}')}}}",
            right,
            "set-repeats",
        )
    if kind == 3:
        start, step = r.randint(1, 9), r.randint(2, 5)
        shown = f"{start}, {start + step}, {start + 2 * step}"
        if r.random() < 0.5:
            text = f"{shown}, {r.choice(('...', chr(92) + 'ldots', chr(92) + 'dots', chr(92) + 'cdots', '…'))}"
            return math(f"{shown}, \\ldots" if right else shown, r.choice(PLAIN[:2]).format(text), right, "dots")
        gold = f"{start}, {start + step}, \\ldots, n"
        last = "n" if right else "n+1"
        return math(
            gold, f"\\boxed{{{start},{start + step},{r.choice(('...', chr(92) + 'dots'))},{last}}}", right, "dots"
        )
    if kind == 4 and len(values) == 2:
        a, b = values if right else (values[0], near_other(r, values))
        text = r.choice(
            (
                "\\boxed{{{}}}\\boxed{{{}}}",
                "\\boxed{{{}}} for (a) and \\boxed{{{}}} for (b)",
                "$\\boxed{{{}}}$ and $\\boxed{{{}}}$",
            )
        )
        return math(f"{values[0]}, {values[1]}", text.format(a, b), right, "joined-boxes")
    gold = r.choice((pair_text(r, values, "\\{", "\\}"), pair_text(r, values, "", "").replace(",", ", ")))
    spellings = [
        pair_text(r, mixed, "\\{", "\\}"),
        ", ".join(map(str, mixed)),
        " and ".join(map(str, mixed)),
        "x = " + " \\text{ or } ".join(map(str, mixed)),
    ]
    misses = [
        ", ".join(map(str, mixed[:-1])),
        ", ".join(map(str, [*mixed, near_other(r, values)])),
        ", ".join(map(str, [*mixed[:-1], near_other(r, values)])),
    ]
    return math(gold, r.choice(PLAIN[:5]).format(r.choice(spellings if right else misses)), right, "list")


def near_other(r: Random, values: list[int]) -> int:
    return next(v for v in (values[-1] + k for k in (1, -1, 2, -2, 3, 4, 5, 6)) if v not in values)


def interval(r: Random) -> Case:
    a = r.randint(-9, 9)
    b = a + r.randint(1, 9)
    left, right_ = r.choice("[("), r.choice("])")
    other_left, other_right = {"[": "(", "(": "["}[left], {"]": ")", ")": "]"}[right_]
    if r.random() < 0.3:
        gold = r.choice((f"{left}{a},+\\infty)", f"x \\in {left}{a}, +\\infty)"))
        sign, other = ("\\ge", ">") if left == "[" else (">", "\\ge")
        spellings = [f"x {sign} {a}", f"{left}{a},\\infty)", f"{left}{a}, ∞)", f"x \\in {left}{a}, \\infty)"]
        misses = [
            f"x {other} {a}",
            f"{other_left}{a},+\\infty)",
            f"x {sign} {a + 1}",
            f"(-\\infty,{a}]",
            f"{left}{a},-\\infty)",
        ]
        right = r.random() < 0.5
        return math(gold, r.choice(PLAIN[:2]).format(r.choice(spellings if right else misses)), right, "plus-infinity")
    low, high = ("\\le" if left == "[" else "<"), ("\\le" if right_ == "]" else "<")
    spellings = [
        f"{left}{a},{b}{right_}",
        f"\\left{left}{a}, {b}\\right{right_}",
        f"{a} {low} x {high} {b}",
        f"x \\in {left}{a}, {b}{right_}",
    ]
    misses = [
        f"{other_left}{a},{b}{right_}",
        f"{left}{a},{b}{other_right}",
        f"{left}{a},{b + 1}{right_}",
        f"{left}{a - 1},{b}{right_}",
        f"{left}{b},{a}{right_}",
    ]
    return said(r, f"{left}{a},{b}{right_}", r.choice(spellings), r.choice(misses))


def matrix(r: Random) -> Case:
    rows, columns = r.randint(1, 3), r.randint(2, 3)
    cells = [[r.randint(-9, 9) for _ in range(columns)] for _ in range(rows)]

    def shown(values: list[list[int]], kind: str, halves: bool = False) -> str:
        form = (lambda v: f"\\frac{{{2 * v}}}{{2}}") if halves else str
        return (
            f"\\begin{{{kind}}}"
            + r.choice((" \\\\ ", "\\\\")).join(r.choice((" & ", "&")).join(map(form, row)) for row in values)
            + f"\\end{{{kind}}}"
        )

    miss = [list(row) for row in cells]
    i, j = r.randrange(rows), r.randrange(columns)
    miss[i][j] += r.choice((1, -1, 10))
    other = [list(column) for column in zip(*cells, strict=True)] if rows != columns else miss
    kinds = ("pmatrix", "bmatrix")
    wrong = r.choice((miss, other))
    return said(
        r, shown(cells, "pmatrix"), shown(cells, r.choice(kinds), r.random() < 0.3), shown(wrong, r.choice(kinds))
    )


def expression(r: Random) -> Case:
    a, b = r.randint(1, 9), r.randint(1, 9)
    x = r.choice("xyn")
    kind = r.randrange(4)
    if kind == 0:
        gold, same = (
            f"({x}+{a})({x}-{b})",
            [
                f"{x}^2+{a - b}{x}-{a * b}" if a != b else f"{x}^2-{a * b}",
                f"({x}-{b})({x}+{a})",
                f"{x}({x}-{b})+{a}({x}-{b})",
            ],
        )
        miss = [f"({x}+{a})({x}+{b})", f"({x}-{a})({x}-{b})", f"({x}+{a})({x}-{b})+1", f"({x}+{a + 1})({x}-{b})"]
    elif kind == 1:
        gold, same = f"{a}-{b}{x}", [f"-{b}{x}+{a}", f"-({b}{x}-{a})", f"{a} - {b} {x}"]
        miss = [f"{a}+{b}{x}", f"{a}", f"{a - b}", f"{b}-{a}{x}" if a != b else f"{a + 1}-{b}{x}", f"{a}-{b + 1}{x}"]
    elif kind == 2:
        n = r.choice((2, 3, 5, 7))
        gold, same = (
            f"{a}\\sqrt{{{n}}}",
            [f"\\sqrt{{{a * a * n}}}", f"{a} \\sqrt{n}", f"\\frac{{{a * n}}}{{\\sqrt{{{n}}}}}"],
        )
        miss = [
            f"{a}{n}",
            f"{a + 1}\\sqrt{{{n}}}",
            f"-{a}\\sqrt{{{n}}}",
            f"{a}\\sqrt{{{n + 4}}}",
            f"\\sqrt{{{a * a * n + 1}}}",
        ]
    else:
        gold, same = (
            f"\\frac{{{x}+{a}}}{{{b + 1}}}",
            [
                f"({x}+{a})/{b + 1}",
                f"\\frac{{{x}}}{{{b + 1}}}+\\frac{{{a}}}{{{b + 1}}}",
                f"\\frac{{2{x}+{2 * a}}}{{{2 * b + 2}}}",
            ],
        )
        miss = [f"{x}+\\frac{{{a}}}{{{b + 1}}}", f"\\frac{{{x}-{a}}}{{{b + 1}}}", f"\\frac{{{b + 1}}}{{{x}+{a}}}"]
    return said(r, gold, r.choice(same), r.choice(miss))
