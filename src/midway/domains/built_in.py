"""The domains that come with midway, as entry points name them."""

from midway.domains.choice import CHOICE
from midway.domains.code import CODE
from midway.domains.gym.domain import GYM
from midway.domains.math import MATH
from midway.domains.python import PYTHON
from midway.domains.text import TEXT

PARTS = (MATH, CODE, CHOICE, TEXT, PYTHON, GYM)
