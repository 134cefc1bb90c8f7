"""How much memory is free, and how much a sequence takes.

Promises: free memory is that of the GPU, or of the machine or its container, whichever is less.

When things go wrong: where neither can be read, 4 GiB are assumed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def bytes_per_row(config: Any, dtype: torch.dtype, length: int) -> int:
    """Return the bytes that a sequence of `length` tokens takes while it is written: keys, values, logits."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    per_token = 2 * config.num_hidden_layers * heads * width * dtype.itemsize
    return int(per_token * length + 48 * config.vocab_size)  # logits, sorted, with probabilities and their sums


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: torch's own error, or that of a library beneath it that could not have its workspace."""
    words = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(word in str(error) for word in words)


def free_memory(device: torch.device) -> int:
    """Return free bytes: of the GPU with what torch holds unused, or of the machine (or its container)."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    free = 1 << 32
    for line in Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else ():
        if line.startswith("MemAvailable"):
            free = int(line.split()[1]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and (text := limit.read_text().strip()).isdigit():
        free = min(free, int(text) - int(used.read_text()))
    return max(free, 0)
