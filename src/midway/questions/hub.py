"""Whether the Hugging Face Hub can be reached, asked once and with little patience.

Promises: a Hub that is away costs seconds, not the minutes of retries that its libraries take; what is in their cache is still found.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import urllib.error
import urllib.request
from functools import cache

log = logging.getLogger("midway.questions")
PATIENCE = 3.0
"""Seconds for the Hub to answer, before what is here is used."""
YES, NO = ("1", "ON", "YES", "TRUE"), ("0", "OFF", "NO", "FALSE")


@cache
def hub_answers() -> bool:
    """Whether the Hub can be reached: asked once in a process. HF_HUB_OFFLINE says that it cannot."""
    if any(os.environ.get(name, "").upper() in YES for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")):
        return False
    found: list[bool] = []
    asking = threading.Thread(target=lambda: found.append(_asked()), daemon=True)
    asking.start()
    asking.join(2 * PATIENCE)  # looking up a name has a patience of its own, which no timeout reaches
    return bool(found and found[0])


def _asked() -> bool:
    try:
        with urllib.request.urlopen(f"{address()}/api/whoami-v2", timeout=PATIENCE):
            return True
    except urllib.error.HTTPError:
        return True  # it answers, if only to ask who is there
    except (OSError, ValueError):
        return False


def address() -> str:
    """Return where the Hub is (HF_ENDPOINT, or its own address)."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def offline_if_away() -> None:
    """Tell the Hub's libraries to look into their cache alone where the Hub does not answer, with one warning. HF_HUB_OFFLINE, set to
    anything, is left as it is: with 0 they retry as long as they like."""
    if os.environ.get("HF_HUB_OFFLINE") or hub_answers():
        return
    log.warning(
        "%s does not answer: only what was downloaded before is used (HF_HUB_OFFLINE=0 tries longer)", address()
    )
    os.environ["HF_HUB_OFFLINE"] = "1"
    for module, place in (("huggingface_hub.constants", "HF_HUB_OFFLINE"), ("datasets.config", "HF_HUB_OFFLINE")):
        if module in sys.modules:  # it read the variable when it was imported
            setattr(sys.modules[module], place, True)
