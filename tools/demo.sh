#!/usr/bin/env bash
# Fit System 4 on a data set, evaluate and score its test clips, say what was written.
# Called by `make demo`; the first argument is the data, the second a folder for the results.
set -euo pipefail
data=$1 out=$2
nearfar=.venv/bin/nearfar
mkdir -p "$out"
rm -f "$out/evaluation.json" "$out/scores.csv"

show() {
  echo
  echo "\$ nearfar $*"
  "$nearfar" "$@"
}

if [ -z "$data" ]; then
  data=$out/recordings
  show simulate "$data" --preset mini --seed 0
  echo "(recordings of your own: make demo DATA=folder)"
fi
show fit "$data" -s s4 -o "$out/detector"
mapfile -t tests < <(find -L "$data" -type d \( -name test -o -name source_test -o -name target_test \) | sort)
if [ ${#tests[@]} -gt 0 ]; then
  show evaluate "$data" --detector "$out/detector" --json "$out/evaluation.json"
  show score "$out/detector" "${tests[@]}" --csv "$out/scores.csv" | tail -n 12
else
  echo
  echo "These recordings are what the detector calls normal now. Score new ones with"
  echo "  $nearfar score $out/detector FOLDER"
fi
echo
echo "Written to $out/: $(ls "$out" | tr '\n' ' ')"
echo "nearfar itself is $nearfar; 'source .venv/bin/activate' puts it on your path."
