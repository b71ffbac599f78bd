#!/usr/bin/env bash
# Install this package and what it needs into .venv, and show that something happens.
# Called by make: tools/install.sh WHAT-TO-EXPECT REQUIREMENT
set -euo pipefail
pip=(.venv/bin/pip install --disable-pip-version-check --constraint constraints.txt)
echo "Installing into .venv: $1"
if [ -t 1 ]; then
  "${pip[@]}" --editable "$2" # with pip's own bars
else
  "${pip[@]}" --progress-bar off --editable "$2" |
    { grep --line-buffered -E '^( *(Downloading|Using cached)|Processing|Installing|Successfully installed) ' || true; }
fi
