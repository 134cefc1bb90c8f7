"""What a stage may borrow: models, questions, prompts, engines, the verifier. Each piece has one job; `Workbench` holds them together."""

from midway.workbench.bench import Judge, Workbench
from midway.workbench.engines import Answer, Engines, Lease, Leases
from midway.workbench.models import Models, Weights, find_model
from midway.workbench.optional import Measurable, measurable
from midway.workbench.prompts import Prompts
from midway.workbench.questions import RL, TRAIN, QuestionSets, labelled_by

__all__ = [
    "RL",
    "TRAIN",
    "Answer",
    "Engines",
    "Judge",
    "Lease",
    "Leases",
    "Measurable",
    "Models",
    "Prompts",
    "QuestionSets",
    "Weights",
    "Workbench",
    "find_model",
    "labelled_by",
    "measurable",
]
