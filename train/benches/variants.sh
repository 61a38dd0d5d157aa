#!/usr/bin/env bash
# What a step of each preset costs beside Point-JEPA's, and what caching a teacher saves.
#
# The built-in set with 12 views a sample; every preset in turns, ROUNDS times, the small ones STEPS steps of 32 samples, the
# full-size ones a fifth of that of 8 samples; the median of all steps but the first quarter of a run, from metrics.jsonl.
# Threads: RAYON_NUM_THREADS, all cores if not set.
#
# Usage: variants.sh path/to/jepa3d
set -euo pipefail
jepa3d=$(realpath "$1")
rounds=${ROUNDS:-3}
steps=${STEPS:-60}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$(dirname "$0")/../.."

quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }; }
values() { grep -o "\"$2\":[0-9.]*" "$1/metrics.jsonl" | cut -d: -f2 | tail -n +"$(($3 / 4 + 1))"; }
median() { sort -g "$1" | awk '{x[NR] = $1} END {print x[int((NR + 1) / 2)]}'; }

# NAME-OF-SIZE BATCH STEPS PRESETS..
compare() {
	local size=$1 batch=$2 steps=$3 preset out round base ms
	shift 3
	for round in $(seq "$rounds"); do
		for preset in "$@"; do
			out="$work/$preset-$round"
			quietly "$jepa3d" pretrain "configs/pretrain/$preset.toml" --data "$work/data" --out "$out" \
				--set optim.batch="$batch" --set run.max_steps="$steps" --set monitor.probe_every=0 --set monitor.print_every=1000
			values "$out" step_ms "$steps" >>"$work/$preset.ms"
			values "$out" data_ms "$steps" >>"$work/$preset.data"
		done
	done
	base=$(median "$work/$1.ms")
	printf '%-26s %10s %16s %14s\n' "$size, batches of $batch" 'ms a step' "of $1" 'waits for data'
	for preset in "$@"; do
		ms=$(median "$work/$preset.ms")
		printf '%-26s %10.1f %16.2f %14.1f\n' "$preset" "$ms" "$(awk "BEGIN {print $ms / $base}")" "$(median "$work/$preset.data")"
	done
}

# PRESET BATCH: two views of every sample by the teacher at every step.
uncached() {
	awk "BEGIN {ms = $(median "$work/$1.ms"); live = ms + 2 * $2 * $each; printf \"$1 with hog at every step: %.1f ms, %.2f of the cached\n\", live, live / ms}"
}

quietly "$jepa3d" prepare configs/prepare/synthetic-views.toml --out "$work/data" --set dataset.count=128
begin=$(date +%s%N)
quietly "$jepa3d" teacher "$work/data" --teacher hog --threads 1
views=$(grep -oE '[0-9]+ views' "$work/log" | tail -n 1 | cut -d' ' -f1)
each=$(awk "BEGIN {print ($(date +%s%N) - $begin) / 1e6 / $views}")
compare 'CPU-sized' 32 "$steps" point-jepa-small point-jepa-region-small 3d-jepa-small 3d-jepa-l2-small cross-jepa-small cross-jepa-hybrid-small
compare 'full size' 8 $((steps / 5)) point-jepa point-jepa-region 3d-jepa 3d-jepa-l2 cross-jepa cross-jepa-hybrid
echo "hog: $each ms a view on one thread, over $views views"
uncached cross-jepa-small 32
uncached cross-jepa 8
