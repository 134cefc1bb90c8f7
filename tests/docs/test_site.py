"""The documentation as a site: it builds without a warning, opens in Chromium from disk at three pages, its search finds something, and it
asks no other server for anything."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("mkdocs") is None, reason="no MkDocs here: pip install 'midway[site]'"),
]
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync "
    "--no-first-run --enable-logging=stderr --window-size=1300,1000 --virtual-time-budget=15000"
)
OPENED = {
    "start.html": "Ten minutes on a laptop",
    "api.html": "midway.pass_at_k(",
    "guide-no-gain.html": "Three conditions",
}
BROWSER = re.compile(
    r"(http://)?(accounts|android|clients\d*|content-autofill|optimizationguide-pa|redirector|safebrowsing|update|www)\.(google|googleapis|gvt1)\.com"
)
"""What Chromium itself asks for at its first start, whatever the page is. Web fonts are not among it."""
chromium = pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium here")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    goal = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(goal)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    return goal


class Links(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in {"id", "name"}:
                self.ids.add(value)
            elif value and name in {"href", "src"} and tag != "form":
                self.links.append(value)


def test_links_inside_the_site_are_alive(site: Path) -> None:
    pages = {page: Links(page) for page in sorted(site.glob("*.html")) if page.name != "404.html"}
    assert len(pages) >= 30
    dead = []
    for page, found in pages.items():
        for link in found.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not target.exists():
                dead.append(f"{page.name}: {link}")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                dead.append(f"{page.name}: {link}: no such place")
    assert not dead, dead


def opened(folder: Path, address: str, *flags: str) -> tuple[str, str]:
    """Return the page as Chromium made it, and what it logged."""
    command = ["chromium", *FLAGS.split(), f"--user-data-dir={folder / 'profile'}", *flags, "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout, done.stderr


@chromium
@pytest.mark.parametrize("page", OPENED)
def test_a_page_opens_from_disk(site: Path, page: str, tmp_path: Path) -> None:
    shown, logged = opened(tmp_path, (site / page).as_uri())
    assert "CONSOLE" not in logged, logged
    assert OPENED[page] in re.sub(r"<[^>]+>", "", shown)
    tabs = re.findall(r'<a[^>]+class="md-tabs__link"[^>]*>\s*([^<]+?)\s*<', shown)
    assert tabs == ["Start", "Guides", "Concepts", "Reference", "Lab", "Notebook"]


@chromium
def test_search_works_from_disk(site: Path, tmp_path: Path) -> None:
    shown, logged = opened(tmp_path, (site / "start.html").as_uri() + "?q=adherence")
    assert "CONSOLE" not in logged, logged
    assert re.search(r"\d+ matching documents", shown), shown[-3000:]
    assert "selection.html" in "".join(
        re.findall(r'class="md-search-result__link"[^>]*|href="[^"]+"[^>]*md-search-result__link', shown)
    )


@pytest.fixture
def proxy(site: Path) -> Iterator[tuple[str, list[str]]]:
    """A server of the site that is also the browser's proxy: it hears every request, whichever server that is for."""
    heard: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.path = urlsplit(self.path).path
            super().do_GET()

        def do_CONNECT(self) -> None:
            heard.append(self.path)
            self.send_error(403)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", heard
    server.shutdown()


@chromium
@pytest.mark.parametrize("page", OPENED)
def test_no_other_server_is_asked(proxy: tuple[str, list[str]], page: str, tmp_path: Path) -> None:
    address, heard = proxy
    shown, _ = opened(
        tmp_path, f"http://midway.test/{page}?q=probe", f"--proxy-server={address}", "--proxy-bypass-list=<-loopback>"
    )
    assert OPENED[page] in re.sub(r"<[^>]+>", "", shown)
    assert any("midway.test" in one and page in one for one in heard), heard
    others = {one for one in heard if "midway.test" not in one and not BROWSER.match(one)}
    assert not others, others
