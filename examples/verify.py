"""Judge answers in Python: a single one, and many in processes that can be killed. Type: python examples/verify.py"""

import midway
from midway.domains import question_of

print(midway.verify({"answer": "1/2"}, "So the answer is 0.5."))
print(midway.verify({"choices": ["red", "blue"], "answer_index": 1}, "The answer is (B)."))

# What a model wrote may hang or do anything: judge it in workers with a deadline.
question = question_of({"domain": "text", "answer": ["Paris", "City of Light"]})
with midway.Verifier(workers=1, cpu_seconds=2) as verifier:
    for verdict in verifier.verify_batch((question, text) for text in ("Answer: paris", "Answer: London")):
        print(verdict.judgement, verdict.reason)
