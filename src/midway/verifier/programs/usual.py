"""The imports that public graders put in front of a program: what a program may use without saying so.

Promises: only names that the program uses and nowhere defines are added, each by one plain import; a program that needs none comes back as
it is. Nothing is executed.
"""

from __future__ import annotations

import ast
import builtins

from midway.verifier import rules

_FROM = (
    "typing: List Dict Tuple Set FrozenSet Optional Any Union Callable Iterable Iterator Generator Sequence"
    " Mapping Deque DefaultDict Type",
    "collections: Counter defaultdict deque OrderedDict namedtuple ChainMap",
    "heapq: heappush heappop heapify heapreplace heappushpop nlargest nsmallest",
    "bisect: bisect_left bisect_right insort insort_left insort_right",
    "functools: reduce lru_cache cache cmp_to_key partial cached_property",
    "itertools: accumulate permutations combinations combinations_with_replacement product chain groupby cycle"
    " zip_longest pairwise islice count repeat takewhile dropwhile starmap",
    "math: gcd lcm sqrt ceil floor inf log log2 log10 pi comb perm factorial isqrt prod sin cos tan atan2 hypot",
    "dataclasses: dataclass field",
    "string: ascii_lowercase ascii_uppercase ascii_letters digits",
    "operator: itemgetter attrgetter xor",
    "sys: stdin stdout maxsize",
    "copy: deepcopy",
    "abc: ABC abstractmethod",
)
_IMPORTS = {
    name: f"from {module} import {name}"
    for module, _, names in (line.partition(":") for line in _FROM)
    for name in names.split()
}
_MODULES = [
    *(
        "math",
        "sys",
        "os",
        "re",
        "collections",
        "itertools",
        "functools",
        "heapq",
        "bisect",
        "string",
        "random",
        "operator",
        "copy",
    ),
    *("datetime", "json", "typing", "time", "statistics", "decimal", "fractions"),
]
_IMPORTS |= {name: f"import {name}" for name in _MODULES}
_IMPORTS |= {name: f"from sys import exit as {name}" for name in ("exit", "quit")}
_CLASSES = {
    "ListNode": "class ListNode:\n    def __init__(self, val=0, next=None):\n        self.val, self.next = val, next",
    "TreeNode": "class TreeNode:\n    def __init__(self, val=0, left=None, right=None):\n"
    "        self.val, self.left, self.right = val, left, right",
}
_KNOWN = frozenset(dir(builtins)) - {"exit", "quit"}  # these two are site's, which the sandbox does without


def with_usual_imports(program: str, *, types_only: bool = False) -> str:
    """Return the program with those usual imports in front that it needs; as it is where it cannot be read.

    `types_only`: no more than the names of types, with which signatures are written.
    """
    if not rules.on("usual-imports"):
        return program
    try:
        tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return program
    used: set[str] = set()
    defined: set[str] = set()
    stars = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else defined).add(node.id)
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            stars = stars or any(a.name == "*" for a in node.names)
            defined |= {(a.asname or a.name).split(".")[0] for a in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            defined.add(node.name)
    missing = sorted(used - defined - _KNOWN)
    if types_only:
        missing = [name for name in missing if _IMPORTS.get(name, "").startswith("from typing ")]
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    lines = [_CLASSES[name] for name in missing if name in _CLASSES]
    for name in missing:
        if name == "bisect" and name in called:
            lines.append("from bisect import bisect")
        elif name in _IMPORTS and not (stars and name not in ("exit", "quit")):
            lines.append(_IMPORTS[name])
    if not lines:
        return program
    after = 0  # the future comes first, and a docstring before it
    for node in tree.body:
        if (isinstance(node, ast.ImportFrom) and node.module == "__future__") or (
            node is tree.body[0] and isinstance(node, ast.Expr)
        ):
            after = node.end_lineno or 0
        else:
            break
    source = program.split("\n")
    return "\n".join([*source[:after], *lines, *source[after:]])
