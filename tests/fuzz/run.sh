#!/bin/sh
# Builds every fuzz target and runs each for some seconds (default 60) from its corpus:
#   tests/fuzz/run.sh [seconds [target...]]
# What crashes, hangs or grows is left in build/fuzz/findings/<target>/; mend it, then commit the
# input to tests/fuzz/corpus/<target>/, where the ordinary tests replay it. Exit 1 if there was any.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target fuzz_all
[ $# -gt 0 ] || set -- $(cd tests/fuzz && ls ./*_target.cpp | sed 's|^\./||; s/_target\.cpp$//')
failed=0
for target in "$@"; do
  time=$seconds
  [ "$target" = message ] && time=$((seconds * 18)) # eighteen messages in one program
  found=build/fuzz/findings/$target
  grown=build/fuzz/corpus/$target
  mkdir -p "$found" "$grown" "tests/fuzz/corpus/$target"
  echo "== $target, $time s"
  log=$found/log
  if ! build/fuzz/bin/fuzz_"$target" -max_total_time="$time" -max_len=16384 -timeout=5 \
    -rss_limit_mb=1024 -malloc_limit_mb=256 -print_final_stats=1 -artifact_prefix="$found/" \
    "$grown" "tests/fuzz/corpus/$target" >"$log" 2>&1; then
    failed=1
    grep -E 'ERROR|SUMMARY|CHECK|Test unit written' "$log" || tail -5 "$log"
  fi
  grep -E 'stat::number_of_executed_units|stat::peak_rss_mb' "$log" || true
done
exit $failed
