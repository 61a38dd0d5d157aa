#!/bin/sh
# Runs libFuzzer on every target for the given number of seconds: fuzz/run.sh [SECONDS [TARGET...]]
# A crash, a leak, an input slower than 10 s or one allocation above 1 GB ends the run with an error.
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- $(cd fuzz_targets && ls *.rs | sed 's/\.rs$//')
for target; do
    mkdir -p "found/$target"
    cargo +nightly fuzz run --fuzz-dir . "$target" "found/$target" "corpus/$target" -- \
        -max_total_time="$seconds" -timeout=10 -malloc_limit_mb=1024 -rss_limit_mb=3072 -max_len=65536 -print_final_stats=1
done
