"""Where questions and benchmarks come from: known sets, files and Hub sets of one's own, and the lab.

`load` gives the questions of a recipe's source, `shuffled` mixes the options of a multiple-choice question, `to_frame` and
`from_frame` store them. Importing this package imports neither torch nor datasets. What cannot be loaded raises QuestionError;
NotHere, which is one, where it merely cannot be had now.
"""

from midway.questions.base import KnownSet, NotHere, QuestionError
from midway.questions.known import KNOWN, catalogue, known_set
from midway.questions.load import Loaded, few_shot_examples, load, read, worked_solution
from midway.questions.table import from_frame, to_frame
from midway.records import shuffled

__all__ = [
    "KNOWN",
    "KnownSet",
    "Loaded",
    "NotHere",
    "QuestionError",
    "catalogue",
    "few_shot_examples",
    "from_frame",
    "known_set",
    "load",
    "read",
    "shuffled",
    "to_frame",
    "worked_solution",
]
