"""The adapters, called the way each library calls its reward functions."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from midway.domains import Verifier
from midway.records import CodeTests, Question
from midway.training import rewards

HARD = "\\boxed{\\sum_{n=1}^{3} n}"
HANG = "\\boxed{\\int_{0}^{\\infty} \\frac{\\sin(x^3) \\ln(x+1)}{x^2+\\cos x} dx}"


@pytest.mark.parametrize("adapter", [rewards.TRLReward, rewards.compute_score, rewards.reward_func, rewards.correct])
def test_adapters_are_thin_and_say_how_to_plug_them_in(adapter: Any) -> None:
    assert len(inspect.getsource(adapter).splitlines()) < 20
    assert str(adapter.__doc__).startswith("Plug it into ")


def as_trl(function: Any, completions: list[Any], **columns: list[Any]) -> Any:
    """As GRPOTrainer._calculate_rewards of TRL 1.16 does it."""
    return function(
        prompts=["p"] * len(completions),
        completions=completions,
        completion_ids=[[1, 2]] * len(completions),
        **columns,
        trainer_state=object(),
        log_extra=lambda name, values: None,
        log_metric=lambda name, value: None,
    )


def test_trl_with_questions_by_id() -> None:
    math = Question("math", "a", answer="6")
    choice = Question("choice", "b", choices=("x", "y"), answer_index=1)
    code = Question("code", "c", tests=CodeTests(test_list=("assert f(2) == 4",)))
    reward = rewards.TRLReward([math, choice, code], Verifier(1, cpu_seconds=1))
    ids = [math.id, math.id, math.id, choice.id, code.id, code.id]
    texts = [HARD, "A: 5", HANG, "Answer: B", "def f(x):\n    return x * x", "def f(x):\n    return 0"]
    expected = [1.0, 0.0, None, 1.0, 1.0, 0.0]
    assert as_trl(reward, texts, question_id=ids) == expected
    conversations = [[{"role": "assistant", "content": t}] for t in texts]
    assert as_trl(reward, conversations, question_id=ids) == expected
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda _: as_trl(reward, texts, question_id=ids), range(2))) == [expected] * 2
    copy = pickle.loads(pickle.dumps(reward))
    assert as_trl(copy, texts[:2], question_id=ids[:2]) == expected[:2]
    assert reward.__name__ == "midway_correct"
    with pytest.raises(KeyError):
        as_trl(reward, ["1"], question_id=["unknown"])
    reward.verifier.close()
    copy.verifier.close()


def test_trl_with_columns() -> None:
    reward = rewards.TRLReward(verifier=Verifier(1))
    assert as_trl(reward, ["A: 5", "A: 5"], answer=["5", "6"]) == [1.0, 0.0]
    assert as_trl(reward, ["B", "A"], choices=[["x", "y"]] * 2, answer_index=[1, 1]) == [1.0, 0.0]
    with pytest.raises(KeyError, match="name the column `answer`"):
        as_trl(reward, ["1"], other=["2"])


def test_trl_trainer_takes_it() -> None:
    """TRL names a reward by `__name__` and asks whether it is async; both must work on an instance."""
    pytest.importorskip("trl")
    from trl.trainer.utils import is_async_callable  # type: ignore[attr-defined]

    assert not is_async_callable(rewards.TRLReward())


def loaded_by_path(name: str) -> Any:
    """As verl and OpenRLHF load a file of reward functions."""
    spec = importlib.util.spec_from_file_location(name, rewards.__file__)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_verl() -> None:
    """As verl 0.9 does it: the file loaded by its path, keywords, from an executor, a dictionary with `score` back."""
    rewards = loaded_by_path("custom_module")
    with ThreadPoolExecutor(1) as threads:
        call = {"data_source": "openai/gsm8k", "extra_info": {"index": 0}}
        good = threads.submit(rewards.compute_score, solution_str="#### 18", ground_truth="18", **call).result()
        bad = threads.submit(rewards.compute_score, solution_str="#### 17", ground_truth="18", **call).result()
        none = threads.submit(rewards.compute_score, solution_str="#### 17", ground_truth="", **call).result()
        columns = {"choices": ["x", "y"], "answer_index": 1}
        text = json.dumps({"test_list": ["assert f(2) == 4"]})
        program = threads.submit(
            rewards.compute_score, solution_str="def f(x):\n    return 4", ground_truth=text, **call
        )
        chosen = threads.submit(rewards.compute_score, solution_str="(B)", ground_truth=columns, **call).result()
    assert good == {"score": 1.0, "acc": 1.0, "unjudged": 0.0}
    assert bad == {"score": 0.0, "acc": 0.0, "unjudged": 0.0}
    assert none == {"score": 0.0, "acc": 0.0, "unjudged": 1.0}
    assert chosen["score"] == program.result()["score"] == 1.0


def test_openrlhf() -> None:
    """As OpenRLHF 0.11 does it: the file loaded by its path, lists by position, tensors back."""
    pytest.importorskip("torch")
    rewards = loaded_by_path("reward_func")
    prompts = ["What is 9 * 2? The answer is 17?"] * 4
    queries = [
        prompts[0] + " #### 18",
        prompts[1] + " #### 17",
        prompts[2] + " Answer: B",
        prompts[3] + " \\boxed{\\{1, 2\\}}",
    ]
    labels = ["18", "18", '{"choices": ["x", "y"], "answer_index": 1}', "{1, 2}"]
    result = rewards.reward_func(queries, prompts, labels)
    assert result["rewards"].tolist() == result["scores"].tolist() == [1.0, 0.0, 1.0, 1.0]
    assert result["extra_logs"]["unjudged"].tolist() == [0.0] * 4


class Row:
    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    def model_dump(self) -> dict[str, Any]:
        return self.fields


class Reply:
    def __init__(self, last_reply: str) -> None:
        self.last_reply = last_reply


def test_verifiers_signature() -> None:
    """`(task, trace) -> float`: the row's data and the trace of verifiers 0.4, by the attributes that are used."""
    assert asyncio.run(rewards.correct(Row(prompt="?", answer="6"), Reply(HARD))) == 1.0
    assert asyncio.run(rewards.correct(Row(prompt="?", answer="6"), Reply("A: 7"))) == 0.0
    with pytest.raises(RuntimeError, match="could not be judged: no-gold"):
        asyncio.run(rewards.correct(Row(prompt="?", answer=""), Reply("A: 7")))


def test_verifiers_task_scores_with_it() -> None:
    vf = pytest.importorskip("verifiers.v1")

    class Data(vf.TaskData):  # type: ignore[misc]
        answer: str

    class Sum(vf.Task[Data]):  # type: ignore[misc]
        @vf.reward  # type: ignore[untyped-decorator]
        async def right(self, trace: Any) -> float:
            return await rewards.correct(self.data, trace)

    async def score(reply: str) -> float:
        task = Sum(Data(prompt="1+2+3?", answer="6"))
        agent = {"config": vf.AgentConfig()}
        trace = vf.Trace(task=vf.TraceTask(type="Sum", data=task.data), agent=agent, root_reply=reply)
        await task.score(trace, None)
        return float(trace.reward)

    assert asyncio.run(score("#### 6")) == 1.0
    assert asyncio.run(score("#### 7")) == 0.0


def test_import_needs_no_trainer() -> None:
    code = "import sys, midway.training.rewards; print(sorted({'torch', 'trl', 'transformers', 'verl', 'sympy'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


@pytest.mark.parametrize("missing", [None, float("nan"), "nan", "", "null"])
def test_a_missing_gold_is_unjudged_in_every_adapter(missing: Any) -> None:
    text = "The answer is nan."
    assert rewards.TRLReward()(completions=[text], answer=[missing]) == [None]
    assert rewards.compute_score("set", text, missing) == {"score": 0.0, "acc": 0.0, "unjudged": 1.0}
    assert rewards.compute_score("set", text, {"ground_truth": missing})["unjudged"] == 1.0
    assert rewards.reward_func([text], [""], [missing])["extra_logs"]["unjudged"].tolist() == [1.0]
    with pytest.raises(RuntimeError, match="could not be judged: no-gold"):
        asyncio.run(rewards.correct(Row(answer=missing), Reply(text)))


SOUND = [
    ("3 + 4 = 7. \\boxed{7}", 1.0, 1.0, 1.0),
    ("3 + 4 = 8, no, it is 7. \\boxed{7}", 1.0, 1.0, 0.0),  # false arithmetic
    ("It rains. It was 7", 1.0, 0.0, 1.0),  # the last number
    ("\\boxed{8}", 0.0, 0.0, 0.0),
    (HANG, None, None, None),
]


def test_on_request_only_sound_texts_are_rewarded() -> None:
    from midway.recipe import RewardConfig
    from midway.registry import find

    question = Question("math", "What is 3 + 4?", answer="7")
    verifier = Verifier(1, cpu_seconds=1)
    texts, *expected = zip(*SOUND, strict=True)
    settings: list[dict[str, Any]] = [{}, {"accept": ["boxed", "statement"]}, {"consistent": True}]
    logged: dict[str, list[Any]] = {}
    for options, scores in zip(settings, expected, strict=True):
        one = RewardConfig(name="verdict", options=options)
        reward = find("rewards", "verdict").open(one.options, questions=[question], verifier=verifier, stop=())
        assert isinstance(reward, rewards.TRLReward), "rollouts take their verdicts from it"
        assert as_trl(reward, list(texts), question_id=[question.id] * len(texts)) == list(scores)
        copy = pickle.loads(pickle.dumps(reward))
        assert copy(completions=[texts[0]], question_id=[question.id], log_extra=logged.__setitem__) == [1.0]
    assert logged["judgement"] == ["correct"]
    with pytest.raises(ValueError, match=r"acept: unknown field; did you mean accept\?"):
        RewardConfig(name="verdict", options={"acept": []})
