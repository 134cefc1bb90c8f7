"""What a training holds: the formulas against what autograd saves, what peft makes, and what torch allocates."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig
from typer.testing import CliRunner

from midway.checks.launch import read_launch
from midway.cli import app
from midway.training.memory import (
    GIB,
    Setting,
    Shape,
    changes,
    estimate,
    gradients,
    layer_activations,
    lora_numbers,
    moments,
    setting_of,
    shape_of,
    weights,
)

SEVEN_B = Shape(
    parameters=6_738_415_616,
    layers=32,
    hidden=4096,
    ffn=11008,
    heads=32,
    kv_heads=32,
    head_dim=128,
    vocab=32000,
    tied=False,
)


def llama(layers: int) -> LlamaConfig:
    return LlamaConfig(
        hidden_size=256,
        intermediate_size=512,
        num_attention_heads=8,
        num_key_value_heads=4,
        num_hidden_layers=layers,
        vocab_size=100,
        head_dim=32,
        tie_word_embeddings=True,
    )


def saved_bytes(layers: int, dtype: torch.dtype, autocast: bool) -> int:
    """Bytes that autograd keeps of a forward pass on a padded batch, the weights and their bf16 copies left out."""
    model = AutoModelForCausalLM.from_config(llama(layers), dtype=dtype).train()
    ids = torch.randint(0, 100, (2, 130))  # rows that no matrix has
    mask = torch.ones_like(ids)
    mask[0, :5] = 0
    left_out = {p.untyped_storage().data_ptr() for p in model.parameters()}
    shapes = {tuple(p.shape) for p in model.parameters() if p.dim() == 2}
    found: dict[int, int] = {}
    held = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        held.append(tensor)  # or its address is given to another
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in left_out and tuple(tensor.shape) not in shapes | {s[::-1] for s in shapes}:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast),
    ):
        model.model(input_ids=ids, attention_mask=mask, use_cache=False)
    return sum(found.values())


@pytest.mark.parametrize(
    ("dtype", "autocast"), [(torch.float32, False), (torch.float32, True), (torch.bfloat16, False)]
)
def test_activations_are_what_autograd_saves(dtype: torch.dtype, autocast: bool) -> None:
    measured = (saved_bytes(3, dtype, autocast) - saved_bytes(1, dtype, autocast)) / 2 / 260
    setting = Setting(kind="sft", width=dtype.itemsize, autocast=autocast)
    assert layer_activations(shape_of(llama(1), 0), setting) == pytest.approx(measured, rel=0.1)


def test_a_shape_and_an_adapter_are_those_of_transformers_and_peft() -> None:
    peft = pytest.importorskip("peft")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(llama(2))
    shape = shape_of(llama(2), sum(p.numel() for p in model.parameters()))
    linear = sum(
        m.weight.numel() for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"
    )
    assert shape.matrices == pytest.approx(linear, rel=0.01), "the norms are among them"
    for lora in (
        {"r": 4, "target_modules": "all-linear"},
        {"r": 2},
        {"r": 8, "target_modules": ["q_proj", "down_proj"]},
    ):
        with torch.device("meta"):
            adapted = peft.get_peft_model(
                AutoModelForCausalLM.from_config(llama(2)), peft.LoraConfig(task_type="CAUSAL_LM", **lora)
            )
        trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
        assert lora_numbers(shape, lora) == trained


def test_weights_gradients_and_moments_are_what_torch_allocates() -> None:
    """Bytes of the tensors themselves after a real step: full training, with a model and optimizer as midway makes them."""
    model = AutoModelForCausalLM.from_config(llama(2), dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters())
    model(input_ids=torch.randint(0, 100, (1, 8))).logits.sum().backward()
    optimizer.step()
    shape, setting = shape_of(llama(2), sum(p.numel() for p in model.parameters())), Setting(kind="sft")
    assert weights(shape, setting) == sum(p.nbytes for p in model.parameters())
    assert gradients(shape, setting) == sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    states = [v for state in optimizer.state.values() for name, v in state.items() if name != "step"]
    assert moments(shape, setting) == sum(v.nbytes for v in states)


def test_more_processes() -> None:
    one = Setting(kind="sft")
    ddp, fsdp = replace(one, processes=4), replace(one, processes=4, sharded=True)
    assert gradients(SEVEN_B, ddp) == 2 * gradients(SEVEN_B, one) and moments(SEVEN_B, ddp) == moments(SEVEN_B, one)
    assert (
        gradients(SEVEN_B, fsdp) == gradients(SEVEN_B, one) / 4 and moments(SEVEN_B, fsdp) == moments(SEVEN_B, one) / 4
    )
    assert weights(SEVEN_B, one) / 4 < weights(SEVEN_B, fsdp) < weights(SEVEN_B, one)


def test_a_published_figure() -> None:
    """QLoRA (arXiv:2305.14314): full 16-bit fine-tuning of a 65B model takes more than 780 GB, QLoRA less than 48 GB."""
    large = Shape(
        parameters=65_285_660_672,
        layers=80,
        hidden=8192,
        ffn=22016,
        heads=64,
        kv_heads=64,
        head_dim=128,
        vocab=32000,
        tied=False,
    )
    small = {"batch": 1, "tokens": 512}
    # 16-bit weights and gradients with Adam in float32, as theirs: 2 + 2 + 8 bytes
    held = large.parameters * (2 + 2 + 8)
    assert held > 780e9
    adapter = lora_numbers(large, {"r": 64, "target_modules": "all-linear"})
    found = estimate(
        large, Setting(kind="sft", width=2, quantize=True, adapter=adapter, optimizer="paged_adamw_32bit", **small)
    )
    assert found.total < 48e9


def test_when_most_is_held() -> None:
    plain = Setting(kind="sft", checkpointing=False, batch=8, tokens=1024)
    assert estimate(SEVEN_B, plain).phase == "forward"
    assert estimate(SEVEN_B, replace(plain, checkpointing=True, batch=1)).phase == "backward"
    sampling = Setting(kind="grpo", batch=1, tokens=4096, sampled=1024, adapter=1)
    assert estimate(SEVEN_B, sampling).phase == "generation"
    card = 80 * GIB
    colocated = replace(sampling, vllm="colocate", card=card)
    assert estimate(SEVEN_B, colocated).parts["vLLM"] == 0.3 * card
    served = estimate(SEVEN_B, replace(sampling, vllm="server"))
    assert "vLLM" not in served.parts and served.total < estimate(SEVEN_B, colocated).total
    asleep = estimate(SEVEN_B, replace(colocated, sleep=True, batch=64))
    assert asleep.phase != "generation" and asleep.parts["vLLM"] == 0
    twice = estimate(SEVEN_B, replace(served_setting := replace(sampling, vllm="server", adapter=0), reference=True))
    assert twice.parts["weights"] == 2 * estimate(SEVEN_B, served_setting).parts["weights"]


def test_arguments_of_a_recipe() -> None:
    found = setting_of(
        "grpo",
        {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 8, "beta": 0.1, "use_vllm": True},
        tokens=700,
    )
    assert (found.batch, found.sampled, found.reference, found.vllm, found.checkpointing) == (
        4,
        32,
        True,
        "colocate",
        True,
    )
    assert not setting_of("sft", {}, tokens=1, cuda=False).checkpointing
    assert setting_of("sft", {}, tokens=1, dtype="bfloat16").width == 2


def test_changes_hold_less_and_less() -> None:
    setting = setting_of(
        "grpo", {"gradient_checkpointing": False, "use_vllm": True}, tokens=2048, processes=2, card=80 * GIB
    )
    totals = [
        estimate(SEVEN_B, setting).total,
        *(estimate(SEVEN_B, s).total for _, s in changes(SEVEN_B, setting, "rl")),
    ]
    assert totals[-1] < totals[0] / 4
    texts = [text for text, _ in changes(SEVEN_B, setting, "rl")]
    assert texts[0] == "rl.gradient_checkpointing=true" and "rl.vllm_enable_sleep_mode=true" in texts[1]
    assert any("--use_fsdp" in text for text in texts)


RECIPE = """
model: {path: lab}
questions: {train: [{source: lab, split: train, limit: 8}]}
prompt: {style: cue}
midtrain: {per_device_train_batch_size: 4}
rl: {per_device_train_batch_size: 16, max_completion_length: 64}
"""


def check(tmp_path: Path, *more: str) -> tuple[int, str]:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    done = CliRunner().invoke(app, ["check", str(recipe), "--no-gold", *more])
    return done.exit_code, done.output


def test_check_says_whether_it_fits_and_what_to_change(tmp_path: Path) -> None:
    code, text = check(tmp_path, "--gpu-memory", "24")
    assert code == 0 and "memory of rl: of 24.0 GiB, 22.0 can be used: it fits" in text
    large = ["rl.per_device_train_batch_size=512", "rl.max_completion_length=384"]
    code, text = check(tmp_path, "--gpu-memory", "2", *large, "rl.num_generations=512")
    assert code == 0 and re.search(
        r"it will not fit. Set rl.per_device_train_batch_size=\d+ rl.gradient_acc.*then about", text
    )
    code, text = check(tmp_path, "--gpu-memory", "2", "rl.use_vllm=true", "rl.vllm_gpu_memory_utilization=0.0001")
    assert code == 0 and "Set rl.vllm_gpu_memory_utilization=" in text
    code, text = check(tmp_path)
    assert code == 0 and ("midway check --gpu-memory 24" in text or torch.cuda.is_available())


def test_launch_lines() -> None:
    fsdp = [
        "accelerate",
        "launch",
        "--use_fsdp",
        "--fsdp_version",
        "2",
        "--num_processes",
        "8",
        "--mixed_precision",
        "bf16",
    ]
    found = read_launch(fsdp)
    assert (found.processes, found.sharded, found.wrong) == (8, True, ()) and "FSDP 2" in found.how
    two = read_launch(["torchrun", "--nproc_per_node", "2"])
    assert (two.processes, two.sharded, two.wrong) == (2, False, ())
    assert read_launch(["torchrun", "--nproc-per-node", "4", "--nnodes=2"]).processes == 8
    for line, said in (
        ("accelerate launch --num_proceses 4", "no option --num_proceses; did you mean --num_processes"),
        ("accelerate launch --fsdp_version 3", "choose from"),
        ("accelerate lunch", "did you mean launch"),
        ("acelerate launch", "no program 'acelerate' on the PATH; did you mean accelerate"),
        ("accelerate launch --cpu --use_fsdp", "only one of"),
        (
            "accelerate launch --cpu --num_processes 2",
            "starts one process without MPI, whatever --num_processes says: write [torchrun",
        ),
        ("accelerate launch train.py", "leave out 'train.py'"),
        ("accelerate launch --config_file nowhere.yaml", "there is no nowhere.yaml"),
    ):
        assert any(said in wrong for wrong in read_launch(line.split()).wrong), line


def test_check_refuses_a_launch_line(tmp_path: Path) -> None:
    code, text = check(tmp_path, "launch=[accelerate, launch, --num_proceses, '4']")
    assert code == 1 and "did you mean --num_processes" in text
    code, text = check(tmp_path, "launch=[torchrun, --nproc_per_node, '2']", "rl.num_generations=12")
    assert code == 1 and "a GRPO step of 32 completions" in text and "x 2 processes" in text
