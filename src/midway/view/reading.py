"""How the verifier reads one text, in a process of its own: a question and a text come as JSON on standard input, lines go out as JSON.

Run as `python -m midway.view.reading` by the Verifier screen, which ends it after some seconds.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    from midway.questions.table import of_record
    from midway.registry import domain

    asked = json.loads(sys.stdin.read())
    question = of_record(asked["question"])
    lines = list(domain(question.domain).explain(question, asked["text"], truncated=bool(asked["truncated"])))
    sys.stdout.write(json.dumps(lines))


if __name__ == "__main__":
    main()
