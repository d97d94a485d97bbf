#!/bin/bash
# Slurm 22.05.8: `scontrol requeue "$SLURM_JOB_ID"` puts one task of an array back into the queue, or, from its last task, all of them.
#
# A job that is about to be stopped puts itself back with that line, and in an array each task has a SLURM_JOB_ID of its own. But the
# last task's is the array's id, and a requeue of that id takes every task with it: whatever the others were at is killed and starts
# again. The line works in every test with one job, and in all tasks but one. "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" means the task.
#
# Debian 12's packages are unpacked into a temporary folder and run there on loopback. It needs root (a container's is enough), for a
# host name of its own.
set -euo pipefail
[ "$(hostname)" = localhost ] || exec unshare --uts bash -c 'hostname localhost && exec bash "$0"' "$0"
dir=$(mktemp -d)
daemons=()
end() {
  scancel --user="$(id -u)" 2>/dev/null && sleep 3 || true
  [ ${#daemons[@]} = 0 ] || kill "${daemons[@]}" 2>/dev/null || true
  wait
  rm -rf "$dir"
}
trap end EXIT
cd "$dir"
packages=(slurmctld slurmd slurm-client slurm-wlm-basic-plugins)
apt-get download -qq "${packages[@]/%/=22.05.8-4+deb12u3}" libhwloc15=2.9.0-1 libnuma1=2.0.16-1
for package in *.deb; do dpkg-deb --extract "$package" root; done
export PATH="$dir/root/usr/bin:$dir/root/usr/sbin:$PATH" SLURM_CONF="$dir/slurm.conf"
export LD_LIBRARY_PATH="$dir/root/usr/lib/x86_64-linux-gnu/slurm-wlm:$dir/root/usr/lib/x86_64-linux-gnu"
mkdir state node
cat >slurm.conf <<CONF
ClusterName=finding
SlurmctldHost=localhost
SlurmctldPort=27217
SlurmUser=root
AuthType=auth/none
CredType=cred/none
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
PluginDir=$dir/root/usr/lib/x86_64-linux-gnu/slurm-wlm
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/node
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SchedulerParameters=batch_sched_delay=0,sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
KillWait=2
NodeName=n1 NodeHostname=localhost Port=27218 CPUs=4 RealMemory=500
PartitionName=main Nodes=n1 Default=YES
CONF
slurmctld-wlm -D &>controller.log &
daemons+=($!)
slurmd-wlm -D -N n1 -d "$dir/root/usr/sbin/slurmstepd-wlm" &>node.log &
daemons+=($!)
for _ in $(seq 60); do sinfo --noheader --format=%t 2>/dev/null | grep -qx idle && break || sleep 0.5; done
sinfo --version

cat >job.sh <<'JOB'
#!/bin/bash
echo "$SLURM_ARRAY_TASK_ID $([ "$SLURM_JOB_ID" = "$SLURM_ARRAY_JOB_ID" ] && echo "the array's" || echo its own)" >>ids
[ "$SLURM_ARRAY_TASK_ID" != "$REQUEUES" ] || { sleep 3 && scontrol requeue "$SLURM_JOB_ID"; }
sleep 60
JOB
found=
for task in 0 1 2; do
  : >ids
  job=$(REQUEUES=$task sbatch --parsable --array=0-2 --output=/dev/null job.sh)
  for _ in $(seq 60); do squeue --noheader --states=PENDING --format=%r | grep -q BeginTime && break || sleep 0.5; done
  sleep 2
  # Back in the queue: waiting until they may begin again.
  back=$(squeue --noheader --array --job="$job" --states=PENDING --format=%K | sort | xargs)
  echo "task $task requeues SLURM_JOB_ID, which is $(sed -n "s/^$task //p" ids) id; back in the queue: $back"
  found="$found[$back]"
  scancel "$job"
  sleep 3
done
[ "$found" = "[0][1][0 1 2]" ] || { echo "the behaviour has changed: $found"; exit 1; }
# Seen on 2026-11-28:
#   task 0 requeues SLURM_JOB_ID, which is its own id; back in the queue: 0
#   task 1 requeues SLURM_JOB_ID, which is its own id; back in the queue: 1
#   task 2 requeues SLURM_JOB_ID, which is the array's id; back in the queue: 0 1 2
