"""TRL's GRPOTrainer and RLOOTrainer with their samples kept: each batch goes, as TRL rewarded it, into the run's rollouts.

Promises: training is TRL's to the bit: nothing is drawn, and no loss, reward or advantage is changed, but for two rules. A completion that
the verdict could not judge is left out also where other rewards have a value for it. Where the recipe names an algorithm for pass@k, its
advantages stand in the place of TRL's, and a group without signal is one whose advantages are all 0. Texts, rewards and advantages are
those that TRL keeps for its own table of completions, of all processes together; the first process writes them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import GenerationConfig
from trl import GRPOTrainer, RLOOTrainer

from midway.training.advantages import of_groups
from midway.training.rewards import answer_in, text_of
from midway.training.rollouts import Batch, Rollouts
from midway.training.trainers.trl.whole import sharded

COLUMNS = ("question_id", "judgement", "extracted", "reason", "tokens", "cut_off")
"""What is put into TRL's table of completions: the verdict's by the reward, the rest here."""
PREFIX = "rollouts/"
"""Of the metrics that are logged here: shares of rollouts that are correct, unjudged, cut off."""
TO_CONTINUE, AT_ONCE = 64, 16
"""Cut-off rollouts that are remembered, for `continued`, and how many of them are written on at once."""


if TYPE_CHECKING:
    from trl import GRPOTrainer as Trls
else:
    Trls = object


class Recording(Trls):  # type: ignore[misc]
    """To be put before one of TRL's trainers. `stop`: strings at which an answer ends. `judging`: position of the verdict among the
    rewards, if it counts. `at_k`: name and k of the algorithm whose advantages are made here, if any."""

    def __init__(
        self,
        *,
        rollouts: Rollouts,
        stop: Sequence[str],
        judging: int | None,
        at_k: tuple[str, int] | None = None,
        **given: Any,
    ) -> None:
        self.rollouts, self.ends, self.judging, self.at_k = rollouts, tuple(stop), judging, at_k
        self.cut: deque[tuple[str, list[int], list[int]]] = deque(maxlen=TO_CONTINUE)
        """Question, prompt and completion of the latest completions that were cut off, of this process."""
        self._prompt_ids: list[list[int]] = []
        super().__init__(**given)

    def _generate(self, prompts: Any) -> Any:
        with self._copies_kept():
            made = super()._generate(prompts)
        self._prompt_ids = made[0]
        return made

    def _copies_kept(self) -> AbstractContextManager[Any]:
        """Mixed precision around all tokens of a generation, so that the half-precision copies of the weights are made once and not for
        each token. Not where another program writes, and not with shards, whose whole weights would be held at once."""
        others = self.use_vllm or self.use_transformers_continuous_batching
        return nullcontext() if others or sharded(self.model) else self.accelerator.autocast()

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Any:
        ended = {*self.eos_token_ids, self._tokenizer.pad_token_id}
        texts = [text_of(completion) for completion in completions]
        cut = [
            ids[-1] not in ended and answer_in(text, self.ends) == text
            for ids, text in zip(completion_ids_list, texts, strict=True)
        ]
        questions = [one["question_id"] for one in inputs]
        self._log_completion_extra("question_id", questions)
        self._log_completion_extra("tokens", [len(ids) for ids in completion_ids_list])
        self._log_completion_extra("cut_off", cut)
        self._log_metric(PREFIX + "cut_off", sum(cut) / len(cut))
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        judged = self._pending_extra_logs["judgement"]
        for name in ("correct", "unjudged"):
            self._log_metric(PREFIX + name, judged.count(name) / len(judged))
        for k in (k for k, is_cut in enumerate(cut) if is_cut):
            self.cut.append((questions[k], list(self._prompt_ids[k]), list(completion_ids_list[k])))
        if self.judging is not None and rewards.shape[1] > 1:
            rewards[torch.isnan(rewards[:, self.judging])] = torch.nan
        return rewards

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        made = super()._generate_and_score_completions(inputs)
        if self.model.training and self.at_k:
            made["advantages"] = self._advantages(made["advantages"], *self.at_k)
        if self.model.training and self.is_world_process_zero():
            self.rollouts.write(self._latest())
        return made

    def _advantages(self, trls: torch.Tensor, name: str, k: int) -> torch.Tensor:
        """Return the advantages of this process's completions by the recipe's algorithm, and put all processes' into TRL's table."""
        values = of_groups(name, np.array(self._latest().reward, dtype=float), self.num_generations, k)
        self._logs["advantages"].clear()
        self._logs["advantages"].extend(values.tolist())
        silent = (values.reshape(-1, self.num_generations) == 0).all(axis=1)
        self._metrics["train"]["frac_reward_zero_std"][-1] = float(silent.mean())
        first = self.accelerator.process_index * len(trls)
        return torch.tensor(values[first : first + len(trls)], dtype=trls.dtype, device=trls.device)

    def _latest(self) -> Batch:
        """Return the batch that TRL has just rewarded, from its table of completions."""
        rewards = {name: list(self._logs["rewards"][name]) for name in self.reward_func_names}
        values = torch.tensor(list(rewards.values()), dtype=torch.float32).T
        total = (values * self.reward_weights.cpu()).nansum(dim=1)
        total[torch.isnan(values).all(dim=1)] = torch.nan
        return Batch(
            step=self.state.global_step + 1,
            group_size=self.num_generations,
            texts=[text_of(completion) for completion in self._logs["completion"]],
            rewards=rewards,
            reward=total.tolist(),
            advantage=list(self._logs["advantages"]),
            columns={name: list(self._logs["extra"][name]) for name in COLUMNS},
        )

    def continued(self, model: Any) -> tuple[list[str], list[str]]:
        """Return the questions and whole texts of the completions that were cut off last, written on up to twice the limit by `model`."""
        kept = list(self.cut)
        pad, device = self._tokenizer.pad_token_id, self.accelerator.device
        how = GenerationConfig(  # TRL's own is not there when vLLM samples
            max_new_tokens=self.max_completion_length,
            do_sample=True,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            pad_token_id=pad,
            eos_token_id=list(self.eos_token_ids),
            disable_compile=True,
        )
        texts: list[str] = []
        training = model.training
        model.eval()
        try:
            with torch.random.fork_rng(), torch.no_grad():
                for start in range(0, len(kept), AT_ONCE):
                    given = [prompt + completion for _, prompt, completion in kept[start : start + AT_ONCE]]
                    longest = max(map(len, given))
                    ids = torch.tensor([[pad] * (longest - len(one)) + one for one in given], device=device)
                    mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in given], device=device)
                    made = model.generate(ids, attention_mask=mask, generation_config=how)
                    texts += [
                        self._tokenizer.decode([*completion, *row.tolist()], skip_special_tokens=True)
                        for (_, _, completion), row in zip(kept[start:], made[:, longest:], strict=False)
                    ]
        finally:
            model.train(training)
        return [question for question, _, _ in kept], texts

    def expected_rollouts(self) -> int:
        """How many completions the whole training samples."""
        args = self.args
        passes = args.steps_per_generation * self.num_iterations / args.gradient_accumulation_steps
        return round(self.state.max_steps * args.generation_batch_size / passes)


class RecordingTrainer(Recording, GRPOTrainer):  # type: ignore[misc]
    """GRPO and its kin."""


class RecordingRLOO(Recording, RLOOTrainer):  # type: ignore[misc]
    """RLOO."""
