#!/usr/bin/env bash
# Called by `make demo`; the first argument is data of one's own or nothing, the second a folder for
# the results. Without data: a simulated pump wears out, and nearfar hears it. With data: fit
# System 4, evaluate and score the test clips, write a report.
set -euo pipefail
data=$1 out=$2
nearfar=.venv/bin/nearfar

show() {
  echo
  echo "\$ nearfar$(printf ' %q' "$@")" # as it can be typed again, with blanks in names
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

made_by_demo() {
  echo "$out/detector was made by make demo, which may replace it" > "$out/demo"
}

# Ten days of a pump beside a noisy line: five to fit on; of the rest two are healthy, then its
# bearing wears. One in twenty healthy recordings may be above the threshold, and three of the last
# five make an alarm: by chance less than one a month, were recordings independent.
pump() {
  local recordings=$out/pump first
  show simulate "$recordings" --preset wear --seed 0
  show fit "$recordings/normal" --machine pump -s s4 --false-alarm-rate 0.05 -o "$out/detector" \
    "${written[@]}"
  made_by_demo
  show timeline "$out/detector" "$recordings/watched" --alarm 3/5 -o "$out/timeline.html" \
    --json "$out/timeline.json"
  echo
  .venv/bin/python -m tools.wear "$out/timeline.json" "$recordings"
  first=$(.venv/bin/python -m tools.wear --clip "$out/timeline.json")
  if [ -n "$first" ]; then
    show explain "$out/detector" "$first" -o "$out/first-alarm.html"
  fi
  echo
  echo "Open $out/timeline.html in a browser, and $out/first-alarm.html to hear what raised the alarm."
  echo "At its end the fault is plain to any ear:"
  echo "  $nearfar explain $out/detector $recordings/watched/20260311_230000.wav -o $out/last.html"
  echo "(recordings of your own: make demo DATA=folder)"
}

own() {
  local tests=()
  show fit "$data" -s s4 -o "$out/detector" "${written[@]}"
  made_by_demo
  mapfile -t tests < <(find -L "$data" -type d \( -name test -o -name source_test -o -name target_test \) | sort)
  if [ ${#tests[@]} -gt 0 ]; then
    show evaluate "$data" --detector "$out/detector" --json "$out/evaluation.json"
    show score "$out/detector" "${tests[@]}" --csv "$out/scores.csv" > "$out/scores.txt"
    # The command and its header, then the end: a screen is no place for all rows.
    head -n 3 "$out/scores.txt"
    echo "…"
    tail -n 10 "$out/scores.txt"
    rm "$out/scores.txt"
    show report "$out/detector" "$data" -o "$out/report.html"
  else
    echo
    echo "These recordings are what the detector calls normal now. Score new ones with"
    echo "  $nearfar score $out/detector FOLDER"
  fi
  echo
  echo "Written to $out/: $(ls "$out" | grep -vx demo | tr '\n' ' ')"
}

if [ -z "$data" ]; then pump; else own; fi
echo "nearfar itself is $nearfar; 'source .venv/bin/activate' puts it on your path."
