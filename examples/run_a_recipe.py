"""Run a recipe from Python and look at what it made. Type: python examples/run_a_recipe.py [RECIPE [DIRECTORY]]"""

import sys

import midway

recipe = sys.argv[1] if len(sys.argv) > 1 else "demo"
run = midway.run(recipe, out=sys.argv[2] if len(sys.argv) > 2 else None)

for difference in run.results.differences:
    d = difference.difference
    low, high = d.low if d.low is not None else float("nan"), d.high if d.high is not None else float("nan")
    print(
        f"{difference.benchmark}: treatment minus {difference.against}: {100 * d.value:+.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    )

arm = run.results.treatment
solutions = run.solutions(arm)
print(solutions.group_by("heuristic").len().sort("heuristic"))
samples = run.samples(run.benchmarks[0], arm)
print(samples.select("question_id", "judgement", "reason", "completion_tokens").head())
