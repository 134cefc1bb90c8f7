"""The viewer's server: the page, its data as JSON, and the runs' reports. The standard library's, one thread a request.

Promises: listens on 127.0.0.1 only; answers only requests that name this machine (a web page elsewhere that points its own name here is
refused); GET only, nothing is changed; no answer lets a page load anything from elsewhere. When things go wrong: a JSON sentence with what
to do, and a status that says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files as resources
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from midway.records import UserError
from midway.view import heuristics, overview, question, questions, rollouts, solutions, verifier
from midway.view.viewed import BadRequest, Nothing, Params, Runs, Viewed

HOST = "127.0.0.1"
Screen = Callable[[Viewed, Params], dict[str, Any]]
SCREENS: Mapping[str, Screen] = {
    "overview": overview.overview,
    "questions": questions.questions,
    "question": question.question,
    "solutions": solutions.solutions,
    "solution": solutions.solution,
    "prompt": solutions.prompt,
    "rollouts": rollouts.rollouts,
    "verifier": verifier.verifier,
    "reading": verifier.reading,
    "bug": verifier.bug,
    "heuristics": heuristics.heuristics,
}
"""What `/api/run/NAME/SCREEN?...` answers."""
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".md": "text/plain",
    ".json": "application/json",
}
STATIC = resources("midway.view") / "static"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REPORT_FILES = ("report.html", "report.md", "results.json")


class ViewServer(ThreadingHTTPServer):
    """Serves runs until it is shut down. `port` 0 takes any that is free."""

    daemon_threads = True

    def __init__(self, runs: Runs, port: int = 0) -> None:
        super().__init__((HOST, port), partial(_Handler, runs))

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "midway"
    sys_version = ""

    def __init__(self, runs: Runs, *args: Any) -> None:
        self.runs = runs
        super().__init__(*args)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        try:
            if not self._here():
                self._send(HTTPStatus.FORBIDDEN, *as_json({"error": "this viewer answers this machine only"}))
            elif url.path.startswith("/api/"):
                params = Params(dict(parse_qsl(url.query, keep_blank_values=True)))
                self._send(HTTPStatus.OK, *as_json(answer(self.runs, url.path.removeprefix("/api/"), params)))
            elif url.path.startswith("/report/"):
                self._report(url.path.removeprefix("/report/"))
            else:
                self._static(url.path.lstrip("/") or "index.html")
        except Nothing as error:
            self._send(HTTPStatus.OK, *as_json({"nothing": str(error)}))
        except BadRequest as error:
            self._send(HTTPStatus.BAD_REQUEST, *as_json({"error": str(error)}))
        except UserError as error:
            self._send(HTTPStatus.CONFLICT, *as_json({"error": str(error)}))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the reader left

    def _here(self) -> bool:
        host = (self.headers.get("Host") or "").rpartition(":")[0]
        return host in (HOST, "localhost")

    def _static(self, name: str) -> None:
        file = STATIC / name
        plain = all(part and part[0].isalnum() for part in name.split("/"))
        suffix = name[name.rfind(".") :]
        if not plain or suffix not in TYPES or not file.is_file():
            self._send(HTTPStatus.NOT_FOUND, *as_json({"error": f"there is no {name}"}))
        else:
            self._send(HTTPStatus.OK, TYPES[suffix], file.read_bytes())

    def _report(self, rest: str) -> None:
        name, _, file = rest.rpartition("/")
        path = self.runs.get(unquote(name)).files.report / file
        if file not in REPORT_FILES or not path.is_file():
            what = "its report is made when the run ends, or by `midway report`"
            self._send(HTTPStatus.NOT_FOUND, *as_json({"error": f"there is no report of {unquote(name)} yet: {what}"}))
        else:
            self._send(HTTPStatus.OK, TYPES[path.suffix], path.read_bytes(), REPORT_POLICY)

    def _send(self, status: HTTPStatus, kind: str, body: bytes, policy: str = PAGE_POLICY) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed for a request."""


def answer(runs: Runs, path: str, params: Params) -> dict[str, Any]:
    """Return the data of a screen. Raises BadRequest for a path or a parameter that is none, RunError for what cannot be read."""
    if path == "runs":
        return overview.runs(runs, params)
    kind, _, rest = path.partition("/")
    name, _, screen = rest.rpartition("/")
    if kind != "run" or screen not in SCREENS:
        raise BadRequest(f"there is no screen {path!r}")
    return SCREENS[screen](runs.get(unquote(name)), params)


def as_json(value: Any) -> tuple[str, bytes]:
    """Return (type, body): numbers that JSON does not have are null, and everything is ASCII, so that no text can break it."""
    return "application/json", json.dumps(_plain(value), ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
