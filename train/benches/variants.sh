#!/usr/bin/env bash
# What a step of each small preset costs beside Point-JEPA's, and what caching a teacher saves.
#
# The built-in set with 12 views a sample, batches of 32, every preset in turns, ROUNDS times STEPS steps; the median of all
# steps but the first ten of a run, from metrics.jsonl. Threads: RAYON_NUM_THREADS, all cores if not set.
#
# Usage: variants.sh path/to/jepa3d
set -euo pipefail
jepa3d=$1
rounds=${ROUNDS:-3}
steps=${STEPS:-60}
presets="point-jepa-small point-jepa-region-small 3d-jepa-small 3d-jepa-l2-small cross-jepa-small cross-jepa-hybrid-small"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$(dirname "$0")/../.."

"$jepa3d" prepare configs/prepare/synthetic-views.toml --out "$work/data" --set dataset.count=96 >"$work/log" 2>&1 ||
	{ cat "$work/log"; exit 1; }
begin=$(date +%s.%N)
RAYON_NUM_THREADS=1 "$jepa3d" teacher "$work/data" --teacher hog --threads 1 >"$work/teacher.log" 2>&1 ||
	{ cat "$work/teacher.log"; exit 1; }
seconds=$(echo "$(date +%s.%N) $begin" | awk '{print $1 - $2}')
views=$(grep -oE '[0-9]+ views' "$work/teacher.log" | tail -n 1 | cut -d' ' -f1)

for round in $(seq "$rounds"); do
	for preset in $presets; do
		out="$work/$preset-$round"
		"$jepa3d" pretrain "configs/pretrain/$preset.toml" --data "$work/data" --out "$out" --set run.max_steps="$steps" \
			--set monitor.probe_every=0 --set monitor.print_every=1000 >"$out.log" 2>&1 || { cat "$out.log"; exit 1; }
		grep -o '"step_ms":[0-9.]*' "$out/metrics.jsonl" | cut -d: -f2 | tail -n +11 >>"$work/$preset.ms"
		grep -o '"data_ms":[0-9.]*' "$out/metrics.jsonl" | cut -d: -f2 | tail -n +11 >>"$work/$preset.data"
	done
done

median() { sort -g "$1" | awk '{x[NR] = $1} END {print x[int((NR + 1) / 2)]}'; }
base=$(median "$work/point-jepa-small.ms")
printf '%-26s %10s %14s %10s\n' preset 'ms a step' 'of point-jepa' 'data ms'
for preset in $presets; do
	ms=$(median "$work/$preset.ms")
	printf '%-26s %10.1f %14.2f %10.1f\n' "$preset" "$ms" "$(echo "$ms $base" | awk '{print $1 / $2}')" "$(median "$work/$preset.data")"
done
each=$(echo "$seconds $views" | awk '{print 1000 * $1 / $2}')
cross=$(median "$work/cross-jepa-small.ms")
echo "hog: $views views in $seconds s on one thread, $each ms a view"
echo "$each $cross" | awk '{live = $2 + 64 * $1; printf "cross-jepa-small with hog at every step (64 views): %.1f ms, %.2f of the cached\n", live, live / $2}'
