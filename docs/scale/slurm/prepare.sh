#!/usr/bin/env bash
# Prepares a dataset by a Slurm array of JOBS jobs, then merges their shards in a job that waits for all of them.
#   prepare.sh JOBS CONFIG --data RAW --out DIR [settings of jepa3d prepare]
# JOBS is free: the jobs share the plan, whatever its number of shards. RAW and DIR are on a disk that all nodes see.
# SBATCH_PARTITION, SBATCH_ACCOUNT and the like go to sbatch as they are. Prints the numbers of both jobs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
jobs=$1
shift
array=$(sbatch --parsable --array="0-$((jobs - 1))" "$here/tasks.sbatch" "$jobs" "$@")
merge=$(sbatch --parsable --dependency="afterok:$array" --kill-on-invalid-dep=yes "$here/finalize.sbatch" "$@")
echo "array $array, then $merge"
