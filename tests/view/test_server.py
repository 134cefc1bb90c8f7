"""The server by itself: this machine only, nothing but what belongs to a run; runs that grow, stop, or were killed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from midway.cli.showing import show_status
from midway.results import open_run
from midway.results.fates import fates
from midway.results.progress import state_of
from midway.results.scans import scan_pool
from midway.rundir import (
    COMPLETIONS,
    INTERRUPTED,
    RUNNING,
    VERDICTS,
    RunDir,
    ShardWriter,
    layout,
    read_json,
    write_json,
)
from midway.rundir.layout import Layout
from midway.runner import noted
from midway.verifier.span import answer_span
from midway.view import ViewServer
from midway.view.server import answer
from midway.view.viewed import Params, Runs


def get(url: str, host: str | None = None) -> tuple[int, dict[str, str], Any]:
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def data(server: ViewServer, rest: str) -> Any:
    status, _, body = get(f"{server.url}api/{rest}")
    assert status == 200, body
    return json.loads(body)


def test_only_this_machine_is_answered(server: ViewServer) -> None:
    host, port = server.server_address[:2]
    assert host == "127.0.0.1"
    with socket.socket() as other:
        other.settimeout(5)
        assert other.connect_ex((socket.gethostbyname(socket.gethostname()), port)) != 0 or socket.gethostbyname(
            socket.gethostname()
        ).startswith("127.")
    assert get(f"{server.url}api/runs", host="evil.example")[0] == 403
    assert get(f"{server.url}api/runs", host=f"localhost:{port}")[0] == 200
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(urllib.request.Request(f"{server.url}api/runs", data=b"{}", method="POST"), timeout=60)


@pytest.mark.parametrize(
    "path",
    [
        "../pyproject.toml",
        "%2e%2e/server.py",
        "app/../../server.py",
        "report/small/../recipe.yaml",
        "report/small/stage.json",
        ".hidden",
        "vendor",
    ],
)
def test_nothing_else_is_given_out(server: ViewServer, path: str) -> None:
    with socket.create_connection(server.server_address[:2], timeout=30) as raw:
        raw.sendall(f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1:1\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.split(b" ")[1] in (b"404", b"400")


def test_pages_may_load_nothing_from_elsewhere(server: ViewServer) -> None:
    _, headers, body = get(server.url)
    assert "default-src 'none'" in headers["Content-Security-Policy"] and b"http" not in body.replace(
        b"<!doctype html>", b""
    )
    status, headers, _ = get(f"{server.url}report/small/report.html")
    assert status == 200 and "connect-src" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "rest", ["run/small/questions?filter=brokn", "run/smal/overview", "run/small/rollouts?step=x", "nothing"]
)
def test_a_wrong_link_says_what_is_wrong(server: ViewServer, rest: str) -> None:
    status, _, body = get(f"{server.url}api/{rest}")
    assert status == 400 and json.loads(body)["error"]


def test_fates_add_up_to_the_stored_funnel(stored: Path) -> None:
    run = open_run(stored)
    for arm, pool in (("polya", "guided"), ("unguided", "unguided")):
        for seed in run.arms[arm].seeds:
            completions = scan_pool(run.files, pool).collect()
            selection = read_json(run.files.resolved)["recipe"]["selection"]
            solutions, removed = (
                pl.read_parquet(run.files.solutions(arm, seed)),
                pl.read_parquet(run.files.removed(arm, seed)),
            )
            told = fates(completions, solutions, removed, selection=selection)
            left = told.height
            funnel = (
                pl.read_parquet(run.files.funnel(arm, seed))
                .group_by("step", maintain_order=True)
                .agg(pl.col("count").sum())
            )
            fell = dict(told.group_by("fate").len().iter_rows())
            for step, count in funnel.filter(~pl.col("step").is_in(["kept", "repeated"])).iter_rows():
                left -= fell.get(step, 0)
                assert left == count, (arm, seed, step)
            assert fell["kept"] == solutions["completion_id"].n_unique()


@pytest.mark.parametrize(
    ("text", "extracted", "reason", "read"),
    [
        ("3 apples, 4 pears. #### 4", "4", "hashes:exact", (24, 25)),
        ("so \\boxed{7}, not 7", "7", "boxed:exact", (10, 11)),
        ("in 2024 it is 24", "24", "wrong-answer:number", (14, 16)),
        ("The answer is seven.\nbye", "7", "statement:exact", (10, 20)),
        ("nothing here", None, "no-answer", None),
        ("", "", "hashes:exact", None),
    ],
)
def test_where_the_answer_was_read(text: str, extracted: str | None, reason: str, read: tuple[int, int] | None) -> None:
    assert answer_span(text, extracted, reason) == read


def test_a_run_is_shown_as_it_grows(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grown = stored.with_name("grown")
    shutil.copytree(stored, grown)
    rel = layout.evaluation("polya", 0, "single", layout.AFTER_RL)
    files, id_ = Layout(grown), str(pl.read_parquet(Layout(stored).evaluated(rel))["question_id"][0])
    shutil.rmtree(files.stage(rel))
    stage = RunDir(grown).stage(rel, "evaluate", {}, {})
    known = ViewServer(Runs([], grown.parent))
    threading.Thread(target=known.serve_forever, daemon=True).start()
    with stage.locked(), ShardWriter(files.stage(rel) / "completions", COMPLETIONS) as writer:
        stage.begin({})
        tell = noted(lambda done, total, note: None, files.progress(rel))
        question = f"run/grown/question?benchmark=single&id={id_}&right=polya.after-rl.0"
        assert data(known, question)["right"]["samples"] == []
        row = {"id": "new", "question_id": id_, "heuristic": "sampled", "index": 0, "text": "#### 1", "finish": "stop"}
        writer.write([row, {**row, "id": "greedy", "heuristic": "greedy"}])
        (sample,) = data(known, question)["right"]["samples"]
        assert sample["id"] == "new" and sample["judgement"] is None
        verdict = {"id": "new", "judgement": "correct", "extracted": "1", "reason": "hashes:exact"}
        with ShardWriter(files.stage(rel) / "verdicts", VERDICTS) as verdicts:
            verdicts.write([verdict])
        assert data(known, question)["right"]["samples"][0]["judgement"] == "correct"
        cells = data(known, "run/grown/questions?benchmark=single&size=100")["rows"]
        assert next(r for r in cells if r["id"] == id_)["cells"]["polya.after-rl"][0][:4] == [0, 1, 1, 1]
        tell(1, 40, "a note")
        tell(40, 40, "a note")
        state = data(known, "run/grown/overview")
        assert state["state"] == RUNNING and (state["now"][0]["done"], state["now"][0]["total"]) == (40, 40)
        show_status(str(grown))
        shown = capsys.readouterr().out
        assert f"{RUNNING:<12} {rel}" in shown and "40 of 40 (100%)" in shown and "a note" in shown
    # the process that held the lock is gone, and stage.json still says `running`: it was killed
    assert state_of(open_run(grown)).state == INTERRUPTED
    show_status(str(grown))
    shown = capsys.readouterr().out
    assert f"{INTERRUPTED:<12} {rel}" in shown and f"{RUNNING:<12}" not in shown
    assert {run["run"]: run["state"] for run in data(known, "runs")["runs"]} == {
        "small": "complete",
        "grown": INTERRUPTED,
    }
    known.shutdown()
    known.server_close()
    shutil.rmtree(grown)


def test_stages_that_are_still_to_come_are_counted(stored: Path, midway: Callable[..., Any]) -> None:
    resolved = read_json(Layout(stored).resolved)
    rels = [stage.rel for stage in open_run(stored).stages]
    order = sorted(rels, reverse=True)
    write_json(Layout(stored).resolved, {**resolved, "stages": [*order, "arms/late/seed-0/rl", "arms/late/seed-1/rl"]})
    try:
        shown = midway("status", stored).stdout
        assert "waiting, 54 of 56 stages" in shown and "2 stages: 2 rl" in shown
        assert [line.split()[1] for line in shown.splitlines() if line.startswith("complete")] == order
    finally:
        write_json(Layout(stored).resolved, resolved)


def test_a_damaged_run_does_not_hide_the_others(stored: Path) -> None:
    damaged = stored.with_name("damaged")
    shutil.copytree(stored, damaged)
    Layout(damaged).manifest(layout.rl("polya", 0)).write_text("{", encoding="utf-8")
    try:
        rows = {row["run"]: row for row in answer(Runs([stored, damaged]), "runs", Params({}))["runs"]}
        assert rows["small"]["state"] == "complete" and rows["damaged"]["state"] == "damaged"
        assert "stage.json" in rows["damaged"]["title"]
    finally:
        shutil.rmtree(damaged)


def test_an_error_in_a_log_has_no_box(midway: Callable[..., Any]) -> None:
    done = midway("status", check=False)
    assert done.returncode == 2 and "midway: missing argument" in done.stderr and not set(done.stderr) & set("╭╮╰╯│─")


def test_a_library_says_a_thing_once() -> None:
    code = """
import logging, warnings
from midway.cli.log import once
plain = warnings.showwarning
once(); once()
warnings.showwarning = plain  # a library puts it back
once()
logging.basicConfig(format="%(levelname)s %(message)s")
library = logging.getLogger("library")
own = logging.StreamHandler(); own.setFormatter(logging.Formatter("OWN %(message)s")); own.setLevel(logging.ERROR)
library.addHandler(own)
for n in range(3):
    library.warning("the tokenizer has %d tokens", 7)
    library.info("nobody asked")
    warnings.warn("deprecated", DeprecationWarning)
    warnings.simplefilter("always")
    warnings.warn("deprecated", DeprecationWarning)
library.warning("another thing")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == [
        "WARNING the tokenizer has 7 tokens",
        "DeprecationWarning: deprecated",
        "WARNING another thing",
    ]
