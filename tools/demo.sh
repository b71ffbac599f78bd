#!/usr/bin/env bash
# Fit System 4 on a data set, score its test clips, print the table, say what was written.
# Called by `make demo`; the first argument is the data, the second a folder for the results.
set -euo pipefail
data=$1 out=$2
if [ -z "$data" ]; then
  echo "make demo needs recordings: make demo DATA=folder" >&2
  echo "(a DCASE Task 2 folder, or a folder of normal two-channel WAV or FLAC files)" >&2
  exit 2
fi
nearfar=.venv/bin/nearfar
mkdir -p "$out"
echo "\$ nearfar fit $data -s s4 -o $out/detector"
$nearfar fit "$data" -s s4 -o "$out/detector"
# A DCASE folder has labelled test clips; other recordings have nothing to be compared with.
if find -L "$data" -type d -name '*test' -print -quit | grep -q .; then
  echo
  echo "\$ nearfar evaluate $data --detector $out/detector --json $out/evaluation.json"
  $nearfar evaluate "$data" --detector "$out/detector" --json "$out/evaluation.json"
fi
echo
echo "\$ nearfar score $out/detector $data --csv $out/scores.csv"
$nearfar score "$out/detector" "$data" --csv "$out/scores.csv" | tail -n 12
echo
echo "Written to $out: $(ls "$out" | tr '\n' ' ')"
