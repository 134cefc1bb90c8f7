"""The judge's side of a program that runs in the sandbox: calls its functions, sees its objects, never runs its code.

Promises: whatever the program does, what arrives here is data of known kinds (numbers, strings, containers) or a
`Remote`: a stand-in for an object that stays in the sandbox. So a patched `assert`, an `__eq__` that always agrees, a
printed "passed" or an early exit cannot make a test pass: tests run here, on copies. Every wait is bounded by the
program's limits.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import marshal
import os
import select
import time
from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from types import FunctionType
from typing import Any

from midway.verifier.programs.sandbox import Limits, Program, SandboxUnavailable

MAX_MESSAGE = 64 << 20


class ProgramEnded(BaseException):
    """The program is gone; `reason` is the verdict's. Not an Exception, so that no test can swallow it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProgramError(Exception):
    """The program raised an exception that is not a built-in one."""


class Session:
    """One program, loading; the first request, or `load`, waits until it is loaded. A context manager."""

    def __init__(self, source: str, limits: Limits) -> None:
        self.program = Program(source, limits, script=False, ahead=True)
        self.buffer = bytearray()
        self.waited = self.program.head_start
        self._loaded = False
        self._error: tuple[str, str] | None = None

    def load(self) -> tuple[str, str] | None:
        """Wait until it is loaded; `(type, message)` when loading it raised. Raises ProgramEnded when it is gone."""
        if not self._loaded:
            self._error = _error(self._receive())
            self._loaded = True
        return self._error

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.program.kill()

    def _send(self, request: tuple[Any, ...]) -> None:
        self.load()
        verb, *rest = request
        try:
            data = marshal.dumps((verb, False, *rest))
        except ValueError:
            data = marshal.dumps((verb, True, *[_pack(r) for r in rest]))
        data = len(data).to_bytes(4, "big") + data
        started = time.monotonic()
        pipe = self.program.process.stdin
        assert pipe
        os.set_blocking(pipe.fileno(), False)
        while data:
            try:
                data = data[os.write(pipe.fileno(), data) :]
            except BlockingIOError:
                select.select([], [pipe], [], self._nap(started))
                self._check_idle(started)
            except BrokenPipeError:
                self._dead()
        self.waited += time.monotonic() - started

    def _receive(self) -> Any:
        pipe = self.program.process.stdout
        assert pipe
        started = time.monotonic()
        while (end := self.buffer.find(b"\n")) < 0:
            ready, _, _ = select.select([pipe], [], [], self._nap(started))
            if not ready:
                self._check_idle(started)
                continue
            chunk = os.read(pipe.fileno(), 1 << 20)
            if not chunk:
                self._dead()
            self.buffer += chunk
            if len(self.buffer) > MAX_MESSAGE:
                raise ProgramEnded("output-limit")
        self.waited += time.monotonic() - started
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 1]
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            raise ProgramEnded("unreadable-result") from None

    def _check_idle(self, since: float) -> None:
        """The program's idle time is what it let us wait for without running, in all calls together."""
        if not self.program.time_left(self.waited + time.monotonic() - since):
            raise ProgramEnded(f"timeout: {self.program.late or 'idle'}")

    def _nap(self, since: float) -> float:
        return self.program.nap(0.5, self.waited + time.monotonic() - since)

    def _dead(self) -> None:
        pipe = self.program.process.stderr
        assert pipe
        os.set_blocking(pipe.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            self.program.stderr = os.read(pipe.fileno(), 8192)
        why = self.program.why_dead()
        if why == "sandbox":
            raise SandboxUnavailable(self.program.stderr.decode(errors="replace").strip()[-300:])
        raise ProgramEnded("timeout: cpu" if why == "timeout" else f"program-ended: {why}")

    def request(self, verb: str, *rest: Any) -> Any:
        """Do one request and return its decoded result. Raises what the program raised, or ProgramEnded."""
        self._send((verb, *rest))
        return self._result(self._receive())

    def _result(self, answer: Any) -> Any:
        error = _error(answer)
        if error:
            name, message = error
            if name in ("SystemExit", "KeyboardInterrupt", "GeneratorExit"):
                raise ProgramEnded(f"runtime-error: {name}")
            kind = getattr(builtins, name, None)
            if isinstance(kind, type) and issubclass(kind, Exception) and kind not in (StopIteration, AssertionError):
                known: Exception | None = None
                with contextlib.suppress(TypeError):  # UnicodeDecodeError and the like take other arguments
                    known = kind(message)
                if known:
                    raise known
            raise ProgramError(f"{name}: {message}")
        return self.decode(answer.get("result"))

    def call(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of the program; arguments that it changes in place are changed here too."""
        self._send(("call", target, args, kwargs))
        answer = self._receive()
        result = self._result(answer)
        changed = self.decode(answer.get("args", []))
        for mine, theirs in zip(args, changed if isinstance(changed, list) else [], strict=False):
            _update(mine, theirs)
        return result

    def names(self, wanted: list[str]) -> dict[str, Any]:
        """Return those of the names that the program defines: stand-ins for what can be called, values for the rest."""
        self._send(("names", wanted))
        answer = self._receive()
        if not isinstance(answer, list) or not all(isinstance(row, list) and len(row) == 2 for row in answer):
            raise ProgramEnded("unreadable-result")
        found: dict[str, Any] = {}
        for name, can_call in answer:
            if name in wanted:
                found[name] = Function(self, name) if can_call else self.request("name", name)
        return found

    def decode(self, x: Any) -> Any:
        """Return the value that an answer describes. Raises ProgramEnded when it describes none."""
        try:
            return self._decode(x)
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
            raise ProgramEnded("unreadable-result") from None

    def _decode(self, x: Any) -> Any:
        if isinstance(x, list):
            if set(map(type, x)) <= {int, float, str}:
                return x
            return [self._decode(y) for y in x]
        if not isinstance(x, dict):
            return x
        ((tag, content),) = x.items()
        if tag == "t":
            return tuple(self._decode(y) for y in content)
        if tag in ("s", "z"):
            return (set if tag == "s" else frozenset)(self._decode(y) for y in content)
        if tag == "d":
            return {self._decode(k): self._decode(v) for k, v in content}
        if tag == "o":
            return Remote(self, int(content))
        if tag == "c":
            return complex(float(content[0]), float(content[1]))
        simple: dict[str, Callable[[], Any]] = {
            "i": lambda: int(content, 16),
            "f": lambda: float(content),
            "b": lambda: bytes.fromhex(content),
            "r": lambda: range(*content),
            "q": lambda: Fraction(self._decode(content[0]), self._decode(content[1])),
            "m": lambda: Decimal(content),
            "k": lambda: deque(self._decode(y) for y in content),
        }
        return simple[tag]()


def _error(answer: Any) -> tuple[str, str] | None:
    """`(type, message)` of an answer that reports an exception. Raises ProgramEnded if it is no answer at all."""
    if not isinstance(answer, dict):
        raise ProgramEnded("unreadable-result")
    error = answer.get("error")
    if isinstance(error, list) and len(error) == 2:
        return str(error[0]), str(error[1])
    return None


class Function:
    """Stands for a function or class of the program, by name."""

    def __init__(self, session: Session, name: str) -> None:
        self._session, self.__name__ = session, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._session.call(self.__name__, args, kwargs)


class Remote:
    """Stands for an object of the program. Never equal to anything but another object of the program."""

    __slots__ = ("_number", "_session")
    __hash__ = object.__hash__

    def __init__(self, session: Session, number: int) -> None:
        object.__setattr__(self, "_session", session)
        object.__setattr__(self, "_number", number)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._session.call(self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return self._session.request("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._session.request("set", self, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._session.request("item", self, key)

    def __len__(self) -> int:
        return int(self._session.request("len", self))

    def __bool__(self) -> bool:
        return self._session.request("bool", self) is True

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._session.request("iter", self)))

    def __next__(self) -> Any:
        return self._session.request("next", self)

    def __str__(self) -> str:
        return str(self._session.request("str", self))

    def __repr__(self) -> str:
        return str(self._session.request("repr", self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and self._session.request("same", self, other) is True


def _pack(x: Any) -> tuple[str, Any]:
    """Wrap a value that holds stand-ins, for `_unpack` of the runner. Raises ValueError for what cannot be sent."""
    if isinstance(x, Remote):
        return "o", x._number
    if isinstance(x, Function):
        return "o", x._session.request("get", x._session.request("name", x.__name__), "__call__")._number
    if isinstance(x, dict):
        return "d", [(_pack(k), _pack(v)) for k, v in x.items()]
    for base, tag in ((list, "l"), (tuple, "t"), (set, "s")):
        if isinstance(x, base):
            return tag, [_pack(y) for y in x]
    name = getattr(x, "__name__", "")
    if name and getattr(builtins, name, None) is x:
        return "b", name
    if isinstance(x, FunctionType) and not x.__closure__:
        return "f", x.__code__
    try:
        marshal.dumps(x)
    except ValueError:
        for plain in (str, int, float):
            if isinstance(x, plain):
                return "=", plain(x)
        raise ValueError(f"cannot hand a {type(x).__name__} to the program") from None
    return "=", x


def _update(mine: Any, theirs: Any) -> None:
    if isinstance(mine, list) and isinstance(theirs, list):
        mine[:] = theirs
    elif isinstance(mine, (dict, set)) and type(mine) is type(theirs):
        mine.clear()
        mine.update(theirs)
    elif isinstance(mine, bytearray) and isinstance(theirs, bytes):
        mine[:] = theirs
