"""A million requests of a dummy engine through the storing loop: requests a second and peak memory.

    python benchmarks/stream.py [--requests 1000000] [--folder DIR]

The dummy engine answers at once with a text of typical length, so what is measured is midway's own work: reading and sorting requests,
storing completions (journal, shards, fsync) and counting. Ids are made as the stages make them. A second call then finds everything
stored and asks nothing; its time is printed, too.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from midway.engines.stream import complete
from midway.records import Completion, Prompt, Request, Sampling, completion_id

TEXT = "Understand: we need the total. Plan: add April and May. Carry out: 48 + 24 = 72. Look back: \\boxed{72}. " * 4


class Dummy:
    """Answers everything with the same text."""

    model_key = "dummy"

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for r in requests:
            yield Completion(
                r.id,
                r.question_id,
                r.heuristic,
                r.index,
                TEXT,
                prompt_tokens=400,
                completion_tokens=120,
                cached_tokens=380,
            )

    def logprobs(self, items: Iterable[tuple[Prompt, str]]) -> Iterator[tuple[float, int]]:
        raise NotImplementedError

    def count_tokens(self, prompt: Prompt) -> int:
        return 400

    def stats(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        pass


def requests(count: int) -> Iterator[Request]:
    """Yield `count` requests: 8 heuristics x 4 samples for each question, made one by one as the stages do."""
    sampling = Sampling()
    for question in range((count + 31) // 32):
        for h in range(8):
            prompt = Prompt(text=f"heuristic {h}\n\n" + "exemplar " * 100 + f"question {question}", shared=900)
            for index in range(4):
                if (question * 8 + h) * 4 + index < count:
                    id_ = completion_id(f"q{question}", f"h{h}", "v1", "dummy", sampling, index)
                    yield Request(id_, prompt, sampling, f"q{question}", f"h{h}", index)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="midway-stream-"))
    try:
        for name in ("store", "again"):
            start, cpu = time.monotonic(), time.process_time()
            report = complete(requests(args.requests), Dummy(), folder)
            seconds = time.monotonic() - start
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(
                f"{name}: asked {report.asked} held {report.held} done {report.done} in {seconds:.1f} s "
                f"(cpu {time.process_time() - cpu:.1f} s): {report.asked / seconds:,.0f} requests/s, peak memory {peak:.2f} GiB"
            )
        size = sum(f.stat().st_size for f in folder.glob("*.parquet"))
        print(f"stored: {len(list(folder.glob('*.parquet')))} shards, {size / 2**20:.0f} MiB")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
