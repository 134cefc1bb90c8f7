"""Choices by letter, by their words, and by numbers."""

from __future__ import annotations

from random import Random

from midway.records import Question
from rewritings.saying import OTHER_LANGUAGES, Case

OPTIONS = (
    "oxygen",
    "helium",
    "argon",
    "neon",
    "xenon",
    "red paint",
    "blue paint",
    "a steel bridge",
    "the river Nile",
    "iron ore",
    "green tea",
    "salt",
)


def choice(options: tuple[str, ...], index: int, text: str, right: bool, style: str) -> Case:
    return Case(Question("choice", "", choices=options, answer_index=index), text, right, style)


def choice_letter(r: Random) -> Case:
    options = tuple(r.sample(OPTIONS, r.randint(3, 5)))
    index = r.randrange(len(options))
    other = r.choice([k for k in range(len(options)) if k != index])
    a, b = "ABCDE"[index], "ABCDE"[other]
    right = r.random() < 0.5
    shown, gold = (a, index) if right else (b, index)
    kind = r.randrange(5)
    if kind == 0:
        hedges = (
            f"\\boxed{{{a}, {b}}}",
            f"The answer is {a} or {b}.",
            f"The answer is ({a}) ({b})",
            f"Answer: {a}; {b}",
            f"The answer is {a}/{b}.",
            f"{a} and {b}",
            f"The answer is either {a} or {b}.",
            f"\\boxed{{{a}}}\\boxed{{{b}}}",
            f"Answer: {a} or maybe {b}",
            f"({a}) {options[index]} or ({b}) {options[other]}",
        )
        return choice(options, index, r.choice(hedges), False, "hedge")
    if kind == 1:
        others = [k for k in range(len(options)) if "ABCDE"[k] != shown]
        denied = "ABCDE"[r.choice(others)]
        text = r.choice(
            (
                f"Answer: {denied} is wrong, so {shown}.",
                f"Answer: {denied} can't be right, so {shown}.",
                f"{denied} is wrong, so {shown}.",
            )
        )
        if r.random() < 0.3:
            return choice(options, "ABCDE".index(denied), text, False, "denied-letter")
        return choice(options, gold, text, right, "denied-letter")
    if kind == 2 and shown != "A":
        text = r.choice(
            (f"Answer: A good guess would be wrong, so {shown}.", f"The answer is A thing we can see: {shown}.")
        )
        return (
            choice(options, gold, text, right, "article")
            if r.random() < 0.5
            else choice(options, 0, text, False, "article")
        )
    if kind == 3:
        text = r.choice(OTHER_LANGUAGES[:2] + OTHER_LANGUAGES[7:]).format(shown)
        return choice(options, gold, text, right, "languages")
    ways = (
        "The answer is {}.",
        "\\boxed{{{}}}",
        "Answer: ({})",
        "**{}**",
        "I think the answer is {}",
        "Only {} fits.",
        "So {}.",
        "<answer>{}</answer>",
        "\\boxed{{\\text{{{}}}}}",
        "{}",
    )
    return choice(options, gold, r.choice(ways).format(shown), right, "plain")


def choice_text(r: Random) -> Case:
    right = r.random() < 0.5
    if r.random() < 0.25:
        options = r.choice((("Yes", "No"), ("No", "Yes")))
        yes = options.index("Yes")
        text = r.choice(
            (
                "Yes. There is no doubt.",
                "Yes, because there is no other way.",
                "Yes, there is no reason against it.",
                "There is no doubt: yes.",
            )
        )
        return choice(options, yes if right else 1 - yes, text, right, "yes-first")
    options = tuple(r.sample(OPTIONS, r.randint(3, 5)))
    index = r.randrange(len(options))
    other = r.choice([k for k in range(len(options)) if k != index])
    if r.random() < 0.25:
        a, b = options[index], options[other]
        hedges = (
            f"The answer is {a} or {b}.",
            f"\\boxed{{{a}, {b}}}",
            f"{a} or {b}",
            f"Answer: {a}; {b}",
            f"Answer: {a}/{b}",
            f"{a} and {b}",
        )
        return choice(options, index, r.choice(hedges), False, "hedge")
    ways = (
        "The answer is {}.",
        "\\boxed{{{}}}",
        "Answer: {}",
        "\\boxed{{\\text{{{}}}}}",
        "{}",
        "It must be {}.",
        'The answer is "{}".',
    )
    return choice(options, index, r.choice(ways).format(options[index if right else other]), right, "plain")


def choice_number(r: Random) -> Case:
    kind = r.randrange(6)
    right = r.random() < 0.5
    ways = ("The answer is {}.", "\\boxed{{{}}}", "Answer: {}", "{}", "#### {}")
    if kind == 0:  # small numbers, mixed: their own content, not their place
        options = tuple(map(str, r.sample(range(0, 6), r.randint(3, 5))))
        index = r.randrange(len(options))
        shown = options[index]
        gold = index if right else r.choice([k for k in range(len(options)) if k != index])
        return choice(options, gold, r.choice(ways).format(shown), right, "choice-content")
    if kind == 1:  # the number of one, the place of another
        thing = r.choice(("apples", "birds", "km", "cups"))
        numbers = r.sample(range(2, 9), 4)
        options = tuple(f"{n} {thing}" for n in numbers)
        clash = [k for k, n in enumerate(numbers) if n <= len(numbers) and n - 1 != k]
        if clash:
            return choice(
                options,
                r.choice((clash[0], numbers[clash[0]] - 1)),
                r.choice(ways[:4]).format(numbers[clash[0]]),
                False,
                "choice-ambiguous",
            )
        k = r.randrange(4)
        return choice(options, k, f"The answer is {numbers[k]} {thing}.", True, "choice-content")
    if kind == 2:
        n, m = r.randint(2, 9), r.randint(2, 9)
        pairs = [
            (f"-{n}", f"{n}"),
            (f"1/{n}", f"1.{n}"),
            (f"{n}0", f"{n}0%"),
            ("C", "C++"),
            (f"{n}:{m + 9}", f"{m + 9}:{n}"),
            ("x+1", "x-1"),
            (f"[0,{n})", f"(0,{n})"),
            ("<", ">"),
        ]
        a, b = r.choice(pairs)
        options = r.choice(((a, b), (b, a)))
        shown = b if "C" in (a, b) else r.choice(options)  # the letter C is a place too
        index = options.index(shown)
        return choice(options, index if right else 1 - index, r.choice(ways).format(shown), right, "choice-signs")
    if kind == 3:  # with units, said without
        unit_ = r.choice(("km/h", "dollars", "%", "cm"))
        numbers = r.sample(range(10, 99), 4)
        options = tuple(f"{n} {unit_}" if unit_ != "%" else f"{n}%" for n in numbers)
        k = r.randrange(4)
        gold = k if right else (k + 1) % 4
        return choice(options, gold, r.choice(ways[:3]).format(numbers[k]), right, "choice-content")
    if kind == 4:
        numbers = r.sample(range(90000, 99999), 4)
        options = tuple(map(str, numbers))
        return choice(
            options,
            0,
            r.choice((f"the answer is {numbers[0]} or {numbers[1]}", f"\\boxed{{{numbers[0]}, {numbers[1]}}}")),
            False,
            "hedge",
        )
    options = tuple(r.sample(OPTIONS, 4))
    k = r.randrange(4)
    gold = k if right else (k + 1) % 4
    return choice(
        options,
        gold,
        r.choice(("ANSWER: {}", "The answer is {}.", "#### {}", "Option {}")).format(k + 1),
        right,
        "place",
    )
