"""What the tests let verl do, in its environment: `PYTHON verl_inside.py COMMANDS STAGE REPLY.json`. Imports nothing of midway's."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any


def read_config(stage: Path) -> Any:
    """Return the configuration of a stage as verl's trainer reads it from `start.sh`'s arguments."""
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(stage / "verl"), version_base=None):
        return compose("config")


def data(stage: Path) -> Any:
    """Read the data with verl's own class, and tokenise each prompt as verl's agent loop does."""
    from verl.trainer.ppo.utils import create_rl_dataset
    from verl.utils.config import omega_conf_to_dataclass

    config = read_config(stage)
    model = omega_conf_to_dataclass(config.actor_rollout_ref.model)
    dataset = create_rl_dataset(config.data.train_files, config.data, model.tokenizer, model.processor, is_train=True)
    rows = [dataset[k] for k in range(len(dataset))]
    return [
        {
            "ids": list(
                model.tokenizer.apply_chat_template(
                    row["raw_prompt"], add_generation_prompt=True, tokenize=True, return_dict=False
                )
            ),
            "truth": row["reward_model"]["ground_truth"],
            "index": row["index"],
        }
        for row in rows
    ]


def rewards(stage: Path) -> Any:
    """Let verl's reward worker, with its naive reward manager, score the texts in `texts.json` ([text, question id] each)."""
    import numpy as np
    import torch
    from verl import DataProto
    from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

    worker = RewardLoopWorker(read_config(stage))

    def item(text: str, question: str) -> DataProto:
        ids = worker.input_tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        mask = torch.ones(1, ids.shape[1] + 1, dtype=torch.long)
        others = {
            "data_source": np.array(["lab"], dtype=object),
            "reward_model": np.array([{"ground_truth": question, "style": "rule"}], dtype=object),
            "extra_info": np.array([{}], dtype=object),
        }
        tensors = {"prompts": torch.zeros(1, 1, dtype=torch.long), "responses": ids, "attention_mask": mask}
        return DataProto.from_dict(tensors=tensors, non_tensors=others)

    async def score() -> list[dict[str, Any]]:
        asked = json.loads((stage / "texts.json").read_text())
        return list(await asyncio.gather(*(worker.compute_score(item(*one)) for one in asked)))

    return [
        {"score": float(one["reward_score"]), **{k: float(v) for k, v in one["reward_extra_info"].items()}}
        for one in worker.loop.run_until_complete(score())
    ]


def checkpoint(stage: Path) -> Any:
    """Save what two processes hold of the model, moved a little, with verl's checkpoint manager, as its actor does after step 3."""
    import torch.multiprocessing as mp

    mp.spawn(_save, args=(2, str(stage)), nprocs=2)
    (stage / "verl" / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("3")
    from verl.utils.checkpoint.checkpoint_manager import find_latest_ckpt_path

    return find_latest_ckpt_path(read_config(stage).trainer.default_local_dir)


def _save(rank: int, size: int, stage: str) -> None:
    import torch
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from verl.utils.checkpoint.fsdp_checkpoint_manager import FSDPCheckpointManager

    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29713", RANK=str(rank), WORLD_SIZE=str(size))
    dist.init_process_group("gloo", rank=rank, world_size=size)
    config = read_config(Path(stage)).actor_rollout_ref.model
    model = AutoModelForCausalLM.from_pretrained(config.path, dtype=torch.float32)
    if int(config.lora_rank):
        from peft import LoraConfig, TaskType, get_peft_model

        lora = LoraConfig(
            task_type=TaskType.CAUSAL_LM, r=int(config.lora_rank), lora_alpha=int(config.lora_alpha),
            target_modules="all-linear", init_lora_weights=False,
        )  # fmt: skip
        torch.manual_seed(0)
        model = get_peft_model(model, lora)
    mesh = init_device_mesh("cpu", (size,), mesh_dim_names=("fsdp",))
    base = model.base_model.model if int(config.lora_rank) else model
    for layer in base.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    tokenizer = AutoTokenizer.from_pretrained(config.path)
    tokenizer.chat_template = config.custom_chat_template
    manager = FSDPCheckpointManager(
        model, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0), tokenizer
    )
    folder = Path(stage) / "verl" / "checkpoints" / "global_step_3" / "actor"
    manager.save_checkpoint(str(folder), global_step=3)
    dist.destroy_process_group()


def dump(stage: Path) -> Any:
    """Write samples as verl's trainer does after each step. `samples.json`: step -> columns."""
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    for step, of in json.loads((stage / "samples.json").read_text()).items():
        PPOTrainer._write_generations(
            of["input"],
            of["output"],
            of["gts"],
            of["score"],
            {"uid": of["uid"]},
            str(stage / "verl" / "rollouts"),
            int(step),
        )
    return None


def log(stage: Path) -> Any:
    """Log steps as verl's trainer does, to the file that the configuration names."""
    from verl.utils.tracking import Tracking

    config = read_config(stage)
    env = config.ray_kwargs.ray_init.runtime_env.env_vars
    os.environ["VERL_FILE_LOGGER_PATH"] = env.VERL_FILE_LOGGER_PATH
    trainer = config.trainer
    logger = Tracking(trainer.project_name, trainer.experiment_name, list(trainer.logger), config={})
    for step in (1, 2, 3):
        data = {"critic/score/mean": step / 10, "response_length/mean": 20.0, "response_length/clip_ratio": 0.25}
        logger.log(data={**data, "perf/total_num_tokens": 100, "perf/max_memory_allocated_gb": 2.0}, step=step)
    logger.finish()
    return None


COMMANDS = {"data": data, "rewards": rewards, "checkpoint": checkpoint, "dump": dump, "log": log}

if __name__ == "__main__":
    commands, folder, answer = sys.argv[1:4]
    found = {command: COMMANDS[command](Path(folder)) for command in commands.split(",")}
    Path(answer).write_text(json.dumps(found))
