"""How the verifier reads texts, in a process of its own that is ended after some seconds.

`readings` starts `python -m midway.view.reading`, which gets a JSON list of questions and texts on standard input and prints the lines
about each text as one line of JSON. A text that takes too long or ends the process gets a line that says so; the rest is then read by a
new process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from midway.questions.table import to_record
from midway.records import Question

SECONDS = 20
"""For one text. Several in one process get a second more each."""


def asked(found: Question, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the process gets of a sample."""
    cut = row.get("finish") == "length" or bool(row.get("cut_off"))
    return {"question": to_record(found), "text": row["text"] or "", "truncated": cut}


def readings(texts: Sequence[Mapping[str, Any]], seconds: float = SECONDS) -> list[list[str]]:
    """Return the lines about each text of `asked`, in order. `seconds`: after so many without an end the process is ended, and the text
    that it was reading is given up."""
    out: list[list[str]] = []
    while len(out) < len(texts):
        rest = texts[len(out) :]
        command = [sys.executable, "-m", "midway.view.reading"]
        try:
            done = subprocess.run(
                command, input=json.dumps(rest).encode(), capture_output=True, timeout=seconds + len(rest), check=False
            )
            printed, failed = done.stdout, done.returncode
            why = f"reading this text ended the process with exit code {done.returncode}"
        except subprocess.TimeoutExpired as error:
            printed, failed = error.stdout or b"", 1
            why = f"reading this text takes longer than {seconds:g} s: that is worth a bug report"
        whole = [line for line in printed.split(b"\n")[:-1] if line]
        out += [json.loads(line) for line in whole]
        if failed and len(whole) < len(rest):
            out.append([why])
        elif len(whole) < len(rest):
            raise RuntimeError(f"{len(whole)} of {len(rest)} readings were printed")
    return out


def main() -> None:
    from midway.questions.table import of_record
    from midway.registry import domain

    for one in json.loads(sys.stdin.buffer.read()):
        try:
            question = of_record(one["question"])
            lines = list(domain(question.domain).explain(question, one["text"], truncated=bool(one["truncated"])))
        except Exception as error:  # a domain may be somebody's own, and a text anything
            lines = [f"reading this text failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"]
        sys.stdout.write(json.dumps(lines) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
