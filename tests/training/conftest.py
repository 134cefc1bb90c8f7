"""Tests of training import their helpers from this folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several workers share few cores
sys.path.insert(0, str(Path(__file__).parent))
