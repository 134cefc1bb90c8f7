"""Which weights exactly: the key that goes into the id of every completion.

Promises: a local checkpoint is known by what is in it, wherever it lies; a Hub model by id and commit. Equal weights, tokenizer and
configuration give equal keys. Hashes are remembered by path, size and time of change, so that asking again costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path

from midway.engines.base import EngineError

WEIGHTS = (".safetensors", ".bin", ".pt", ".gguf")
_SETTINGS = re.compile(
    r"(config|generation_config|adapter_config|chat_template|special_tokens_map|added_tokens|vocab|.*tokenizer.*|.*\.index)\.json"
    r"|.*\.(model|jinja|py|tiktoken)|(merges|vocab)\.txt"
)
_STATE = re.compile(r"training_args\.bin|optimizer\..*|scheduler\.pt|rng_state.*|\..*")
_READ = 1 << 22
_memory: dict[str, str] = {}


def model_key(path: str, revision: str | None = None) -> str:
    """Return a short name of the exact weights: `dir@<hash>` for a directory, `<id>@<commit>` for a model on the Hub.

    Without a connection the commit is that of the local Hub cache, else `revision` (or `main`) stands for it. Raises EngineError for a
    directory without weights.
    """
    if Path(path).expanduser().is_dir():
        return f"dir@{_directory_hash(Path(path).expanduser().resolve())}"
    if path.startswith((".", "/", "~")):
        raise EngineError(f"there is no model directory {path}\n  check `model.path` in the recipe")
    return f"{path}@{_commit(path, revision) or revision or 'main'}"


def _directory_hash(folder: Path) -> str:
    files = sorted(f for f in folder.iterdir() if f.is_file() and _counts(f.name))
    if not any(f.suffix in WEIGHTS for f in files):
        raise EngineError(
            f"{folder} holds no weights (looked for {', '.join('*' + w for w in WEIGHTS)})\n"
            "  save the model there with save_pretrained, or correct `model.path`"
        )
    total = hashlib.blake2b(digest_size=12)
    for file in files:
        total.update(f"{file.name}:{_file_hash(file)}\n".encode())
    return total.hexdigest()


def _counts(name: str) -> bool:
    """Weights, configuration and tokenizer files change what is written; logs, manifests and optimizer states do not."""
    return not _STATE.fullmatch(name) and (name.endswith(WEIGHTS) or bool(_SETTINGS.fullmatch(name)))


def _file_hash(file: Path) -> str:
    stat = file.stat()
    key = f"{file}|{stat.st_size}|{stat.st_mtime_ns}"
    if key in _memory:
        return _memory[key]
    big = stat.st_size > 1 << 24
    if big and not _memory.get("loaded"):
        _memory.update(_load_cache(), loaded="yes")
        if key in _memory:
            return _memory[key]
    digest = hashlib.blake2b(digest_size=16)
    with open(file, "rb") as stream:
        while block := stream.read(_READ):
            digest.update(block)
    _memory[key] = digest.hexdigest()
    if big:
        _save_cache(key, _memory[key])
    return _memory[key]


def _cache_file() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "midway" / "file-hashes.json"


def _load_cache() -> dict[str, str]:
    with suppress(OSError, ValueError):  # a missing or torn cache only costs time
        value = json.loads(_cache_file().read_text(encoding="utf-8"))
        return {str(k): str(v) for k, v in value.items()}
    return {}


def _save_cache(key: str, value: str) -> None:
    with suppress(OSError, RuntimeError):
        known = {**_load_cache(), key: value}
        file = _cache_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(known), encoding="utf-8")
        os.replace(temporary, file)


def _commit(path: str, revision: str | None) -> str | None:
    """Return the commit of a Hub model: asked for online, else read from the local Hub cache; None if neither knows."""
    try:
        import huggingface_hub as hub
        from huggingface_hub.constants import HF_HUB_OFFLINE
    except ImportError:
        return None
    if not HF_HUB_OFFLINE:
        with suppress(Exception):  # any failure to reach or find it means: go by the cache or the name
            return str(hub.HfApi().model_info(path, revision=revision, timeout=10).sha)
    with suppress(Exception):  # an id that is no valid repository name
        found = hub.try_to_load_from_cache(path, "config.json", revision=revision)
        if isinstance(found, str):
            return Path(found).parent.name
    return None
