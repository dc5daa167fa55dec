#!/usr/bin/env bash
# A run as job arrays of Slurm: one job a model, then one a model, task and method, then the rest.
#
#     bash examples/slurm_array.sh demo /shared/runs/demo --time=04:00:00 --mem=8G --cpus-per-task=2
#
# What follows the run's folder are options of sbatch, the same for every job. All nodes see that folder, and file locks
# hold between them (on NFS from version 4 on). What is done is skipped, so after a failure the same command goes on.
set -euo pipefail
source=$1 run=$2
shift 2

# submit DEPENDENCY COMMANDS OPTIONS...: an array with a job for each line of the file COMMANDS
submit() {
    local after=$1 commands=$2
    shift 2
    sbatch --parsable ${after:+--dependency=afterok:$after} --array="1-$(wc -l < "$commands")" "$@" \
        --wrap "bash -c \"\$(sed -n \"\${SLURM_ARRAY_TASK_ID}p\" '$commands')\""
}

simbench simulate "$source" --out "$run"
for stage in train attribute; do
    simbench jobs "$run" $stage > "$run.$stage.txt"
done
echo "simbench run '$run/config.yaml' --out '$run'" > "$run.rest.txt"

trained=$(submit "" "$run.train.txt" --job-name=train "$@")
attributed=$(submit "$trained" "$run.attribute.txt" --job-name=attribute "$@")
submit "$attributed" "$run.rest.txt" --job-name=report "$@"
