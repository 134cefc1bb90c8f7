"""Reads a formula, LaTeX or plain, into a small tree. Bounded: at most MAX_TOKENS tokens and MAX_DEPTH levels.

Promises: `parse` never evaluates anything, takes time proportional to the length of its input, and raises `Unreadable`
(never anything else) when the text is not a formula of the grammar below: it does not guess.

A node is a tuple whose first item is its kind:
`("num", Fraction)`, `("sym", name)`, `("neg", a)`, `("add" | "sub" | "mul" | "div" | "pow", a, b)`, `("fn", name, a)`,
`("root", n, a)`, `("log", base, a)`, `("fact", a)`, `("binom", n, k)`, `("pct", a)`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

MAX_TOKENS = 1500
MAX_DEPTH = 60
MAX_DIGITS = 400
"""Digits of one number. Longer ones are compared as strings of digits only."""

Node = tuple[Any, ...]


class Unreadable(ValueError):
    """The text is not a formula that this grammar reads."""


_TOKEN = re.compile(
    r"\s*(?:(?P<num>\d+(?:\.\d+)?|\.\d+)|(?P<cmd>\\[a-zA-Z]+|\\[|])|(?P<word>[a-zA-Z]+)|(?P<op>\*\*|[-+*/^_(){}\[\]|!%'=]))"
)

FUNCTIONS = frozenset(
    [
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
        "ln",
        "log",
        "exp",
        "asin",
        "acos",
        "atan",
        "lg",
        "abs",
        "floor",
        "ceil",
        "sqrt",
        "cbrt",
    ]
)
_ALIAS = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
_GREEK = frozenset(
    [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "varepsilon",
        "zeta",
        "eta",
        "theta",
        "vartheta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
        "rho",
        "sigma",
        "tau",
        "upsilon",
        "phi",
        "varphi",
        "chi",
        "psi",
        "omega",
        "Gamma",
        "Delta",
        "Theta",
        "Lambda",
        "Xi",
        "Sigma",
        "Phi",
        "Psi",
        "Omega",
        "ell",
    ]
)
_MULTIPLY = frozenset({"\\cdot", "\\times", "\\ast", "*"})
_OPEN = {"(": ")", "[": "]", "{": "}"}


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        position = 0
        text = text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if not match:
                raise Unreadable(f"unexpected {text[position : position + 10]!r}")
            token = match.group().strip()
            if match["num"] and len(token) > MAX_DIGITS:
                raise Unreadable("number too long")
            if match["word"]:
                self.tokens += self._word(token)
            else:
                self.tokens.append(token)
            if len(self.tokens) > MAX_TOKENS:
                raise Unreadable("too long")
            position = match.end()
        self.at = 0
        self.depth = 0

    @staticmethod
    def _word(word: str) -> list[str]:
        """A run of letters: a function, pi, or a product of at most two one-letter symbols; else it is a word."""
        if word in FUNCTIONS or word == "pi":
            return ["\\" + word]
        for name in ("sqrt", "sin", "cos", "tan", "ln", "log", "pi"):
            head, found, tail = word.partition(name)
            if found and len(head) <= 2 and len(tail) <= 2:
                return [*head, "\\" + name, *tail]
        if len(word) <= 2 or (len(set(word)) == len(word) <= 4 and word.isupper()):
            return list(word)
        raise Unreadable(f"a word: {word!r}")

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        if not token:
            raise Unreadable("ends too early")
        self.at += 1
        return token

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise Unreadable(f"expected {token!r}")

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")
        node = self.term()
        while self.peek() in ("+", "-"):
            kind = "add" if self.take() == "+" else "sub"
            node = (kind, node, self.term())
        self.depth -= 1
        return node

    def term(self) -> Node:
        node = self.unary()
        while True:
            token = self.peek()
            if token in _MULTIPLY:
                self.take()
                node = ("mul", node, self.unary())
            elif token in ("/", "\\div"):
                self.take()
                node = ("div", node, self.unary())
            elif self.starts_factor(token):
                node = ("mul", node, self.power())
            else:
                return node

    def starts_factor(self, token: str) -> bool:
        if not token or token in (")", "]", "}", "|", "+", "-", "=", "!", "%", "'", "^", "_", "**", "\\|"):
            return False
        return token not in ("\\rfloor", "\\rceil", "\\rvert", "/", "\\div")

    def unary(self) -> Node:
        signs = 0
        while self.peek() in ("+", "-"):
            signs += self.take() == "-"
        node = self.power()
        return ("neg", node) if signs % 2 else node

    def power(self) -> Node:
        node = self.postfix(self.primary())
        if self.peek() in ("^", "**"):
            self.take()
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise Unreadable("nested too deeply")
            node = ("pow", node, self.exponent())
            self.depth -= 1
            node = self.postfix(node)
        return node

    def exponent(self) -> Node:
        if self.peek() == "-":
            self.take()
            return ("neg", self.power())
        return self.power()

    def postfix(self, node: Node) -> Node:
        while True:
            token = self.peek()
            if token == "!":
                node = ("fact", node)
            elif token == "%":
                node = ("pct", node)
            else:
                return node
            self.take()

    def group(self) -> Node:
        """The argument of a command: `{...}`, or one digit, letter or command, as TeX has it."""
        token = self.take()
        if token == "{":
            node = self.expression()
            self.expect("}")
            return node
        if token[0].isdigit() and len(token) > 1 and "." not in token:
            self.at -= 1
            self.tokens[self.at] = token[1:]
            return ("num", Fraction(token[0]))
        self.at -= 1
        return self.primary()

    def primary(self) -> Node:
        token = self.take()
        if token[0].isdigit() or token[0] == ".":
            node: Node = ("num", Fraction(token))
            if self.peek() == "\\frac" and "." not in token:  # a mixed number
                mark = self.at
                fraction = self.primary()
                if fraction[0] == "div" and fraction[1][0] == fraction[2][0] == "num" and self.peek() != "^":
                    return ("add", node, fraction)
                self.at = mark
            return node
        if token in _OPEN:
            node = self.expression()
            self.expect(_OPEN[token])
            return node
        if token == "|" or token == "\\lvert":
            node = self.expression()
            if self.take() not in ("|", "\\rvert"):
                raise Unreadable("expected |")
            return ("fn", "abs", node)
        if len(token) == 1 and token.isalpha():
            if token in "fghFGH" and self.peek() == "(":
                raise Unreadable("a function without a definition")
            return ("sym", token + self.subscript())
        if not token.startswith("\\"):
            raise Unreadable(f"unexpected {token!r}")
        return self.command(token[1:])

    def subscript(self) -> str:
        if self.peek() != "_":
            return ""
        self.take()
        if self.peek() != "{":
            return "_" + self.take()
        self.take()
        parts = []
        while self.peek() != "}":
            parts.append(self.take())
        self.take()
        return "_" + "".join(parts)

    def command(self, name: str) -> Node:
        name = _ALIAS.get(name, name)
        if name == "frac":
            return ("div", self.group(), self.group())
        if name in ("binom", "dbinom", "tbinom"):
            return ("binom", self.group(), self.group())
        if name in ("sqrt", "cbrt"):
            index: Node = ("num", Fraction(3 if name == "cbrt" else 2))
            if self.peek() == "[":
                self.take()
                index = self.expression()
                self.expect("]")
            return ("root", index, self.primary() if self.peek() == "(" else self.group())
        if name == "pi":
            return ("sym", "\\pi")
        if name in _GREEK:
            return ("sym", "\\" + name + self.subscript())
        if name in ("lfloor", "lceil"):
            node = self.expression()
            self.expect("\\r" + name[1:])
            return ("fn", "floor" if name == "lfloor" else "ceil", node)
        if name in FUNCTIONS:
            return self.function(name)
        raise Unreadable(f"unknown command \\{name}")

    def function(self, name: str) -> Node:
        base: Node | None = None
        exponent: Node | None = None
        if self.peek() == "_":
            self.take()
            base = self.group()
        if self.peek() in ("^", "**"):
            self.take()
            exponent = self.group() if self.peek() == "{" else self.exponent()
            if exponent == ("neg", ("num", Fraction(1))):
                if name not in ("sin", "cos", "tan"):
                    raise Unreadable("inverse function")
                name, exponent = "arc" + name, None
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")
        if self.peek() in ("(", "["):
            argument = self.power()
        else:
            argument = self.unary()
            while self.starts_factor(self.peek()) and self.peek().lstrip("\\") not in FUNCTIONS - {"sqrt"}:
                argument = ("mul", argument, self.power())
        self.depth -= 1
        if base is not None and name != "log":
            raise Unreadable("subscript of a function")
        node: Node = ("log", base, argument) if base is not None else ("fn", name, argument)
        return ("pow", node, exponent) if exponent is not None else node


def parse(text: str) -> Node:
    """Return the tree of one formula (no relation sign). Raises Unreadable."""
    parser = _Parser(text)
    node = parser.expression()
    if parser.peek():
        raise Unreadable(f"unexpected {parser.peek()!r}")
    return node


def symbols(node: Node) -> set[str]:
    """Return the names of the free symbols; pi, e and i are constants."""
    if node[0] == "sym":
        return set() if node[1] in ("\\pi", "e", "i") else {node[1]}
    found: set[str] = set()
    for part in node[1:]:
        if isinstance(part, tuple):
            found |= symbols(part)
    return found
