"""Training rows and exports, read back by those who consume them: TRL, datasets, a chat template, the Hub's client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from midway.records import PHASES, CodeTests, Heuristic, Prompt, Question
from midway.rundir import SOLUTIONS
from midway.selection import diversity
from midway.training.card import Card, figure, front_matter, render
from midway.training.dataset import (
    FORMATS,
    PROVENANCE,
    Format,
    rl_rows,
    to_messages,
    to_openrlhf,
    to_sharegpt,
    training_rows,
    write_dataset,
)

TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{% generation %}{{ m['content'] }}{% endgeneration %}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
QUESTIONS = {
    q.id: q
    for q in (
        Question(domain="math", text="What is 3 + 4?", answer="7", source="mine/train"),
        Question(domain="math", text="What is 2 * 5?", answer="10", source="mine/train"),
        Question(domain="choice", text="Which one is a colour?", choices=("red", "seven"), answer_index=0),
        Question(domain="code", text="Add two.", tests=CodeTests(test_list=("assert add(1, 2) == 3",))),
    )
}
IDS = list(QUESTIONS)
CATALOGUE = {
    slug: Heuristic(slug, slug.title(), f"Use {slug}.", dict.fromkeys(PHASES, "look"))
    for slug in ("analogy", "backward")
}
SOLVED = pl.DataFrame(
    [
        (IDS[0], "analogy", "Like 3 + 5, less one: 7.\n\nThe answer is \\boxed{7}", "guided", "c1", 0.9),
        (IDS[0], "backward", "Seven less four is three, so 7 “works” \\boxed{7}", "guided", "c2", 0.8),
        (IDS[1], "unguided", "2 * 5 = 10 \\boxed{10}", "plain", "c3", None),
        (IDS[2], "reference", "Red is. The answer is (A).", "reference", "", None),
    ],
    schema=dict(SOLUTIONS),
    orient="row",
)


def build(chat: bool) -> Any:
    def prompts(question: Question, heuristic: Heuristic | None) -> Prompt:
        hint = f"{heuristic.description} " if heuristic else ""
        if chat:
            head = ({"role": "system", "content": hint},) if heuristic else ()
            return Prompt(messages=(*head, {"role": "user", "content": question.text}))
        return Prompt(text=f"{hint}{question.text}\n")

    return prompts


def rows(chat: bool, **kwargs: Any) -> pl.DataFrame:
    return training_rows(SOLVED, QUESTIONS, build(chat), chat, **kwargs)


def test_question_to_solution_without_the_heuristics_prompt() -> None:
    got = rows(chat=True)
    assert got.columns == ["prompt", "completion", *PROVENANCE]
    assert got["prompt"][0].to_list() == [{"role": "user", "content": "What is 3 + 4?"}]
    assert got["completion"][1].to_list() == [{"role": "assistant", "content": SOLVED["text"][1]}]
    assert got.select(*PROVENANCE).equals(SOLVED.select(*PROVENANCE))
    plain = rows(chat=False)
    assert plain["prompt"].to_list()[:3] == ["What is 3 + 4?\n"] * 2 + ["What is 2 * 5?\n"]
    assert plain["completion"].to_list() == SOLVED["text"].to_list()


def test_with_the_heuristics_prompt_when_asked() -> None:
    got = rows(chat=False, heuristics=CATALOGUE)["prompt"].to_list()
    assert got == [
        "Use analogy. What is 3 + 4?\n",
        "Use backward. What is 3 + 4?\n",
        "What is 2 * 5?\n",
        "Which one is a colour?\n",
    ]
    chat = rows(chat=True, heuristics=CATALOGUE)["prompt"][0].to_list()
    assert [m["role"] for m in chat] == ["system", "user"]


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="not among the 1 question"):
        training_rows(SOLVED, {IDS[0]: QUESTIONS[IDS[0]]}, build(True), True)
    with pytest.raises(ValueError, match="'backward', which is not in the catalogue"):
        rows(chat=True, heuristics={"analogy": CATALOGUE["analogy"]})
    with pytest.raises(ValueError, match="must build messages"):
        training_rows(SOLVED, QUESTIONS, build(False), True)


# Read back by their consumers --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A byte-level checkpoint with random weights and a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny")
    special = ["<pad>", "</s>", "<user>", "<assistant>", "<system>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate([*special, *alphabet])}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(special)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="</s>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(
        vocab_size=len(special) + len(alphabet), pad_token_id=0, eos_token_id=1, bos_token_id=None, **size
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("chat", [True, False])
def test_trl_takes_a_real_step_on_the_completion_only(chat: bool, checkpoint: str, tmp_path: Path) -> None:
    import torch
    from datasets import load_dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    (file,) = write_dataset(tmp_path / "set", rows(chat), "trl")
    data = load_dataset("parquet", data_files=str(tmp_path / "set" / file), cache_dir=str(tmp_path / "cache"))["train"]
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    args = SFTConfig(
        output_dir=str(tmp_path / "out"),
        max_steps=2,
        per_device_train_batch_size=4,
        learning_rate=0.1,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        seed=0,
    )
    trainer = SFTTrainer(model=checkpoint, args=args, train_dataset=data, processing_class=tokenizer)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    batch = next(iter(trainer.get_train_dataloader()))
    learnt = {tokenizer.decode([i for i in row.tolist() if i >= 0]) for row in batch["labels"]}
    assert learnt == {f"{text}</s>" for text in SOLVED["text"].to_list()}
    result = trainer.train()
    assert result.training_loss > 0 and torch.isfinite(torch.tensor(result.training_loss))
    assert all(not torch.equal(before[name], p) for name, p in trainer.model.named_parameters())


@pytest.mark.parametrize("form", ["messages", "sharegpt"])
@pytest.mark.parametrize("chat", [True, False])
def test_chat_formats_are_read_by_datasets_and_a_chat_template(
    form: Format, chat: bool, checkpoint: str, tmp_path: Path
) -> None:
    from datasets import load_dataset
    from transformers import AutoTokenizer

    (file,) = write_dataset(tmp_path / "set", rows(chat), form)
    data = load_dataset("json", data_files=str(tmp_path / "set" / file), cache_dir=str(tmp_path / "cache"))["train"]
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    roles = {"human": "user", "gpt": "assistant", "system": "system"}
    for number, row in enumerate(data):
        turns = (
            row["messages"]
            if form == "messages"
            else [{"role": roles[t["from"]], "content": t["value"]} for t in row["conversations"]]
        )
        question = QUESTIONS[SOLVED["question_id"][number]].text + ("" if chat else "\n")
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        assert text == f"<user>{question}</s><assistant>{SOLVED['text'][number]}</s>"
        assert row["completion_id"] == SOLVED["completion_id"][number] and row["source"] == SOLVED["source"][number]


def test_openrlhf_joins_prompt_and_response_as_its_loader_does(checkpoint: str, tmp_path: Path) -> None:
    """Its SFT loader (0.11) renders `prompt + response`, and takes what follows the rendered prompt as the response."""
    from transformers import AutoTokenizer

    files = write_dataset(
        tmp_path, rows(True), "openrlhf", rl=lambda kind: rl_rows(QUESTIONS.values(), build(True), kind)
    )
    sft, rl = ([json.loads(line) for line in (tmp_path / f).read_text().splitlines()] for f in files)
    apply = AutoTokenizer.from_pretrained(checkpoint).apply_chat_template
    for row, text in zip(sft, SOLVED["text"], strict=True):
        prompt = apply(row["prompt"], tokenize=False, add_generation_prompt=True)
        response = apply(row["prompt"] + row["response"], tokenize=False)[len(prompt) :]
        assert response == f"{text}</s>"
    assert [r["label"] for r in rl[:3]] == ["7", "10", "A"] and "assert add" in rl[3]["label"]
    assert {"prompt", "label", "datasource"} <= set(rl[0])
    assert to_openrlhf(rows(False))["prompt"][0] == "What is 3 + 4?\n"


def test_verl_columns_are_those_of_its_two_data_sets(tmp_path: Path) -> None:
    """verl 0.9: `messages` for SFT; data_source, prompt, ability, reward_model and extra_info for RL."""
    files = write_dataset(tmp_path, rows(True), "verl", rl=lambda kind: rl_rows(QUESTIONS.values(), build(True), kind))
    assert [f.as_posix() for f in files] == ["data/sft.parquet", "data/rl.parquet"]
    sft, rl = (pl.read_parquet(tmp_path / f) for f in files)
    assert sft["messages"][0].to_list()[-1]["role"] == "assistant"
    first = rl.row(0, named=True)
    assert first["reward_model"] == {"style": "rule", "ground_truth": "7"} and first["data_source"] == "mine/train"
    assert first["prompt"] == [{"role": "user", "content": "What is 3 + 4?"}] and first["ability"] == "math"
    assert json.loads(first["extra_info"]["question"])["answer"] == "7" and rl["extra_info"].struct.field(
        "index"
    ).to_list() == [0, 1, 2, 3]


def test_files_of_another_export_are_not_mixed_up(tmp_path: Path) -> None:
    write_dataset(tmp_path, rows(True), "messages")
    write_dataset(tmp_path, rows(True), "sharegpt")  # the same file name: made anew
    with pytest.raises(ValueError, match="holds another export"):
        write_dataset(tmp_path, rows(True), "trl")


def test_every_format_is_written_from_plain_text_too(tmp_path: Path) -> None:
    for form in FORMATS:
        assert write_dataset(tmp_path / form, rows(False), form)
    assert to_messages(rows(False))["messages"][0].to_list()[0]["content"] == "What is 3 + 4?\n"
    system = to_sharegpt(rows(True, heuristics=CATALOGUE))["conversations"][0].to_list()
    assert [t["from"] for t in system] == ["system", "human", "gpt"]


# The card and the Hub ------------------------------------------------------------------------------------------------------------


def card(**changes: Any) -> Card:
    funnel = pl.DataFrame(
        [
            ("asked", "analogy", "1", 90),
            ("asked", "backward", "2", 110),
            ("correct", "analogy", "1", 50),
            ("kept", "backward", "2", 20),
        ],
        schema=["step", "heuristic", "level", "count"],
        orient="row",
    )
    removed = pl.DataFrame(
        [("c9", IDS[0], "not a copy", "near-copy", "c1"), ("", IDS[1], "not leaked", "exact", "bench: What is | 2?")],
        schema=["completion_id", "question_id", "step", "reason", "other"],
        orient="row",
    )
    values: dict[str, Any] = {
        "title": "A trial",
        "arm": "polya",
        "seed": 1,
        "model": "org/base",
        "revision": "abc",
        "model_key": "org/base@abc",
        "rows": 4,
        "data": [{"pool": "guided", "strategy": "best"}],
        "selection": {"per_question": 4, "balance": None},
        "pools": {
            "guided": {
                "heuristics": ["analogy"],
                "samples": 4,
                "sampling": {"temperature": 1.0, "max_tokens": 512, "top_k": 0},
            }
        },
        "prompts": {"Training prompt of one question": "What is ```x```?\n```"},
        "sources": [("mine/train", "MIT", 2), ("", None, 1)],
        "funnel": funnel,
        "diversity": diversity(SOLVED),
        "removed": removed,
        "notes": ["only 4 distinct solutions"],
        "adherence": {"scorer": "likelihood", "sentence": "WARNING: likelihood CANNOT tell heuristics apart"},
        "files": [("train", "data/train.parquet")],
    }
    return Card(**{**values, **changes})


def test_the_card_is_read_by_the_hubs_client_and_tells_what_matters() -> None:
    from huggingface_hub import DatasetCard

    text = render(card())
    read = DatasetCard(text)
    assert read.data.license == "other" and read.data.size_categories == ["n<1K"]
    assert read.data.configs == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "data/train.parquet"}]}
    ]
    for told in (
        "`org/base` (revision `abc`)",
        "only 4 distinct solutions",
        "temperature 1.0, max_tokens 512",
        "CANNOT tell heuristics apart",
        "| asked | 200 | 100.0 % |",
        "| kept | 20 | 10.0 % |",
        "| backward | 110 | 0 | 20 |",
        "What is &#124; 2?",
        "word 3-grams",
        "not known: look it up",
    ):
        assert told in text, told
    assert front_matter(card(sources=[("gsm8k/train", "MIT", 2)]))["license"] == "mit"
    assert "Not scored" in render(card(adherence={}))


def test_the_figure_is_a_picture_with_a_bar_for_each_step() -> None:
    root = ElementTree.fromstring(figure(card().funnel))
    space = "{http://www.w3.org/2000/svg}"
    widths = [float(r.get("width", "0")) for r in root.iter(f"{space}rect") if not r.get("width", "").endswith("%")]
    assert widths == [420.0, 105.0, 42.0]
    assert root.find(f"{space}title").text == "Funnel: asked 200, correct 50, kept 20"  # type: ignore[union-attr]
    figure(card().funnel.clear())


class Hub(BaseHTTPRequestHandler):
    """Stands in for the Hub's upload calls: makes a repository, says how to upload, takes a commit."""

    seen: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).seen.append((self.path, body))
        here = f"http://{self.headers['Host']}/datasets/me/set"
        answer: dict[str, Any] = {"url": here} if self.path.endswith("/create") else {}
        if "/preupload/" in self.path:
            answer = {
                "files": [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in json.loads(body)["files"]
                ]
            }
        if "/commit/" in self.path:
            answer = {"commitUrl": f"{here}/commit/1", "commitOid": "1" * 40, "hookOutput": ""}
        self._send(answer)

    def do_GET(self) -> None:
        self._send({"id": "me/set", "sha": "0" * 40, "siblings": []})

    def _send(self, answer: dict[str, Any]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


def test_push_uploads_the_folder(tmp_path: Path) -> None:
    write_dataset(tmp_path, rows(True), "messages")
    (tmp_path / "README.md").write_text(render(card()))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        code = f"from midway.training.dataset import push; print(push({str(tmp_path)!r}, 'me/set', token='hf_x'))"
        online = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "NO_PROXY": "*"}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **online}
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert done.returncode == 0, done.stderr
    assert "me/set" in done.stdout
    created = json.loads(next(body for path, body in Hub.seen if path.endswith("/repos/create")))
    assert created["name"] == "set" and created["type"] == "dataset"
    assert (
        created.get("visibility") == "private" or created.get("private") is True
    )  # the client's version decides which
    commit = next(body for path, body in Hub.seen if path.endswith("/api/datasets/me/set/commit/main"))
    files = {json.loads(line)["value"]["path"] for line in commit.splitlines() if json.loads(line)["key"] == "file"}
    assert files == {"README.md", "data/train.jsonl"}
