"""The run directory: atomic files, rows that survive a kill, stages that refuse a changed configuration, one owner."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from midway.rundir import (
    COMPLETE,
    FAILED,
    VERDICTS,
    RunDir,
    RunError,
    ShardWriter,
    Stopped,
    difference,
    read_json,
    read_table,
    recover,
    stored_ids,
    write_bytes,
)


def row(id_: str, reason: str = "") -> dict[str, str]:
    return {"id": id_, "judgement": "correct", "extracted": "1", "reason": reason}


def test_rows_come_back_in_shards_and_journal(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, VERDICTS, rows_per_shard=10) as writer:
        writer.write(row(f"{n}") for n in range(10))
        writer.write([row("a"), row("b")])
        assert stored_ids(tmp_path) == {*map(str, range(10)), "a", "b"}, (
            "rows in the journal are seen before the shard is written"
        )
    assert not list(tmp_path.glob("*.jsonl"))
    assert read_table(tmp_path, VERDICTS).height == 12


def test_a_row_stored_twice_is_read_once(tmp_path: Path) -> None:
    for _ in range(2):
        with ShardWriter(tmp_path, VERDICTS) as writer:
            writer.write([row("x"), row("y")])
    assert sorted(read_table(tmp_path, VERDICTS)["id"]) == ["x", "y"]


def test_torn_last_line_is_dropped_and_the_rest_recovered(tmp_path: Path) -> None:
    (tmp_path / "w-00000.jsonl").write_bytes(json.dumps(row("whole")).encode() + b"\n" + b'{"id": "to')
    assert stored_ids(tmp_path) == {"whole"}
    assert recover(tmp_path, VERDICTS) == 1
    assert [p.suffix for p in tmp_path.iterdir()] == [".parquet"]
    assert stored_ids(tmp_path) == {"whole"}


def test_killing_a_writer_loses_nothing_that_it_stored(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from midway.rundir import ShardWriter, VERDICTS\n"
        "w = ShardWriter(Path(sys.argv[1]), VERDICTS, rows_per_shard=7)\n"
        "n = 0\n"
        "while True:\n"
        "    w.write([dict(id=str(n), judgement='correct', extracted='', reason='x' * 50)])\n"
        "    n += 1; print(n, flush=True)\n"
    )
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            said = 0
            while said < 40:
                said = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split()
            said = max([said, *map(int, rest[:-1])])
        assert {str(n) for n in range(said)} <= stored_ids(tmp_path)
        recover(tmp_path, VERDICTS)
        table = read_table(tmp_path, VERDICTS)
        assert table["id"].n_unique() == table.height
        assert not list(tmp_path.glob(".*.tmp"))


def test_full_disk_is_a_clear_error_and_keeps_what_was_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ShardWriter(tmp_path, VERDICTS, rows_per_shard=2) as writer:
        writer.write([row("a"), row("b")])

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    writer = ShardWriter(tmp_path, VERDICTS, rows_per_shard=2)
    with pytest.raises(RunError, match="no space left"):
        writer.write([row("c"), row("d")])
    assert stored_ids(tmp_path) == {"a", "b", "c", "d"}, "the journal holds what the shard could not"
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_really_full_disk(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    writer = ShardWriter(tmp_path, VERDICTS)
    (tmp_path / f"{writer._writer}-00000.jsonl").symlink_to("/dev/full")
    with pytest.raises(RunError, match="no space left"):
        writer.write([row("a")])


def test_write_bytes_replaces_or_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_bytes(path, b"old")

    def broken(source: object, target: object) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="I/O error"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_stage_life(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    stage = run.stage("pools/guided/completions", "generate", {"samples": 4}, {})
    assert stage.state == "" and not stage.complete
    stage.begin({"midway": "0"})
    stage.end(FAILED, {"seconds": 2.0, "peak_memory_mb": 10.0}, error="boom")
    stage.begin({"midway": "0"})
    stage.end(COMPLETE, {"seconds": 3.0, "peak_memory_mb": 7.0})
    assert stage.complete
    assert stage.manifest["cost"] == {"seconds": 5.0, "peak_memory_mb": 10.0}
    assert stage.manifest["attempts"] == 2
    other = run.stage("pools/guided/completions", "generate", {"samples": 8}, {})
    assert not other.complete
    assert other.changes() == ["samples: 4 -> 8"]
    below = run.stage("pools/guided/verdicts", "verify", {}, {"completions": stage.digest})
    assert below.digest != run.stage("pools/guided/verdicts", "verify", {}, {"completions": other.digest}).digest


def test_difference_names_dotted_keys() -> None:
    assert difference({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "d": 3}}) == [
        "a.c: 2 -> (nothing)",
        "a.d: (nothing) -> 3",
    ]


def test_damaged_json_says_which_file(tmp_path: Path) -> None:
    (tmp_path / "stage.json").write_text("{")
    with pytest.raises(RunError, match=r"stage\.json is damaged"):
        read_json(tmp_path / "stage.json")


def test_damaged_shard_says_which_file(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"not parquet")
    with pytest.raises(RunError, match=r"x\.parquet cannot be read"):
        read_table(tmp_path, VERDICTS)


HOLD = (
    "import sys, time; from midway.rundir import RunDir\n"
    "run = RunDir(sys.argv[1])\n"
    "with run.joined(), run.stage('pools/g/completions', 'generate', {}, {}).locked():\n"
    "    print('owned', flush=True); time.sleep(60)\n"
)


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is at work on a stage of the run."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "owned\n"
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def test_a_stage_has_one_owner_and_a_killed_owner_locks_nobody_out(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    mine, other = (run.stage(f"pools/{name}/completions", "generate", {}, {}) for name in ("g", "h"))
    with held(tmp_path) as process, run.joined():
        with pytest.raises(RunError, match=f"pools/g/completions is in use by process {process.pid}"), mine.locked():
            pass
        with other.locked():
            pass  # another stage is free
    with mine.locked():
        pass


def test_who_waits_for_a_stage_gets_it_when_it_is_free(tmp_path: Path) -> None:
    stage = RunDir(tmp_path).stage("pools/g/completions", "generate", {}, {})
    with held(tmp_path) as process:
        asked = 0

        def stop() -> bool:
            nonlocal asked
            asked += 1
            if asked == 2:
                process.send_signal(signal.SIGKILL)
            return False

        with stage.locked(wait=True, stop=stop):
            assert asked >= 2
    with held(tmp_path), pytest.raises(Stopped), stage.locked(wait=True, stop=lambda: True):
        pass


def test_what_changes_the_whole_run_needs_it_alone(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    with (
        held(tmp_path),
        run.joined(),
        pytest.raises(RunError, match="in use by process"),
        run.alone(),
    ):
        pass
    with run.joined(), run.alone(), pytest.raises(RunError, match="in use"), RunDir(tmp_path).joined():
        pass


def test_clean_takes_back_results_but_keeps_completions(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    generated = run.stage("pools/g/completions", "generate", {}, {})
    generated.begin({})
    with ShardWriter(generated.path, VERDICTS) as writer:
        writer.write([row("a")])
    generated.end(COMPLETE, {"seconds": 3.0})
    selected = run.stage("arms/x/seed-0/selection", "select", {}, {})
    selected.begin({})
    pl.DataFrame({"a": [1]}).write_parquet(selected.path / "solutions.parquet")
    selected.end(COMPLETE, {})
    assert generated.clean(keep_rows=True) and not generated.complete
    assert stored_ids(generated.path) == {"a"} and generated.cost == {"seconds": 3.0}
    assert selected.clean(keep_rows=False) and not selected.path.exists()
    assert not selected.clean(keep_rows=False)


def test_clean_drops_verdicts_on_the_completions_it_keeps(tmp_path: Path) -> None:
    """They may be those of another verifier: base model's evaluation, difficulty filter, forecast."""
    evaluated = RunDir(tmp_path).stage("arms/base/seed-0/evaluations/b/base", "evaluate", {}, {})
    evaluated.begin({})
    for part in ("completions", "verdicts"):
        with ShardWriter(evaluated.path / part, VERDICTS) as writer:
            writer.write([row("a")])
    evaluated.end(COMPLETE, {})
    assert evaluated.clean(keep_rows=True)
    assert stored_ids(evaluated.path / "completions") == {"a"} and not stored_ids(evaluated.path / "verdicts")


def test_reading_while_others_write_loses_no_row_for_a_moment(tmp_path: Path) -> None:
    """Journals turn into shards under the reader's eyes."""
    writers = 3

    def write(number: int) -> None:
        with ShardWriter(tmp_path, VERDICTS, rows_per_shard=2) as writer:
            for n in range(60):
                writer.write([row(f"{number}-{n}")])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    before: set[str] = set()
    while any(thread.is_alive() for thread in threads):
        now_ = stored_ids(tmp_path)
        assert before <= now_
        before = now_
    assert len(stored_ids(tmp_path)) == 60 * writers
