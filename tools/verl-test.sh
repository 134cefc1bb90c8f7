#!/bin/sh
# Install verl (and midway, for the reward) in .venv-verl and let verl do what it does before its first worker and after its last.
# No GPU is needed. What is named besides verl is of its extra verl-core, which also asks for what needs CUDA. torch by exact version first: a range would take the newest build.
set -eu
cd "$(dirname "$0")/.."
VENV="${VENV_VERL:-.venv-verl}"
if ! "$VENV/bin/python" -c "import verl, midway, transfer_queue, cachetools" 2>/dev/null; then
    "${PYTHON:-python3}" -m venv "$VENV"
    "$VENV/bin/pip" install -q "${TORCH:-torch==2.13.0}"
    "$VENV/bin/pip" install -q "${TORCH:-torch==2.13.0}" "${MIDWAY_VERL:-verl==0.9.1}" \
        "TransferQueue>=0.1.10" cachetools msgspec pyzmq fastapi uvicorn -e .
fi
MIDWAY_VERL_PYTHON="$PWD/$VENV/bin/python" exec "${TEST_PYTHON:-.venv/bin/python}" -m pytest -q -p no:cacheprovider tests/training/test_verl_inside.py "$@"
