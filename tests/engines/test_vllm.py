"""A real vLLM (its CPU build will do): in this process and as a server. Run by tools/engines-test.sh in an environment of its own."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

for _name, _value in {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
}.items():
    os.environ.setdefault(_name, _value)

vllm = pytest.importorskip("vllm", reason="vllm is not installed here: run tools/engines-test.sh")

from midway import rundir  # noqa: E402
from midway.engines import Engine, EngineError, OpenAIEngine, TransformersEngine, VllmEngine, open_engine  # noqa: E402
from midway.engines.serve import serve_command, serving  # noqa: E402
from midway.engines.stream import complete  # noqa: E402
from midway.recipe import ModelConfig  # noqa: E402
from midway.records import Finish, Prompt, Request, Sampling  # noqa: E402

pytestmark = pytest.mark.slow
SHARED = "Let x be the unknown. Look back: does the answer make sense? Try a simpler problem first. " * 4
ARGS = {"dtype": "float32", "enforce_eager": True, "max_num_seqs": 16, "block_size": 32}


def asked(questions: int, samples: int = 1, sampling: Sampling | None = None, tag: str = "") -> list[Request]:
    sampling = sampling or Sampling(max_tokens=12)
    return [
        Request(f"{tag}{q}-{s}", Prompt(text=f"{SHARED}How many clips? {q}"), sampling, f"q{q}", index=s)
        for q in range(questions)
        for s in range(samples)
    ]


@pytest.fixture(scope="module")
def model(checkpoint: Callable[..., Path]) -> Path:
    return checkpoint("qwen2", hidden_size=128)  # vLLM's CPU kernels want heads of 32 or wider


@pytest.fixture(scope="module")
def engine(model: Path) -> Iterator[Engine]:
    engine = open_engine(VllmEngine(kind="vllm", args=ARGS), ModelConfig(path=str(model)))
    yield engine
    engine.close()


def test_greedy_and_logprobs_are_those_of_transformers(engine: Engine, model: Path) -> None:
    plain = open_engine(TransformersEngine(), ModelConfig(path=str(model)))
    greedy = asked(4, sampling=Sampling(temperature=0, max_tokens=8))
    theirs = {c.id: c for c in plain.generate(greedy)}
    for c in engine.generate(greedy):
        other = theirs[c.id]
        assert (c.prompt_tokens, c.finish) == (other.prompt_tokens, other.finish)
        assert c.text.rstrip("\ufffd") == other.text.rstrip("\ufffd")  # vLLM holds an unfinished character back
    items = [(r.prompt, text) for r in asked(3) for text in ("So 48 / 2 = 24.", "x")]
    for ours, want in zip(engine.logprobs(items), plain.logprobs(items), strict=True):
        assert ours == (pytest.approx(want[0], abs=1e-3), want[1])
    assert engine.model_key == plain.model_key


def test_samples_are_seeded_and_the_prefix_is_cached(engine: Engine, tmp_path: Path) -> None:
    first = complete(asked(6, 4), engine, tmp_path / "a")
    assert (first.done, first.failed) == (24, 0)
    assert first.prefix_hit_rate > 0.4
    assert len(set(rundir.read_table(tmp_path / "a", rundir.COMPLETIONS)["text"])) == 24
    one = next(iter(engine.generate(asked(6, 4)[7:8])))
    stored = rundir.read_table(tmp_path / "a", rundir.COMPLETIONS).filter(pl.col("id") == one.id)
    assert stored["text"].item() == one.text  # alone or in a batch: the seed decides
    more = complete(asked(6, 8), engine, tmp_path / "a")
    assert (more.held, more.done) == (24, 24)


def test_n_samples_in_one_vllm_request(engine: Engine, tmp_path: Path) -> None:
    engine.seeded = False  # type: ignore[attr-defined]
    try:
        report = complete(asked(5, 3, tag="n"), engine, tmp_path / "n")
    finally:
        engine.seeded = True  # type: ignore[attr-defined]
    assert (report.done, report.failed) == (15, 0)
    assert len(set(rundir.read_table(tmp_path / "n", rundir.COMPLETIONS)["text"])) == 15


PARTS = """
import json, sys; sys.path.insert(0, sys.argv[3]); from test_vllm import *
said = []
args = {**ARGS, "max_num_batched_tokens": 32, "enable_chunked_prefill": True}
engine = open_engine(VllmEngine(kind="vllm", args=args), ModelConfig(path=sys.argv[1]), log=said.append)
report = complete(asked(4, 3, tag="parts"), engine, Path(sys.argv[2]))
print("found", json.dumps([report.done, report.failed, engine.seeded, said]))
engine.close()
"""


def test_prompts_read_in_parts_go_on_without_seeds(model: Path, tmp_path: Path) -> None:
    """A prompt longer than max_num_batched_tokens is read in parts; a CPU cannot rewind the generator of a seed then. In a process of its
    own: closing a second engine in this one would take the first one's groups away."""
    args = [sys.executable, "-c", PARTS, str(model), str(tmp_path / "parts"), str(Path(__file__).parent)]
    out = subprocess.run(args, capture_output=True, text=True, check=True).stdout
    done, failed, seeded, said = json.loads(out.split("found ")[-1].splitlines()[0])
    assert (done, failed) == (12, 0)
    assert seeded or any("going on as with engine.seeded: false" in line for line in said)
    assert not any("memory" in line for line in said)


def test_limits_and_stops(engine: Engine) -> None:
    (long,) = engine.generate([Request("l", Prompt(text="x " * 3000), Sampling(max_tokens=8), "q")])
    assert long.finish is Finish.ERROR and "exceeds the context of 1024" in long.error
    (full,) = engine.generate(asked(1, sampling=Sampling(temperature=0, max_tokens=12)))
    (cut,) = engine.generate(asked(1, sampling=Sampling(temperature=0, max_tokens=12, stop=(full.text[3:5],))))
    assert cut.finish is Finish.STOP and full.text[3:5] not in cut.text and full.text.startswith(cut.text)
    walk = engine.generate(asked(40))
    next(walk)
    walk.close()  # type: ignore[attr-defined]
    assert len(list(engine.generate(asked(2)))) == 2  # nothing is left over from the walk that was broken off


def test_running_out_of_memory_ends_with_what_to_lower(engine: Engine, tmp_path: Path, monkeypatch: Any) -> None:
    """The allocator's own error out of the middle of vLLM's step; what had arrived is stored."""
    import torch

    inner = engine._engine  # type: ignore[attr-defined]
    steps = inner.step
    count = itertools.count()

    def step() -> Any:
        if next(count) > 30:
            torch.empty(1 << 50, dtype=torch.uint8)
        return steps()

    monkeypatch.setattr(inner, "step", step)
    with pytest.raises(
        EngineError, match=r"alloc.*\n.*lower engine.args.gpu_memory_utilization(.|\n)*type the same command"
    ):
        complete(asked(60, 4), engine, tmp_path / "c")
    monkeypatch.undo()
    held = len(rundir.stored_ids(tmp_path / "c"))
    assert 0 < held < 240
    report = complete(asked(60, 4), engine, tmp_path / "c")
    assert (report.held, report.done) == (held, 240 - held)


def test_kill_9_and_go_on(engine: Engine, model: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[3]); from pathlib import Path; from test_vllm import *\n"
        "engine = open_engine(VllmEngine(kind='vllm', args=ARGS), ModelConfig(path=sys.argv[1]))\n"
        "complete(asked(60, 4), engine, Path(sys.argv[2]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(model), str(tmp_path / "c"), str(Path(__file__).parent)]
    )
    while len(rundir.stored_ids(tmp_path / "c")) < 20:
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    held = len(rundir.stored_ids(tmp_path / "c"))
    assert 20 <= held < 240
    report = complete(asked(60, 4), engine, tmp_path / "c")
    assert (report.held, report.done) == (held, 240 - held)
    assert rundir.stored_ids(tmp_path / "c") == {r.id for r in asked(60, 4)}


def test_ctrl_c_that_vllms_own_process_gets_as_well(model: Path, tmp_path: Path) -> None:
    """On a terminal Ctrl-C goes to the whole process group; vLLM's engine dies of it before it can be asked to stop."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[3]); from pathlib import Path; from test_vllm import *\n"
        "if __name__ == '__main__':\n"
        "    engine = open_engine(VllmEngine(kind='vllm', args=ARGS), ModelConfig(path=sys.argv[1]))\n"
        "    report = complete(asked(400, 4), engine, Path(sys.argv[2]))\n"
        "    engine.close()\n"
        "    print('stopped by', report.stopped, report.done)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(model), str(tmp_path / "c"), str(Path(__file__).parent)],
        env={**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(rundir.stored_ids(tmp_path / "c")) < 20:
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    held = len(rundir.stored_ids(tmp_path / "c"))
    assert process.returncode == 0 and f"stopped by SIGINT {held}" in said
    assert 20 <= held < 1600 and not list((tmp_path / "c").glob("*.jsonl"))


def test_an_adapter_writes_other_texts_under_other_ids(model: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    adapter = tmp_path / "adapter"
    adapter.mkdir()
    rank = 24  # above vLLM's default of 16
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 48, "target_modules": ["q_proj"]}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(0)
    tensors = {
        f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{part}.weight": torch.randn(
            shape, generator=generator
        )
        for layer in range(2)
        for part, shape in (("A", (rank, 128)), ("B", (128, rank)))
    }
    save_file(tensors, adapter / "adapter_model.safetensors")
    script = (
        "import sys; sys.path.insert(0, sys.argv[3]); from test_vllm import *\n"
        "lora = sys.argv[2] or None\n"
        "engine = open_engine(VllmEngine(kind='vllm', args=ARGS, lora=lora), ModelConfig(path=sys.argv[1]))\n"
        "texts = [c.text for c in engine.generate(asked(2, sampling=Sampling(temperature=0, max_tokens=8)))]\n"
        "engine.close()\n"
        "print('told', json.dumps([engine.model_key, texts]))"
    )

    def told(lora: str) -> tuple[str, list[str]]:
        args = [sys.executable, "-c", script, str(model), lora, str(Path(__file__).parent)]
        out = subprocess.run(args, capture_output=True, text=True, check=True).stdout
        return tuple(json.loads(out.split("told ")[-1]))  # type: ignore[return-value]

    (plain_key, plain), (key, texts) = told(""), told(str(adapter))
    assert key.startswith(plain_key + "+dir@") and texts != plain
    with pytest.raises(EngineError, match=r"no LoRA adapter at .*nowhere.*\n.*engine\.lora"):
        open_engine(VllmEngine(kind="vllm", lora=str(tmp_path / "nowhere")), ModelConfig(path=str(model)))


def test_a_model_that_is_not_there() -> None:
    with pytest.raises(EngineError, match="no model directory"):
        open_engine(VllmEngine(kind="vllm"), ModelConfig(path="/nowhere"))


def test_as_a_server_killed_and_started_again(model: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    args = ["--enforce-eager", "--max-num-seqs", "16", "--block-size", "32"]
    config = OpenAIEngine(kind="openai", base_urls=[url], timeout=20, max_concurrency=16, serve=args)
    settings = ModelConfig(path=str(model), dtype="float32")
    command = serve_command(config, settings)
    with serving(command, url, seconds=300) as server:
        engine = open_engine(config, settings)
        plain = open_engine(TransformersEngine(), settings)
        items = [(r.prompt, "So 48 / 2 = 24.") for r in asked(2)]
        for ours, want in zip(engine.logprobs(items), plain.logprobs(items), strict=True):
            assert ours == (pytest.approx(want[0], abs=1e-3), want[1])
        chat = Prompt(messages=({"role": "user", "content": SHARED + "2+2?"},))
        greedy = Request("chat", chat, Sampling(temperature=0, max_tokens=8), "q")
        mine, theirs = next(iter(engine.generate([greedy]))), next(iter(plain.generate([greedy])))
        assert (mine.text.rstrip("\ufffd"), mine.prompt_tokens) == (theirs.text.rstrip("\ufffd"), theirs.prompt_tokens)
        first = complete(asked(10, 4), engine, tmp_path / "c")
        assert (first.done, first.failed) == (40, 0) and first.prefix_hit_rate > 0.4

        def until() -> bool:
            if len(rundir.stored_ids(tmp_path / "c")) >= 80:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()
            return False

        with pytest.raises(EngineError, match="no server answers any more"):
            complete(asked(100, 4), engine, tmp_path / "c", stop=until)
    held = len(rundir.stored_ids(tmp_path / "c"))
    assert 80 <= held < 400
    with serving(command, url, seconds=300):
        report = complete(asked(100, 4), open_engine(config, settings), tmp_path / "c")
    assert (report.held, report.done, report.failed) == (held, 400 - held, 0)
    assert rundir.stored_ids(tmp_path / "c") == {r.id for r in asked(100, 4)}
