#!/bin/sh
# Installs the Python tools of the tests, pinned, in an environment of their own; a no-op once they are there.
# The last line printed is the environment's path, where tests/e2e/tests/operations/duckdb.rs looks for it.
set -eu

duckdb=2.0.0
venv="${HOME:?HOME is not set}/.cache/datapipe/venv"

if ! "$venv/bin/python" -c "import duckdb, sys; sys.exit(duckdb.__version__ != '$duckdb')" 2>/dev/null; then
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        echo "python-tools: Python 3 with venv is needed: apt-get install python3-venv" >&2
        exit 1
    fi
    mkdir -p "$(dirname "$venv")"
    # An interrupted earlier attempt is made anew.
    python3 -m venv --clear "$venv" >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "duckdb==$duckdb" >&2
fi
echo "$venv"
