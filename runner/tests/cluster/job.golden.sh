#!/bin/sh
# The sweep s: 6 cells in 3 tasks, by secateur VERSION. Task 3 once more, by hand:
#   sbatch --array=3 /HERE/runs/s/slurm/1/job.sh
#SBATCH --job-name=s
#SBATCH --chdir=/HERE
#SBATCH --output=/HERE/runs/s/slurm/1/logs/%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --cpus-per-task=2
#SBATCH --partition=main
#SBATCH -A "my account"

# The plan is frozen: neither variables nor files of configs change it any more. The first argument counts the tasks of
# arrays before this one. With `exec`, signals reach the program, which leaves checkpoints and requeues its own task.
exec /HERE/runs/s/slurm/secateur-BUILD sweep --plan /HERE/runs/s/slurm/1/plan.toml \
  --task "$((${1:-0} + SLURM_ARRAY_TASK_ID))/3" --requeue --jobs 2
