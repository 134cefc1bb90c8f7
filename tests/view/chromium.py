"""A real headless Chromium, driven over its DevTools protocol: as much of it as the tests of the viewer need.

What a page logs as an error, throws, or asks of any machine is kept, so that a test can say that there was nothing of the kind.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update "
    "--disable-default-apps --disable-sync --mute-audio --hide-scrollbars --remote-debugging-port=0 --disable-dev-shm-usage"
)
PATIENCE = 40.0
"""Seconds that something on a page may take on a machine that is busy."""


class Page:
    """A tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._number = socket, 0
        self.problems: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.size(1400, 900)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command; return its result. Raises AssertionError where Chromium refuses it."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE))
            if message.get("id") == self._number:
                assert "error" not in message, message["error"]
                return message["result"]
            self._heard(message)

    def _heard(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(str([a.get("value", a.get("description")) for a in params["args"]]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"] + " " + params["entry"].get("url", ""))
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def js(self, code: str) -> Any:
        """Return what an expression gives in the page."""
        result = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, code: str) -> Any:
        """Wait until an expression is true in the page; return it. Raises AssertionError with what the page shows."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if found := self.js(code):
                return found
            time.sleep(0.03)
        raise AssertionError(
            f"never true: {code}\n{self.js('location.href')}\n{self.js('document.body.innerText')[:1500]}"
        )

    def ready(self) -> None:
        """Wait until the screen has its data."""
        self.wait("!!document.querySelector('[data-ready]') && !document.querySelector('.stale')")

    def open(self, url: str) -> Page:
        """Go to an address and wait for its data."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
        self.wait(
            "location.href === "
            + json.dumps(url)
            + " || location.href.startsWith("
            + json.dumps(url.split("#")[0])
            + ")"
        )
        self.ready()
        return self

    def click(self, selector: str) -> Page:
        """Click on the first element of a selector, with a real mouse at its middle, and wait for what follows."""
        find = f"document.querySelector({json.dumps(selector)})"
        self.wait(f"!!{find}")
        self.js(f"{find}.scrollIntoView({{block: 'center', inline: 'center'}})")
        middle = "[r.left + Math.min(r.width, 300) / 2, r.top + Math.min(r.height, 40) / 2]"
        box = self.js(f"(() => {{ const r = {find}.getClientRects()[0]; return {middle}; }})()")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)
        time.sleep(0.05)
        self.ready()
        return self

    def key(self, key: str) -> Page:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if len(key) == 1 and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, **text)
        time.sleep(0.05)
        self.ready()
        return self

    def pick(self, label: str, value: str) -> Page:
        """Choose in a list."""
        self.js(
            f"(() => {{ const s = document.querySelector('[aria-label={json.dumps(label)}]'); s.value = {json.dumps(value)};"
            " s.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )
        time.sleep(0.05)
        self.ready()
        return self

    def type(self, label: str, text: str) -> Page:
        """Type into a field, and Enter."""
        self.js(f"document.querySelector('[aria-label={json.dumps(label)}]').focus()")
        self.js("document.activeElement.select()")
        self.call("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Enter", windowsVirtualKeyCode=13)
        time.sleep(0.05)
        self.ready()
        return self

    def back(self) -> Page:
        """Go back as a person does."""
        self.js("history.back()")
        time.sleep(0.1)
        self.ready()
        return self

    def size(self, width: int, height: int = 900) -> Page:
        """Make the window so wide, in points of the page."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        return self

    def text(self, selector: str) -> str:
        """Return the text of the first element of a selector."""
        return self.wait(f"(document.querySelector({json.dumps(selector)}) || {{}}).textContent")

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements of a selector."""
        return self.js(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent.trim())")

    @property
    def hash(self) -> str:
        return self.js("location.hash")

    def overflow(self) -> int:
        """Return by how many points the page is wider than the window."""
        return self.js("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def picture(self, file: Path, *, whole: bool = False) -> Path:
        """Write a picture of the window, or of the whole page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(shot["data"]))
        return file


@contextlib.contextmanager
def chromium() -> Iterator[Page]:
    """Start Chromium with a profile of its own; yield its tab."""
    program = shutil.which("chromium") or "chromium"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, *FLAGS.split(), f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            ports, end = Path(profile) / "DevToolsActivePort", time.monotonic() + PATIENCE
            while not (ports.is_file() and ports.read_text().count("\n")):
                assert time.monotonic() < end and process.poll() is None, "Chromium does not start"
                time.sleep(0.05)
            port = ports.read_text().split("\n")[0]
            tabs: list[dict[str, Any]] = []
            while not tabs:
                assert time.monotonic() < end, "Chromium has no tab"
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=PATIENCE) as answer:
                    tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
            with connect(tabs[0]["webSocketDebuggerUrl"], max_size=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
