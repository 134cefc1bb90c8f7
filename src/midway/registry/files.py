"""Python files of the user's own: loaded by path, known by content.

Promises: a file is imported once in a process for as long as its content is the same; its module can be found again by name, so that what
it defines can be pickled in this process. When things go wrong: FileError with the file, the line and the reason.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType


class FileError(ImportError):
    """A file cannot be used as a module."""


def digest(path: str | Path) -> str:
    """Return the content hash of a file. Raises FileError when it cannot be read."""
    try:
        return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})") from None


def module_name(path: str | Path, content: str) -> str:
    """Return the name under which a file's module is known."""
    return f"midway_plugin_{Path(path).stem}_{content[:12]}"


def load_module(path: str | Path) -> tuple[ModuleType, str]:
    """Return the module of a file and the hash of its content. Raises FileError."""
    content = digest(path)
    name = module_name(path, content)
    if name in sys.modules:
        return sys.modules[name], content
    spec = importlib.util.spec_from_file_location(name, Path(path).resolve())
    if spec is None or spec.loader is None:
        raise FileError(f"{path}: not a Python file (*.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception):
            raise
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(Path(path).resolve())
        ]
        line = f":{error.lineno}" if isinstance(error, SyntaxError) else f":{lines[-1]}" if lines else ""
        raise FileError(f"{path}{line}: cannot be imported: {type(error).__name__}: {error}") from error
    return module, content
