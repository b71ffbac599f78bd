#!/usr/bin/env bash
# Fit System 4 on a data set, evaluate and score its test clips, say what was written.
# Called by `make demo`; the first argument is the data, the second a folder for the results.
set -euo pipefail
data=$1 out=$2
nearfar=.venv/bin/nearfar

show() {
  echo
  echo "\$ nearfar $*"
  "$nearfar" "$@"
}

# Of each DATA its own folder: a detector of other machines is none that a fit may replace.
if [ -n "$data" ]; then
  out=$out/$(basename "$(realpath "$data")")-$(realpath "$data" | cksum | cut -d ' ' -f 1)
fi
mkdir -p "$out"
# What `demo` lists was written by this script, and may be written anew; nothing else may.
written=()
if [ -f "$out/demo" ]; then
  written=(--replace)
  rm -f "$out/evaluation.json" "$out/scores.csv"
fi

if [ -z "$data" ]; then
  data=$out/recordings
  show simulate "$data" --preset mini --seed 0
  echo "(recordings of your own: make demo DATA=folder)"
fi
show fit "$data" -s s4 -o "$out/detector" "${written[@]}"
echo "$out/detector was made by make demo, which may replace it" > "$out/demo"
mapfile -t tests < <(find -L "$data" -type d \( -name test -o -name source_test -o -name target_test \) | sort)
if [ ${#tests[@]} -gt 0 ]; then
  show evaluate "$data" --detector "$out/detector" --json "$out/evaluation.json"
  show score "$out/detector" "${tests[@]}" --csv "$out/scores.csv" > "$out/scores.txt"
  # The command and its header, then the end: a screen is no place for all rows.
  head -n 3 "$out/scores.txt"
  echo "…"
  tail -n 10 "$out/scores.txt"
  rm "$out/scores.txt"
else
  echo
  echo "These recordings are what the detector calls normal now. Score new ones with"
  echo "  $nearfar score $out/detector FOLDER"
fi
echo
echo "Written to $out/: $(ls "$out" | grep -vx demo | tr '\n' ' ')"
echo "nearfar itself is $nearfar; 'source .venv/bin/activate' puts it on your path."
