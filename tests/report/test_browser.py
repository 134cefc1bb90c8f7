"""The report in Chromium: a phone and a wide screen, light and dark, the pointer, CSV, the viewer's links, print; nothing is fetched."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from midway.report import build_report

_spec = spec_from_file_location("make_run", Path(__file__).with_name("make_run.py"))
assert _spec and _spec.loader
_module = module_from_spec(_spec)
_spec.loader.exec_module(_module)
make_run = _module.make_run
pytestmark = pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium here")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --allow-file-access-from-files --enable-logging=stderr "
    "--disable-background-networking --disable-component-update --disable-sync --no-first-run --virtual-time-budget=8000"
)
ASK = """
const shows = (frame) => {
  const d = frame.contentDocument, w = frame.contentWindow, page = d.documentElement;
  const mark = d.querySelector('.first .hit'), at = mark.getBoundingClientRect();
  const where = {bubbles: true, clientX: at.x + 4, clientY: at.y + 4};
  mark.dispatchEvent(new w.PointerEvent('pointermove', where));
  const tip = d.getElementById('tip'), told = tip.textContent, seen = !tip.hidden;
  d.body.dispatchEvent(new w.PointerEvent('pointermove', {bubbles: true, clientX: 1, clientY: 1}));
  let saved = null;
  w.URL.createObjectURL = (blob) => { saved = blob; return '#'; };
  const table = d.querySelector('#arms');
  table.querySelector('button.csv').click();
  d.querySelector('nav button').click();
  const all = [...d.querySelectorAll('details')].every((one) => one.open);
  const wide = page.scrollWidth;
  d.querySelector('nav button').click();
  w.location.hash = '#differences';
  return saved.text().then((csv) => ({
    wide, told, seen, all, csv, hidden: tip.hidden, rows: table.querySelectorAll('tr').length,
    fetched: w.performance.getEntriesByType('resource').length,
    ink: w.getComputedStyle(d.body).backgroundColor, lead: d.querySelector('.first svg').getBoundingClientRect().bottom,
    goes: d.querySelectorAll('.goes').length,
    link: d.querySelector('.first [data-view]').dataset.view,
  })).then((found) => new Promise((done) => setTimeout(() => {
    done({...found, unfolded: d.getElementById('differences').closest('details').open});
  }, 50)));
};
onload = () => Promise.all([...document.querySelectorAll('iframe')].map(shows)).then((all) => {
  document.title = 'R' + btoa(unescape(encodeURIComponent(JSON.stringify(all)))) + 'E';
});
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_run(
        tmp_path_factory.mktemp("runs") / "seen", seeds=(0, 1), questions=60, samples=4, empty=("lab-none",),
        failed=("star-rl", 1),
    )  # fmt: skip
    return build_report(path).html


def chromium(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = ["chromium", *FLAGS.split(), f"--user-data-dir={folder / 'profile'}", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def asked(folder: Path, pages: dict[str, int], *flags: str) -> list[dict[str, object]]:
    """Return what the script `ASK` finds on pages (address, width), in frames of one page."""
    import base64

    frames = "".join(
        f'<iframe src="{page}" style="width:{wide}px;height:900px;border:0"></iframe>' for page, wide in pages.items()
    )
    (folder / "frames.html").write_text(f"<body>{frames}<script>{ASK}</script>", encoding="utf-8")
    done = chromium(folder, "--window-size=1500,2000", *flags, "--dump-dom", (folder / "frames.html").as_uri())
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r"<title>R(\S+)E</title>", done.stdout)
    assert found, done.stdout[-2000:]
    return json.loads(base64.b64decode(found[1]))


def test_a_phone_and_a_wide_screen(report: Path, tmp_path: Path) -> None:
    """Nothing is wider than its screen, also with all tables open; a mark shows its numbers under the pointer; a table is saved as CSV."""
    page = report.as_uri()
    phone, wide = asked(tmp_path, {page: 400, f"{page}?wide": 1400})
    for found, width in ((phone, 400), (wide, 1400)):
        assert int(str(found["wide"])) <= width and found["fetched"] == 0 and found["goes"] == 0
        assert found["seen"] and found["hidden"] and re.match(r"minus RL only: \S+ \[", str(found["told"]))
        assert found["all"] and found["unfolded"]
        lines = str(found["csv"]).strip().splitlines()
        assert lines[0].startswith("arm,name,role,solutions,different texts") and len(lines) == found["rows"]
        assert found["ink"] == "rgb(255, 255, 255)"
        assert found["link"] == "questions?benchmark=lab-test&arm=polya-8-rl&control=rl-only"
    assert float(str(wide["lead"])) < 900  # the chart is on the first screen


def test_dark(report: Path, tmp_path: Path) -> None:
    (found,) = asked(tmp_path, {report.as_uri(): 400}, "--blink-settings=preferredColorScheme=0")
    assert found["ink"] == "rgb(18, 22, 28)"


def test_numbers_lead_to_the_viewer_where_it_serves_the_page(report: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report" / "seen run"
    folder.mkdir(parents=True)
    shutil.copy(report, folder / "report.html")
    click = "<script>onload=()=>{const d=f.contentDocument;d.querySelector('.first .goes').dispatchEvent("
    click += "new f.contentWindow.MouseEvent('click',{bubbles:true}));setTimeout(()=>{document.title='L'+"
    click += "f.contentWindow.location.pathname+f.contentWindow.location.hash+'E'},500)}</script>"
    frame = '<iframe id="f" src="/report/seen%20run/report.html"></iframe>'
    (tmp_path / "frame.html").write_text(frame + click, encoding="utf-8")
    (tmp_path / "index.html").write_text("the viewer", encoding="utf-8")
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = chromium(tmp_path, "--dump-dom", f"http://127.0.0.1:{server.server_port}/frame.html")
        server.shutdown()
    wanted = "/#/run/seen%20run/questions?benchmark=lab-test&amp;arm=polya-8-rl&amp;control=rl-only"
    assert f"<title>L{wanted}E" in done.stdout, done.stdout[:500]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_it_prints(report: Path, tmp_path: Path) -> None:
    """Folded tables are left out, so that a page of the run is a few pages of paper."""
    file = tmp_path / "report.pdf"
    chromium(tmp_path, f"--print-to-pdf={file}", "--no-pdf-header-footer", report.as_uri())
    pages = len(re.findall(rb"/Type\s*/Page\b", file.read_bytes()))
    assert 2 <= pages <= 8
