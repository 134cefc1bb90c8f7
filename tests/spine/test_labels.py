"""Labels of evaluation samples outside the lab: the whole path through the command line, with a random model and with a judge's server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from midway.rundir import LABELS, read_json, read_table

Here = Callable[..., Any]
LayOut = Callable[..., Path]
ARMS = {"rl-only": [], "polya": [{"pool": "guided", "strategy": "wrong-but-diverse"}]}
WAYS = {"working-backward", "analogy"}


@pytest.mark.slow
def test_likelihood_labels_by_a_random_model_go_the_whole_way(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    recipe, run = lay_out(arms=ARMS, labels={"by": "likelihood", "samples": 1, "threshold": 0.51}), tmp_path / "run"
    here("run", recipe, "--out", run)
    error = read_json(run / "labels/stage.json")["result"]["labeller"]
    assert error["name"] == "likelihood" and set(error["ways"]) == WAYS and error["negatives"] > 0
    places = [p.parent for p in run.glob("arms/*/seed-0/evaluations/*/*/labels/stage.json")]
    assert len(places) == 4  # base, RL only after, treatment before and after
    for folder in places:
        table, manifest = read_table(folder, LABELS), read_json(folder / "stage.json")
        asked = pl.read_parquet(folder.parent / "results.parquet")
        assert table.height == asked["question_id"].n_unique() == manifest["result"]["labelled"]
        assert set(table["id"]) <= set(asked["id"]) and set(table["ways"].explode().drop_nulls()) <= WAYS
        assert manifest["state"] == "complete" and manifest["cost"]["seconds"] >= 0
    found = read_json(run / "report/results.json")
    assert {c["labeller"]["name"] for c in found["ways"]["composition"]} == {"likelihood"}
    page = (run / "report/report.html").read_text()
    assert "Labels by likelihood" in page and "How often each way is used" in page

    stored = {p: p.stat().st_mtime_ns for f in places for p in f.iterdir()}
    assert "everything is complete" in here("run", recipe, "--out", run).stdout
    assert stored == {p: p.stat().st_mtime_ns for f in places for p in f.iterdir()}
    refused = here("run", recipe, "labels.threshold=0.9", "--out", run, check=False)
    assert refused.returncode == 2 and "labels.threshold: 0.51 -> 0.9" in refused.stderr
    here("run", recipe, "labels.threshold=0.999", "--out", run, "--clean", "labels")
    assert not {p for p in stored if p.suffix == ".parquet"} & {p for f in places for p in f.iterdir()}, (
        "old labels are gone"
    )
    assert all(read_table(f, LABELS).height == 4 for f in places)


@pytest.mark.slow
def test_labels_go_on_where_they_were_stopped(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    recipe, run = lay_out(arms={"rl-only": []}, treatment=None, labels={"by": "likelihood"}), tmp_path / "run"
    here("run", recipe, "--out", run)
    folder = next(run.glob("arms/rl-only/seed-0/evaluations/*/after-rl/labels"))
    whole = read_table(folder, LABELS).sort("id")
    shard = next(folder.glob("*.parquet"))
    kept = whole.head(3)
    (folder / "dead-writer.jsonl").write_text("".join(json.dumps(r) + "\n" for r in kept.to_dicts()) + '{"id": "to')
    shard.unlink()
    manifest = read_json(folder / "stage.json")
    (folder / "stage.json").write_text(json.dumps({**manifest, "state": "running"}))
    here("run", run, "--until", "label")
    assert read_table(folder, LABELS).sort("id").equals(whole)
    assert read_json(folder / "stage.json")["attempts"] == 2


class _Judge(BaseHTTPRequestHandler):
    """Answers like a server of chat completions: finds the heuristics by planted words; one text in ten gets nonsense."""

    protocol_version = "HTTP/1.1"
    seen = 0

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._send({"object": "list", "data": [{"id": "judge", "object": "model"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = asked["messages"][-1]["content"].split("### Solution")[1].split("### Approaches")[0]
        _Judge.seen += 1
        used = [str(n) for n, mark in ((1, "a"), (2, "o")) if mark in text]
        reply = "Hard to say." if _Judge.seen % 10 == 0 else f"I think.\nUSED: {', '.join(used) or 'none'}"
        choice = {"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        self._send({"id": "x", "object": "chat.completion", "model": "judge", "choices": [choice], "usage": usage})


@pytest.fixture
def judge_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Judge)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    thread.join()


def test_a_judge_behind_a_server_labels_what_it_can(
    judge_server: str, lay_out: LayOut, here: Here, tmp_path: Path
) -> None:
    engine = {"kind": "openai", "base_urls": [judge_server], "model": "judge"}
    recipe = lay_out(arms={"rl-only": []}, treatment=None, labels={"by": "judge", "engine": engine})
    run = tmp_path / "run"
    here("run", recipe, "--out", run)
    error = read_json(run / "labels/stage.json")["result"]["labeller"]
    assert error["name"] == "judge" and error["unlabelled"] > 0
    for folder in run.glob("arms/*/seed-0/evaluations/*/*/labels"):
        rows = pl.read_parquet(folder.parent / "results.parquet").join(read_table(folder, LABELS), on="id")
        assert rows.height
        for text, ways in rows.select("text", "ways_right").iter_rows():
            known = {"working-backward": "a", "analogy": "o"}
            assert set(ways) in ({s for s, mark in known.items() if mark in text}, set())
    results = read_json(run / "report/results.json")
    assert results["ways"]["labellers"][0]["name"] == "judge"


def test_labels_need_a_guided_pool(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    recipe = lay_out(pools={"unguided": {"samples": 4}}, arms={"rl-only": []}, treatment=None, labels={"by": "judge"})
    done = here("run", recipe, "--out", tmp_path / "run", check=False)
    assert done.returncode == 2 and "needs a guided pool" in done.stderr
    recipe = lay_out(labels={"by": "likelihood", "heuristics": ["analogy", "anlogy"]})
    done = here("run", recipe, "--out", tmp_path / "run", check=False)
    assert done.returncode == 2 and "was not asked for 'anlogy'; did you mean analogy" in done.stderr
