#!/usr/bin/env bash
# A real Slurm on this machine alone, for tests: munged, slurmctld and a few slurmd nodes that listen on loopback.
# Needs root (a container's is enough), no systemd and no cgroups. Debian or Ubuntu.
#
#   local.sh start DIR    install what is missing, write configs and state under DIR, wait until every node is idle
#   local.sh stop DIR     cancel what runs, end the daemons by their pids; the state in DIR stays for the next start
#   eval "$(local.sh env DIR)"    point sbatch, squeue, sinfo, scontrol, scancel at it
#
# Environment of `start`: NODES=2, CPUS=2 (of each node, whatever the machine has), PORT=26817 (PORT+1 to PORT+NODES are the nodes'), MAX_ARRAY=1001,
# KILL_WAIT=5 (SIGTERM to SIGKILL), NODE_TIMEOUT=20 (until a silent node is DOWN), EXTRA (more lines for slurm.conf).
# A fresh DIR/state is a fresh cluster. DIR must be short: socket names under it may have 107 characters.
set -euo pipefail

usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
die() { echo "local: $*" >&2; exit 1; }
[ $# -eq 2 ] || usage
mkdir -p "$2"
dir=$(cd "$2" && pwd)
conf=$dir/slurm.conf
in_uts=()
export SLURM_CONF=$conf

alive() { # alive NAME: is the daemon of DIR/NAME.pid ours and running?
  local pid
  pid=$(cat "$dir/$1.pid" 2>/dev/null) && [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$dir/"
}

end() { # end NAME: TERM, then KILL after 10 s, both by pid
  local pid
  alive "$1" || return 0
  pid=$(cat "$dir/$1.pid")
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 100); do alive "$1" || break; sleep 0.1; done
  if alive "$1"; then kill -9 "$pid" 2>/dev/null || true; fi
  rm -f "$dir/$1.pid"
}

install() {
  local missing=()
  command -v munged >/dev/null || missing+=(munge)
  command -v slurmctld >/dev/null || missing+=(slurmctld)
  command -v slurmd >/dev/null || missing+=(slurmd)
  command -v sbatch >/dev/null || missing+=(slurm-client)
  [ ${#missing[@]} -gt 0 ] || return 0
  # Without this, the packages start daemons of their own where something starts services.
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e $policy ]; then printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; made=1; fi
  apt-get update -qq || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "${missing[@]}" >"$dir/install.log" 2>&1 ||
    { tail -5 "$dir/install.log" >&2; die "apt-get could not install ${missing[*]}"; }
  [ -z "$made" ] || rm -f $policy
}

# Daemons listen where their host's name leads. If that is not loopback, they get a host name of their own.
host_of_daemons() {
  host=$(hostname -s)
  address=$(getent ahostsv4 "$host" | awk '{print $1; exit}' || true)
  case $address in 127.*) return 0 ;; esac
  unshare --uts true 2>/dev/null ||
    die "$host leads to ${address:-no address}, and a container without CAP_SYS_ADMIN cannot rename itself; put '127.0.0.1 $host' first in /etc/hosts"
  in_uts=(unshare --uts sh -c 'hostname localhost && exec "$@"' sh)
  host=localhost address=127.0.0.1
}

write_conf() {
  local nodes=${NODES:-2} cpus=${CPUS:-2} port=${PORT:-26817}
  {
    cat <<CONF
ClusterName=local
SlurmctldHost=$host($address)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$dir/munge.sock
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/%n.log
SlurmctldTimeout=20
SlurmdTimeout=${NODE_TIMEOUT:-20}
KillWait=${KILL_WAIT:-5}
MaxArraySize=${MAX_ARRAY:-1001}
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$dir/completed.txt
JobRequeue=1
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=5,bf_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
CONF
    for node in $(seq "$nodes"); do
      echo "NodeName=n$node NodeHostname=$host NodeAddr=$address Port=$((port + node)) CPUs=$cpus RealMemory=1000 State=UNKNOWN"
    done
    # Jobs in `urgent` take the place of those in `main`, which go back into the queue.
    echo "PartitionName=main Nodes=n[1-$nodes] Default=YES MaxTime=INFINITE State=UP PriorityTier=1"
    echo "PartitionName=urgent Nodes=n[1-$nodes] MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF"
    [ -z "${EXTRA:-}" ] || echo "$EXTRA"
  } >"$conf"
}

start() {
  [ "$(id -u)" = 0 ] || die "start needs root"
  [ ${#dir} -le 70 ] || die "$dir: the path is too long for sockets"
  install
  host_of_daemons
  alive slurmctld || write_conf
  mkdir -p "$dir/state"
  local node nodes
  if ! alive munged; then
    [ -s "$dir/munge.key" ] || (umask 077 && head -c 128 /dev/urandom >"$dir/munge.key")
    # --force: munged frowns on folders that others may write to, as most temporary ones are.
    munged --force --socket="$dir/munge.sock" --key-file="$dir/munge.key" --pid-file="$dir/munged.pid" \
      --log-file="$dir/munged.log" --seed-file="$dir/munged.seed" 2>"$dir/munged.err" || { cat "$dir/munged.err" >&2; die munged; }
  fi
  alive slurmctld || "${in_uts[@]}" slurmctld -f "$conf" || die "slurmctld: $(tail -3 "$dir/slurmctld.log" 2>/dev/null)"
  nodes=$(sed -n 's/^NodeName=\([^ ]*\).*/\1/p' "$conf")
  for node in $nodes; do
    mkdir -p "$dir/$node"
    alive "$node" || "${in_uts[@]}" slurmd -f "$conf" -N "$node" || die "slurmd $node: $(tail -3 "$dir/$node.log" 2>/dev/null)"
  done
  for _ in $(seq 300); do
    # A node that was DOWN or drained when it was last seen.
    sinfo -hN -o '%N %T' 2>/dev/null | awk '$2 ~ /^(down|drain)/ && !/\*/ {print $1}' | sort -u |
      while read -r node; do scontrol update nodename="$node" state=resume 2>/dev/null || true; done
    [ "$(sinfo -hN -p main -o %t 2>/dev/null | grep -cxE 'idle|mix|alloc|comp')" = "$(wc -w <<<"$nodes")" ] && return 0
    sleep 0.1
  done
  sinfo >&2 || true
  die "the nodes are not idle after 30 s; see $dir/*.log"
}

stop() {
  local node pid
  if alive slurmctld; then
    scancel --partition=main 2>/dev/null || true
    scancel --partition=urgent 2>/dev/null || true
    for _ in $(seq 50); do [ -n "$(squeue -h 2>/dev/null)" ] || break; sleep 0.2; done
  fi
  for node in $(sed -n 's/^NodeName=\([^ ]*\).*/\1/p' "$conf" 2>/dev/null); do end "$node"; done
  end slurmctld
  end munged
}

case $1 in
  start) start ;;
  stop) stop ;;
  env) echo "export SLURM_CONF=$conf" ;;
  *) usage ;;
esac
