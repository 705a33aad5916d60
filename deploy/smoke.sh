#!/bin/sh
# Calls a Tandem that is already up and holds one spoken turn: deploy/smoke.sh [URL]
# Needs the environment of make run or make test, or PYTHON naming one like it.
set -eu
cd "$(dirname "$0")/.."
exec "${PYTHON:-.venv/bin/python}" -m tests.deploy.call "$@"
