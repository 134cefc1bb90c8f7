"""What runs inside the sandbox: loads one program and does what the judge outside asks of it. Nothing here is trusted.

It is compiled by sandbox.py and executed by a bare interpreter (`-I -S`), so it imports only built-in modules. The
judge sends marshalled requests; answers go back as JSON lines, written by hand here so that no import is paid for.
Everything that leaves this process is data: the judge never unpickles, evaluates or compares by code of the program.

CONFIG (set by sandbox.py): `script` (run as `__main__` with the real standard streams, or answer calls), `program`,
`path` (folders to import from), `cpu`, `memory`, `file`, `filter` (a seccomp program to install here, or empty).
"""

from __future__ import annotations

import marshal
import posix as os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CONFIG: dict[str, Any] = globals().get("CONFIG", {})
_objects: list[Any] = []


class _Unsendable(Exception):
    pass


def _encode(x: Any, depth: int = 0) -> str:
    """One value as JSON text: plain data by kind, anything else as the number of an object that stays here."""
    from _json import encode_basestring_ascii as quote

    if depth > 150:
        raise _Unsendable("nested too deeply")
    if x is None or x is True or x is False:
        return "null" if x is None else "true" if x else "false"
    kind = type(x)
    if isinstance(x, str):
        return quote(str.__str__(x))
    if isinstance(x, int):
        x = int.__int__(x)
        return int.__repr__(x) if -(2**63) < x < 2**63 else '{"i":"' + format(x, "x") + '"}'
    if isinstance(x, float):
        x = float.__float__(x)
        return float.__repr__(x) if x == x and x not in (1e999, -1e999) else '{"f":"' + float.__repr__(x) + '"}'
    depth += 1
    if isinstance(x, list):
        if kind is list and set(map(type, x)) <= {int, float}:
            text = list.__repr__(x)
            if "n" not in text:  # no inf, no nan
                return text
        return "[" + ",".join([_encode(y, depth) for y in list.__iter__(x)]) + "]"
    kinds: tuple[tuple[Any, str], ...] = ((tuple, "t"), (set, "s"), (frozenset, "z"))
    for base, tag in kinds:
        if isinstance(x, base):
            return '{"' + tag + '":[' + ",".join([_encode(y, depth) for y in base.__iter__(x)]) + "]}"
    if isinstance(x, dict):
        rows = ["[" + _encode(k, depth) + "," + _encode(v, depth) + "]" for k, v in dict.items(x)]
        return '{"d":[' + ",".join(rows) + "]}"
    if isinstance(x, complex):
        return '{"c":["' + float.__repr__(x.real) + '","' + float.__repr__(x.imag) + '"]}'
    if isinstance(x, (bytes, bytearray)):
        return '{"b":"' + bytes(x).hex() + '"}'
    if kind is range:
        return f'{{"r":[{x.start},{x.stop},{x.step}]}}'
    module = getattr(kind, "__module__", "")
    if module == "fractions" and kind.__name__ == "Fraction":
        return '{"q":[' + _encode(x.numerator) + "," + _encode(x.denominator) + "]}"
    if module == "decimal" and kind.__name__ == "Decimal":
        return '{"m":' + quote(str(x)) + "}"
    if module == "collections" and kind.__name__ == "deque":
        return '{"k":[' + ",".join([_encode(y, depth) for y in x]) + "]}"
    if module.split(".")[0] == "numpy" and hasattr(x, "tolist"):
        return _encode(x.tolist(), depth)
    _objects.append(x)
    return '{"o":' + str(len(_objects) - 1) + "}"


_FUNCTION: Any = type(lambda: None)


def _unpack(x: tuple[str, Any]) -> Any:
    """A value as the judge wraps it when it holds objects that live here: `(kind, content)`."""
    kind, content = x
    if kind == "=":
        return content
    if kind == "o":
        return _objects[content]
    if kind == "b":
        return getattr(sys.modules["builtins"], content)
    if kind == "f":
        return _FUNCTION(content, {"__builtins__": __builtins__})
    if kind == "d":
        return {_unpack(k): _unpack(v) for k, v in content}
    return {"l": list, "t": tuple, "s": set}[kind]([_unpack(y) for y in content])


def _mutable(values: Any) -> bool:
    return any(isinstance(v, (list, dict, set, bytearray)) for v in values)


def _do(request: Any, module: dict[str, Any]) -> str:
    """Answer one request: `(verb, packed, ...)`. Returns JSON text."""
    verb, packed, *rest = request
    if packed:
        rest = [_unpack(r) for r in rest]
    if verb == "names":
        known = [n for n in rest[0] if n in module]
        return "[" + ",".join(['["' + n + '",' + ("1" if callable(module[n]) else "0") + "]" for n in known]) + "]"
    if verb == "call":
        target, args, kwargs = rest
        function = module[target] if isinstance(target, str) else target
        watch = _mutable(args)
        before = _encode(list(args)) if watch else ""
        result = _encode(function(*args, **kwargs))
        if watch:
            try:
                after = _encode(list(args))
            except _Unsendable:
                after = before
            if after != before:
                return '{"result":' + result + ',"args":' + after + "}"
        return '{"result":' + result + "}"
    if verb == "name":
        return '{"result":' + _encode(module[rest[0]]) + "}"
    functions: dict[str, Callable[..., Any]] = {
        "get": getattr, "set": setattr, "item": lambda x, k: x[k], "len": len, "bool": bool, "iter": list, "str": str,
        "repr": repr, "same": lambda a, b: a == b, "next": next,
    }  # fmt: skip
    return '{"result":' + _encode(functions[verb](*rest)) + "}"


def _serve(program: str, null: int) -> None:
    source, sink = os.dup(0), os.dup(1)
    for fd in (0, 1, 2):
        os.dup2(null, fd)

    def read(size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = os.read(source, min(size - len(data), 1 << 20))
            if not chunk:
                os._exit(0)
            data += chunk
        return data

    def answer(text: str) -> None:
        data = text.encode() + b"\n"
        while data:
            data = data[os.write(sink, data) :]

    def attempt(function: Callable[..., str], *args: Any) -> str:
        try:
            return function(*args)
        except SystemExit:
            return '{"error":["SystemExit","the program exits"]}'
        except BaseException as error:
            try:
                words = str(error)[:300]
            except BaseException:
                words = ""
            try:
                return '{"error":[' + _encode(type(error).__name__) + "," + _encode(words) + "]}"
            except BaseException:
                return '{"error":["Exception",""]}'

    module = type(sys)("program")
    sys.modules["program"] = module

    def load() -> str:
        exec(compile(program, "<program>", "exec", dont_inherit=True), module.__dict__)
        return '{"result":null}'

    answer(attempt(load))
    while True:
        request = marshal.loads(read(int.from_bytes(read(4), "big")))
        answer(attempt(_do, request, module.__dict__))


def _script(program: str, null: int) -> None:
    os.close(null)
    module = type(sys)("__main__")
    sys.modules["__main__"] = module
    sys.argv = ["program.py"]
    module.__dict__["__builtins__"] = __builtins__
    exec(compile(program, "<program>", "exec", dont_inherit=True), module.__dict__)


def _limit() -> None:
    import resource as r

    cpu, memory, file = CONFIG["cpu"], CONFIG["memory"], CONFIG["file"]
    pairs = [(r.RLIMIT_CORE, 0), (r.RLIMIT_CPU, cpu), (r.RLIMIT_FSIZE, file), (r.RLIMIT_NOFILE, 64)]
    if memory:
        pairs.append((r.RLIMIT_AS, memory))
    if CONFIG["processes"]:
        pairs.append((r.RLIMIT_NPROC, CONFIG["processes"]))
    for which, value in pairs:
        hard = r.getrlimit(which)[1]
        value = value if hard == r.RLIM_INFINITY else min(value, hard)
        r.setrlimit(which, (value, value))
    if CONFIG["filter"]:
        import ctypes

        code = ctypes.create_string_buffer(CONFIG["filter"](os.getpid()))

        class Program(ctypes.Structure):
            _fields_ = (("size", ctypes.c_ushort), ("code", ctypes.c_void_p))

        libc = ctypes.CDLL(None, use_errno=True)
        described = Program(len(code) // 8, ctypes.addressof(code))
        if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(described), 0, 0):
            os._exit(97)


if CONFIG:
    sys.path.extend(CONFIG["path"])
    sys.setrecursionlimit(10_000 if sys.version_info >= (3, 12) else 3_000)
    _null = os.open("/dev/null", 2)  # before the filter, which may refuse to
    _limit()
    (_script if CONFIG["script"] else _serve)(CONFIG["program"], _null)
