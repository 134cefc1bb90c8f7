"""The viewer: a local server, or a static copy, that shows the questions, samples, solutions and rollouts of runs.

    midway view                     # every run under runs/
    midway view demo --bundle out   # a static copy of a part, to send to a colleague

Promises: reads only, imports no torch, needs no network; listens on 127.0.0.1 alone. Texts go to the page as JSON and are put there as
text, never as HTML. Tables are scanned, not loaded: of millions of samples a page holds a few dozen texts.

`viewed` keeps what was counted of a run; a module a screen makes its data (`overview`, `questions`, `question`, `solutions`, `rollouts`,
`verifier`, `heuristics`); `server` hands them out, `bundle` writes them; `static/` is the page. docs/view.md lists the links.
"""

from midway.view.bundle import write_bundle
from midway.view.server import ViewServer

__all__ = ["ViewServer", "write_bundle"]
