"""Finds the program in what a model wrote: fenced, bare, between words, or the continuation of a prompt.

Promises: nothing is executed; the work is bounded by the length of the text. Of several blocks the last that defines what
is asked for counts, together with the imports and helpers that it needs from earlier ones.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator

from midway.verifier import rules

_FENCE = re.compile(
    r"^(?P<margin>[ \t]*)(?:[^\n`~]*[ \t>])?(?:```+|~~~+)[ \t]*(?P<language>[\w+-]*)[^\n`]*\n(?P<body>.*?)(?:^[ \t]*(?:```|~~~)|\Z)",
    re.DOTALL | re.MULTILINE,
)
_OLD_TAGS = re.compile(r"\[/?(?:PYTHON|CODE|python|code)\]|</?(?:code|python|pre|program)>")
_TAGS = re.compile(
    r"[ \t]*(?:\[/?(?:PYTHON|CODE|BEGIN|DONE|END|SOLUTION|ANSWER)\]|</?(?:code|python|pre|program|answer|solution)>)[ \t]*",
    re.IGNORECASE,
)
_INLINE = re.compile(
    r"(?P<marks>`+)[ \t]*(?:(?:python3?|py)\b[ \t]*)?(?P<body>(?:def|class|import|from|print|async|lambda|@)\b[^`\n]*)(?P=marks)"
)
_LATE_FENCE = re.compile(r"^([ \t]*[^`\n]*[^`\s][ \t]*)```[ \t]*(</\w+>|\[/?\w+\])?[ \t]*$", re.MULTILINE)
"""A fence that closes at the end of a line of code."""
_FENCE_LINE = re.compile(r"^[ \t]*(?:```+|~~~+)[ \t]*[\w+-]*[^\n`]*$", re.MULTILINE)
MAX_LONGER = 8
"""Closing fences that are tried for one block."""
_CODE_LINE = re.compile(r"^(?:(?:async\s+def|def|class)\s+\w|import\s+\w|from\s+[\w.]+\s+import\b|@\w)", re.MULTILINE)
_INDENTED_LINE = re.compile(r"^[ \t]+\S", re.MULTILINE)


def compiles(source: str) -> bool:
    """Whether this is a Python program."""
    try:
        compile(source, "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def defines(source: str, name: str) -> bool:
    """Whether the program defines `name` at its margin; every program defines the empty name."""
    return not name or bool(
        re.search(rf"^(?:async\s+)?(?:def|class)\s+{re.escape(name)}\b|^{re.escape(name)}\s*=", source, re.M)
    )


def find_program(text: str, prompt: str = "", entry_point: str = "") -> str | None:
    """Return the program in `text`: a fenced block, the text itself, or the prompt completed by it; None if there is
    none.

    Text around the program (an introduction, more examples, an explanation) is left out. A method of a class `Solution`
    is as good as a function. A program that does not compile is returned as it is, so that the verdict can say why.
    """
    text = text.replace("\ufeff", "").replace("\r\n", "\n")
    text = re.sub(r"^[ \t\u00a0\u3000]+", lambda m: re.sub(r"[\u00a0\u3000]", " ", m[0]), text, flags=re.MULTILINE)
    if rules.on("program-marks"):
        text = _LATE_FENCE.sub(r"\1\n```\n\2", text)
    if not text.strip():
        return None
    bodies = _blocks(text)
    candidates = list(dict.fromkeys(_candidates(text, bodies, prompt, entry_point)))
    head = _preamble(prompt, entry_point)
    complete = [head + c if head and not c.startswith(prompt) else c for c in candidates]
    for program in complete:
        if compiles(program) and defines(program, entry_point):
            return _with_helpers(program, bodies)
    for program in complete:
        shorter = _longest_prefix(program)
        beyond = shorter[len(prompt) :] if shorter.startswith(prompt) else shorter
        if beyond.strip() and defines(shorter, entry_point):
            return _with_helpers(shorter, bodies)
    return complete[0]


def _blocks(text: str) -> list[str]:
    """The contents of the fenced blocks in Python, or of all where none says so; without the fence's own margin."""
    found = []
    for match in _FENCE.finditer(text):
        margin = match["margin"]
        body = re.sub(rf"^{margin}", "", match["body"], flags=re.MULTILINE) if margin else match["body"]
        found.append((match["language"].lower(), body))
    if not found and rules.on("program-marks"):
        found = [("python", match["body"].strip() + "\n") for match in _INLINE.finditer(text)]
    python = [b for b in found if b[0] in ("", "python", "py", "python3")] or found
    return [body for _, body in python if body.strip()]


def _longer(text: str) -> Iterator[str]:
    """The blocks that go on behind a fence of their own, such as one in a docstring."""
    fences = list(_FENCE_LINE.finditer(text))
    for k, fence in enumerate(fences[:20]):
        for end in fences[k + 2 : k + 2 + MAX_LONGER]:
            yield textwrap.dedent(text[fence.end() + 1 : end.start()])


def _candidates(text: str, bodies: list[str], prompt: str, entry_point: str) -> Iterator[str]:
    """What may be the program, the most likely first. For the first one the reason why it does not compile is given."""
    for body in reversed(bodies):
        if defines(body, entry_point):
            yield body
        elif method := _method(body, entry_point):
            yield method
    if bodies and rules.on("inner-fence") and not any(compiles(body) for body in bodies):
        yield from (body for body in _longer(text) if defines(body, entry_point) and compiles(body))
    completing = prompt if entry_point else ""
    if completing:
        yield from (completing + body for body in reversed(bodies))
    yield from bodies[::-1]
    before = text if not bodies else text[: text.find("```")] if "```" in text else ""
    plain = (_TAGS if rules.on("program-marks") else _OLD_TAGS).sub("\n", before)
    if defines(plain, entry_point):
        yield plain
    elif method := _method(plain, entry_point):
        yield method
    if prompt and plain.strip():
        yield prompt + plain
    for start in _starts(plain, entry_point):
        if defines(plain[start:], entry_point):
            yield plain[start:]
        elif method := _method(plain[start:], entry_point):
            yield method
    if completing:
        indented = _INDENTED_LINE.search(plain)
        for part in (*reversed(bodies), plain, plain[indented.start() :] if indented else ""):
            if part.strip():
                yield completing + part
                yield from (completing + body for body in _indented(part))
    yield text


def _starts(text: str, entry_point: str) -> list[int]:
    """Where a program between words may start: its first line that is code, or the definition that is asked for."""
    lines = [m.start() for m in _CODE_LINE.finditer(text)]
    asked = [
        m
        for m in lines
        if entry_point and re.match(rf"(?:async\s+)?(?:def|class)\s+{re.escape(entry_point)}\b", text[m:])
    ]
    return list(dict.fromkeys([*lines[:3], *asked[-1:]]))


def _indented(body: str) -> Iterator[str]:
    """The body of a function at a margin of four, where it was written at another one, or its first line at none."""
    body = body.strip("\n").expandtabs(4)
    yield textwrap.indent(textwrap.dedent(body), "    ") + "\n"
    yield "    " + body.lstrip() + "\n"


def _method(body: str, entry_point: str) -> str:
    """The program with its `Solution().entry_point` under the name that is asked for; empty if it has none."""
    is_method = (
        entry_point and defines(body, "Solution") and re.search(rf"^\s+def\s+{re.escape(entry_point)}\b", body, re.M)
    )
    return f"{body.rstrip()}\n\n{entry_point} = Solution().{entry_point}\n" if is_method else ""


def _preamble(prompt: str, entry_point: str) -> str:
    """What stands before the entry point in the prompt: imports and helpers."""
    match = re.search(rf"^def\s+{re.escape(entry_point)}\b", prompt, re.MULTILINE) if entry_point else None
    head = prompt[: match.start()] if match else ""
    return head if compiles(head) else ""


def _longest_prefix(program: str) -> str:
    """The longest run of leading lines that compiles, cut where a line starts at the margin; at most 60 tries."""
    lines = program.split("\n")
    edges = [k for k, line in enumerate(lines) if k and line[:1].strip() and line[:1] not in ")]}#@"]
    for edge in reversed(edges[-60:]):
        shorter = "\n".join(lines[:edge]) + "\n"
        if compiles(shorter):
            return shorter
    return ""


def _with_helpers(program: str, bodies: list[str]) -> str:
    """The program, with those imports and definitions of the other blocks in front that it uses and does not have."""
    others = [b for b in bodies if b.strip() not in program]
    if not others:
        return program
    known: dict[str, ast.stmt] = {}
    for body in others:
        if compiles(body):
            known |= {name: node for node in ast.parse(body).body for name in _names(node)}
    tree = ast.parse(program)
    have = {name for node in tree.body for name in _names(node)}
    needed: list[ast.stmt] = []
    todo = [tree]
    while todo:
        used = {n.id for n in ast.walk(todo.pop()) if isinstance(n, ast.Name) and n.id in known and n.id not in have}
        for name in sorted(used):
            have.add(name)
            if known[name] not in needed:
                needed.append(known[name])
                todo.append(ast.Module([known[name]], []))
    needed.sort(key=lambda node: not isinstance(node, (ast.Import, ast.ImportFrom)))
    return "".join(f"{ast.unparse(node)}\n" for node in needed) + program


def _names(node: ast.stmt) -> list[str]:
    """The names that a statement at the margin defines."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    return [t.id for t in node.targets if isinstance(t, ast.Name)] if isinstance(node, ast.Assign) else []
