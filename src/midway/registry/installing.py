"""What to type to install what is missing: from where this midway came, since that may be a folder or a wheel, and not an index."""

from __future__ import annotations

import json
from functools import cache
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse


@cache
def install(extra: str) -> str:
    """Return the command that installs an extra of midway (`train`, `gym`, ...) from where this one was installed."""
    return f"pip install {_asked(_origin(), extra)}"


def _origin() -> dict[str, object]:
    """Return what the installer noted of where midway came from (direct_url.json, PEP 610); empty for one from an index."""
    try:
        text = metadata.distribution("midway").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return {"url": Path(__file__).resolve().parents[3].as_uri()}  # a source tree on the path
    return dict(json.loads(text)) if text else {}


def _asked(origin: dict[str, object], extra: str) -> str:
    url = urlparse(str(origin.get("url", "")))
    place = Path(unquote(url.path)) if url.scheme == "file" else None
    if place is None or not place.exists():
        return f"'midway[{extra}]'"
    inside = origin.get("dir_info")
    editable = "-e " if isinstance(inside, dict) and inside.get("editable") else ""
    return f"{editable}'{place}[{extra}]'"
