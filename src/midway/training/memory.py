"""How much memory a training takes on each GPU, before it is paid for: pure functions of a model's shape and the trainer's arguments.

Promises: bytes as PyTorch's allocator counts them (`torch.cuda.max_memory_allocated`), for TRL 1.16 on transformers 5 as midway calls them:
weights in the recipe's `dtype` (float32 if it is `auto`), bf16 autocast above float32 weights, TRL's LM head in tiles (no whole logits).
What lies outside the allocator (the CUDA context, fragments, NCCL) is `reserve`. Imports no torch.

Where this is coarse: mixtures of experts (activations are counted as of a dense model), state-space layers, padding that varies.
`benchmarks/memory.py` measures the same trainings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

GIB = 2**30
FLOAT, HALF = 4, 2
"""Bytes of a number."""
NF4 = 0.5 + 0.127 / 8
"""Bytes of a weight in 4 bits with its constants, quantized once more: 0.127 bits a weight (QLoRA, arXiv:2305.14314, section 3)."""
TILE_TOKENS, TILE_WIDTH = 4096, 32_768
"""TRL's LM head works on tiles of so many tokens and vocabulary entries (trl/kernels/chunked_logprob.py, trl/trainer/utils.py)."""
MOMENTS: Mapping[str, float] = {
    "adamw_torch": 2 * FLOAT,
    "adamw_torch_fused": 2 * FLOAT,
    "adamw_8bit": 2,
    "adamw_bnb_8bit": 2,
    "paged_adamw_8bit": 0,
    "paged_adamw_32bit": 0,
    "adafactor": 0.1,
    "sgd": 0,
    "lion_32bit": FLOAT,
    "lion_8bit": 1,
}
"""Bytes of optimizer state for each trained number, where the number itself has 4. Paged states move to the CPU when the GPU is full.
Adafactor keeps a row and a column for each matrix; the figure is an upper bound for usual shapes."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A decoder-only transformer with gated feed-forward layers."""

    parameters: int
    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool

    @property
    def attention(self) -> int:
        """Width of the queries of all heads."""
        return self.heads * self.head_dim

    @property
    def embedding(self) -> int:
        """Numbers of the input embedding."""
        return self.vocab * self.hidden

    @property
    def matrices(self) -> int:
        """Numbers of the layers' matrices, which adapters and 4 bits are for: all but embedding, head, norms."""
        return self.parameters - self.embedding * (1 if self.tied else 2)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One training on one GPU, of `processes`."""

    kind: str
    """`sft` or `grpo`."""
    width: int = FLOAT
    """Bytes of a weight as loaded."""
    autocast: bool = True
    """Compute in bf16 above float32 weights (`bf16: true`)."""
    quantize: bool = False
    """The base model's matrices are in 4 bits (QLoRA)."""
    adapter: int = 0
    """Numbers that are trained by LoRA; 0: all weights are trained."""
    optimizer: str = "adamw_torch_fused"
    checkpointing: bool = True
    batch: int = 8
    """Sequences in one forward pass."""
    accumulate: int = 1
    tokens: int = 1024
    """Of a sequence: prompt and completion, padding too."""
    processes: int = 1
    sharded: bool = False
    """FSDP or ZeRO-3: every process holds a share of weights, gradients and optimizer."""
    reference: bool = False
    """grpo: a second copy of the weights (`beta` above 0 without LoRA)."""
    sampled: int = 0
    """grpo: sequences that are sampled at once in this process."""
    vllm: str = ""
    """grpo: who samples: `colocate`, `server`, or nobody but the trainer."""
    vllm_share: float = 0.3
    sleep: bool = False
    """grpo, colocate: vLLM gives its memory back while weights are trained (`vllm_enable_sleep_mode`)."""
    card: float = 0.0
    """Bytes of the GPU; vLLM takes a share of them. 0: not known."""


@dataclass(frozen=True)
class Estimate:
    """Bytes on one GPU when most are held. `phase` says when that is: forward, backward or generation."""

    phase: str
    parts: Mapping[str, float]

    @property
    def total(self) -> float:
        """Bytes of all parts."""
        return sum(self.parts.values())


def shape_of(config: Any, parameters: int) -> Shape:
    """Return the shape of a model from its transformers configuration and its number of parameters."""
    text = config.get_text_config()
    heads = int(text.num_attention_heads)
    hidden = int(text.hidden_size)
    return Shape(
        parameters=parameters,
        layers=int(text.num_hidden_layers),
        hidden=hidden,
        ffn=int(getattr(text, "intermediate_size", None) or 4 * hidden),
        heads=heads,
        kv_heads=int(getattr(text, "num_key_value_heads", None) or heads),
        head_dim=int(getattr(text, "head_dim", None) or hidden // heads),
        vocab=int(text.vocab_size),
        tied=bool(getattr(text, "tie_word_embeddings", False)),
    )


def estimate(shape: Shape, setting: Setting) -> Estimate:
    """Return what is held when most is held, part by part: the largest of three moments.

    - forward: the loss is known, nothing is given back yet. Gradients are there only where several batches are added up.
    - backward: the last gradients are there; activations are gone but for one layer's, and the dense gradient of the embedding is made.
    - generation (grpo without vLLM): no gradients, the keys and values of all sequences that are sampled at once.
    """
    held = {"weights": weights(shape, setting), "optimizer": moments(shape, setting)}
    if setting.kind == "grpo" and setting.vllm == "colocate":
        held["vLLM"] = setting.vllm_share * setting.card
    awake = held
    if setting.sleep and "vLLM" in held:
        awake = {**held, "vLLM": 0.0}
    before = gradients(shape, setting) if setting.accumulate > 1 else 0.0
    phases = [
        Estimate("forward", {**awake, "gradients": before, "activations": forward_activations(shape, setting)}),
        Estimate(
            "backward",
            {**awake, "gradients": gradients(shape, setting), "activations": backward_activations(shape, setting)},
        ),
    ]
    if setting.kind == "grpo":
        made = 0.0 if setting.vllm else generation(shape, setting)
        phases.append(Estimate("generation", {**held, "gradients": 0.0, "activations": made}))
    return max(phases, key=lambda one: one.total)


def weights(shape: Shape, setting: Setting) -> float:
    """Return bytes of the weights, of the adapter, and of the reference model."""
    if setting.quantize:  # bitsandbytes quantizes linear layers only; embedding, head and norms stay
        base = shape.matrices * NF4 + (shape.parameters - shape.matrices) * setting.width
    else:
        base = float(shape.parameters * setting.width)
    copies = 2 if setting.reference and not setting.adapter else 1
    return copies * base / shards(setting) + setting.adapter * FLOAT / shards(setting) + unsharded(shape, setting)


def unsharded(shape: Shape, setting: Setting) -> float:
    """Return bytes of what sharded training gathers: two layers (this one, and the next that comes early), embedding and head.

    Source: torch.distributed.fsdp.fully_shard: each group is gathered before its forward, the next one is prefetched, the root stays.
    """
    if not setting.sharded:
        return 0.0
    return (2 * shape.matrices / max(1, shape.layers) + shape.parameters - shape.matrices) * setting.width


def shards(setting: Setting) -> int:
    """Return over how many GPUs a copy of the weights is spread."""
    return setting.processes if setting.sharded else 1


def trained(shape: Shape, setting: Setting) -> int:
    """Return how many numbers are trained."""
    return setting.adapter or shape.parameters


def moments(shape: Shape, setting: Setting) -> float:
    """Return bytes of the optimizer's state. Adam's two moments have the weights' own width (torch.optim.AdamW: zeros_like(p))."""
    each = MOMENTS.get(setting.optimizer, 2 * FLOAT)
    if setting.optimizer.startswith("adamw_torch") and not setting.adapter:
        each = 2 * setting.width
    return trained(shape, setting) * each / shards(setting)


def gradients(shape: Shape, setting: Setting) -> float:
    """Return bytes of the gradients. DDP has them twice: in its buckets too (`gradient_as_bucket_view` is off in accelerate)."""
    each = FLOAT if setting.adapter else setting.width
    twice = 2 if setting.processes > 1 and not setting.sharded else 1
    return trained(shape, setting) * each * twice / shards(setting)


def layer_activations(shape: Shape, setting: Setting) -> float:
    """Return bytes that one layer saves for its backward pass, for one token.

    Counted tensor by tensor from transformers' Llama layer (two RMS norms, which compute in float32; queries, keys and values repeated
    for all heads, as with a padding mask; attention by a fused kernel, which saves no scores; a gated feed-forward), as Korthikanti et
    al. do for GPT (arXiv:2205.05198, section 4.1). A test holds it to what autograd saves, within 10 %.
    """
    hidden, attention, ffn = shape.hidden, shape.attention, shape.ffn
    if computes_in_half_above_float(setting):
        return 26 * hidden + 8 * attention + 8 * ffn
    if setting.width == FLOAT:
        return 24 * hidden + 16 * attention + 16 * ffn
    return 16 * hidden + 8 * attention + 8 * ffn


def computes_in_half_above_float(setting: Setting) -> bool:
    """Whether autocast makes bf16 copies of float32 weights."""
    return setting.autocast and setting.width == FLOAT


def cast_weights(shape: Shape, setting: Setting) -> float:
    """Return bytes of the bf16 copies of the layers' float32 matrices: one layer's with checkpointing, else all, until the backward."""
    if not computes_in_half_above_float(setting) or setting.quantize:
        return 0.0
    copies = HALF * shape.matrices
    return copies / max(1, shape.layers) if setting.checkpointing else copies


def head(shape: Shape, setting: Setting) -> float:
    """Return bytes of TRL's LM head: a tile of logits, the gradient of hidden states and, where it is trained, of the head's matrix in
    float32 (ChunkedLogProbFunction.backward)."""
    rows = setting.batch * setting.tokens
    compute = HALF if setting.autocast or setting.width == HALF else FLOAT
    tile = min(rows, TILE_TOKENS) * min(shape.vocab, TILE_WIDTH) * compute
    matrix = 0 if setting.adapter else shape.embedding * FLOAT
    return tile + rows * shape.hidden * FLOAT + matrix


def forward_activations(shape: Shape, setting: Setting) -> float:
    """Return bytes of activations when the loss is known: all layers' or, with checkpointing, each layer's input and one layer's."""
    rows = setting.batch * setting.tokens
    stream = shape.hidden * (HALF if setting.width == HALF else FLOAT)
    layer = layer_activations(shape, setting)
    saved = shape.layers * stream + layer if setting.checkpointing else shape.layers * layer
    return rows * saved + cast_weights(shape, setting) + head(shape, setting)


def backward_activations(shape: Shape, setting: Setting) -> float:
    """Return bytes besides the gradients at the end of the backward pass: the first layer's activations and the embedding's gradient
    (tied weights have it in two parts, which are added)."""
    rows = setting.batch * setting.tokens
    embedding = 0 if setting.adapter or not shape.tied else shape.embedding * setting.width
    one = cast_weights(shape, replace(setting, checkpointing=True))
    return rows * layer_activations(shape, setting) + embedding + one


def generation(shape: Shape, setting: Setting) -> float:
    """Return bytes of sampling with transformers: keys and values of all sequences, and some copies of one step's logits in float32.

    Under autocast the rotated keys are float32 and the values bf16; growing a layer's cache copies it (transformers' DynamicCache). The
    bf16 copies of all matrices that are trained are held too, unless weights are in shards (`Recording._copies_kept`).
    """
    width = (FLOAT + HALF) / 2 if computes_in_half_above_float(setting) else setting.width
    layer = 2 * shape.kv_heads * shape.head_dim * width * setting.sampled * setting.tokens
    logits = 4 * setting.sampled * shape.vocab * FLOAT
    kept = computes_in_half_above_float(setting) and not setting.adapter and not setting.sharded
    copies = HALF * (shape.matrices + shape.embedding) if kept else 0
    return layer * (shape.layers + 1) + logits + copies


def vllm_needs(shape: Shape, tokens: int) -> float:
    """Return bytes that vLLM cannot do without: weights in 2 bytes, and the keys and values of one sequence of `tokens`.

    Source: vLLM refuses to start where its share leaves no room for one sequence of `max_model_len`. Its own activations are left out.
    """
    return shape.parameters * HALF + 2 * shape.kv_heads * shape.head_dim * HALF * shape.layers * tokens


def lora_numbers(shape: Shape, lora: Mapping[str, Any]) -> int:
    """Return how many numbers a LoRA adapter trains: r x (in + out) for each matrix that it is on (arXiv:2106.09685, section 4).

    `target_modules` is a list of names, `all-linear`, or nothing: peft's choice for most models, queries and values.
    """
    hidden, attention, keys = shape.hidden, shape.attention, shape.kv_heads * shape.head_dim
    sides = {
        "q_proj": hidden + attention,
        "k_proj": hidden + keys,
        "v_proj": hidden + keys,
        "o_proj": attention + hidden,
        "gate_proj": hidden + shape.ffn,
        "up_proj": hidden + shape.ffn,
        "down_proj": shape.ffn + hidden,
    }
    target = lora.get("target_modules") or ["q_proj", "v_proj"]
    names = list(sides) if target == "all-linear" else [target] if isinstance(target, str) else list(target)
    return int(lora.get("r", 8)) * shape.layers * sum(sides.get(name, 0) for name in names)


def reserve(card: float) -> float:
    """Return bytes of a GPU that the allocator cannot use well: the CUDA context and libraries (about 0.8 GiB on recent cards) and 5 % for
    fragments. A judgement, not a measurement."""
    return 0.8 * GIB + 0.05 * card


def setting_of(
    kind: str,
    args: Mapping[str, Any],
    *,
    dtype: str = "auto",
    adapter: int = 0,
    tokens: int,
    quantize: bool = False,
    processes: int = 1,
    sharded: bool = False,
    card: float = 0.0,
    cuda: bool = True,
) -> Setting:
    """Return the setting of a training from a recipe's arguments (fields of SFTConfig or GRPOConfig) and what stands beside them.

    `kind` is `sft` or `grpo`, `tokens` the length of a sequence, `adapter` the numbers that LoRA trains (`lora_numbers`), `card` the
    bytes of the GPU. Fields that are not set have TRL's defaults, or midway's: without `cuda`, no autocast and no checkpointing.
    """
    width = HALF if dtype in ("bfloat16", "float16") else FLOAT
    batch, accumulate = int(args.get("per_device_train_batch_size", 8)), int(args.get("gradient_accumulation_steps", 1))
    vllm = str(args.get("vllm_mode", "colocate")) if kind == "grpo" and args.get("use_vllm") else ""
    at_once = int(args.get("steps_per_generation") or accumulate) * batch
    if args.get("generation_batch_size"):
        at_once = int(args["generation_batch_size"]) // processes
    return Setting(
        kind=kind,
        width=width,
        autocast=bool(args.get("bf16", cuda) or args.get("fp16")) and cuda,
        quantize=quantize,
        adapter=adapter,
        optimizer=str(args.get("optim", "adamw_torch_fused")),
        checkpointing=bool(args.get("gradient_checkpointing", cuda)),
        batch=batch,
        accumulate=accumulate,
        tokens=tokens,
        processes=processes,
        sharded=sharded,
        reference=kind == "grpo" and float(args.get("beta", 0.0)) > 0,
        sampled=at_once if kind == "grpo" else 0,
        vllm=vllm,
        vllm_share=float(args.get("vllm_gpu_memory_utilization", 0.3)),
        sleep=bool(args.get("vllm_enable_sleep_mode")),
        card=card,
    )


def changes(shape: Shape, setting: Setting, section: str) -> list[tuple[str, Setting]]:
    """Return what may be changed in a recipe so that less memory is held, each with all that stand before it; the mildest first.

    `section` is where the arguments stand: `midtrain` or `rl`. The first do not change what is learnt.
    """
    found: list[tuple[str, Setting]] = []
    now = setting

    def add(text: str, **new: Any) -> None:
        nonlocal now
        now = replace(now, **new)
        found.append((text, now))

    if not now.checkpointing:
        add(f"{section}.gradient_checkpointing=true", checkpointing=True)
    if now.vllm == "colocate" and not now.sleep:
        add(f"{section}.vllm_enable_sleep_mode=true", sleep=True)
    while now.batch > 1:
        batch = now.batch // 2
        text = (
            f"{section}.per_device_train_batch_size={batch} {section}.gradient_accumulation_steps={now.accumulate * 2}"
        )
        add(text, batch=batch, accumulate=now.accumulate * 2)
    if now.kind == "grpo" and not now.vllm and now.accumulate > 1:
        add(
            f"{section}.use_vllm=true {section}.vllm_mode=server (a server on another GPU samples)",
            vllm="server",
        )
    if now.processes > 1 and not now.sharded:
        add("launch: accelerate with --use_fsdp (docs/rl.md has the line)", sharded=True)
    if now.width == FLOAT:
        add("model.dtype=bfloat16 (weights, gradients and moments in 2 bytes: updates are rounded)", width=HALF)
    if not now.adapter:
        add(
            "'lora={r: 16, target_modules: all-linear}'",
            adapter=lora_numbers(shape, {"r": 16, "target_modules": "all-linear"}),
        )
    if not now.quantize and not now.sharded:
        add("lora.quantize=nf4 (midway[quantize])", quantize=True)
    return found
