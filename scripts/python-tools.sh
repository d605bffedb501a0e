#!/bin/sh
# Installs the Python tools of the tests, pinned, in an environment of their own; a no-op once they are there.
# The last line printed is the environment's path, where the tests look for it.
set -eu

duckdb=2.0.0
pyarrow=26.0.1
connect_py=1.0.0
connect_api=0.5.10
venv="${HOME:?HOME is not set}/.cache/datapipe/venv"

if ! "$venv/bin/python" -c "
import sys
from importlib.metadata import version
wanted = {'duckdb': '$duckdb', 'pyarrow': '$pyarrow', 'kafka-connect-py': '$connect_py', 'kafka-connect-api': '$connect_api'}
sys.exit(any(version(name) != wanted[name] for name in wanted))" 2>/dev/null; then
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        echo "python-tools: Python 3 with venv is needed: apt-get install python3-venv" >&2
        exit 1
    fi
    mkdir -p "$(dirname "$venv")"
    # An interrupted earlier attempt is made anew.
    python3 -m venv --clear "$venv" >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        "duckdb==$duckdb" "pyarrow==$pyarrow" \
        "kafka-connect-py==$connect_py" "kafka-connect-api==$connect_api" >&2
fi
echo "$venv"
