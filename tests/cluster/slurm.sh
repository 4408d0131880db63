# A Slurm of one node on this machine, from Debian's packages: sourced by run_slurm.sh.
#
# slurm_install   the packages, those that are missing; status 77 with one message where that is not possible. What a run
#                 that was killed has left behind is taken away before
# slurm_start     munged, slurmctld and slurmd, all files but slurm.conf in $work/slurm
# slurm_remove    stops them and takes away what the two have brought
#
# Uses $work, a folder, and $cores, the number of them that the node has. $work knows what there is to take away: ours lists
# the files outside of it, packages-before the packages that the machine had, workflow names the process group that was
# started in it.
#
# Snakemake starts the steps of a job with a cleaned environment, so slurm.conf has to be in its default place.

slurm_packages="munge slurm-client slurmctld slurmd"
slurm_config=/etc/slurm/slurm.conf
slurm_devices=/etc/slurm/gres.conf
slurm_daemons=()

cannot() {
  echo "cannot test Slurm here: $1" >&2
  exit 77
}

# Nothing runs when a script is killed with -9, or with its machine: then its Slurm is still there, and says whose it is.
slurm_take_away_what_was_left() {
  local owner left name pid
  [[ $(head -n 1 "$slurm_config") =~ ^"# of run_slurm.sh, process "([0-9]+)", in "(.+)$ ]] || return 0
  owner=${BASH_REMATCH[1]} left=${BASH_REMATCH[2]}
  if tr '\0' ' ' 2> /dev/null < "/proc/$owner/cmdline" | grep -q run_slurm.sh; then
    cannot "process $owner, a run of this script, has its Slurm on this machine; start this one when that has ended"
  fi
  echo "taking away the Slurm that process $owner, a run of this script that was killed, has left behind"
  if [ -e "$left/ours" ]; then
    # A number may be another process's by now: daemons have their names, the workflow works in that run's folder.
    for name in munged:munge/pid slurmctld:slurmctld.pid slurmd:slurmd.pid; do
      pid=$(cat "$left/slurm/${name#*:}" 2> /dev/null) || continue
      [ "$(cat "/proc/$pid/comm" 2> /dev/null)" != "${name%:*}" ] || slurm_daemons+=("$pid")
    done
    pid=$(cat "$left/workflow" 2> /dev/null) || pid=""
    if [ -n "$pid" ] && [[ $(readlink "/proc/$pid/cwd") == "$left"/* ]]; then kill -9 -- "-$pid" || true; fi
    work=$left slurm_remove
    rm -rf "$left"
  fi
  rm -f "$slurm_config" "$slurm_devices"
}

slurm_install() {
  [ "$(id -u)" = 0 ] || cannot "packages are installed and daemons started as root; run as root, or in a container"
  [ ! -e "$slurm_config" ] || slurm_take_away_what_was_left
  [ ! -e "$slurm_config" ] || cannot "$slurm_config is there, so this machine has a Slurm of its own, which is left alone"
  local missing="" package
  for package in $slurm_packages; do
    dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q "ok installed" || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  command -v apt-get > /dev/null || cannot "no apt-get; the packages$missing of Debian or Ubuntu are needed"
  # All of them or no list: what is not in it is purged.
  dpkg-query -W -f '${Package}\n' | sort > "$work/packages"
  mv "$work/packages" "$work/packages-before"
  # The packages must not start daemons of their own.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    echo /usr/sbin/policy-rc.d >> "$work/ours"
  fi
  local attempt
  for attempt in 1 2; do
    # shellcheck disable=SC2086
    if DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing > "$work/apt.log" 2>&1; then
      return 0
    fi
    [ "$attempt" = 2 ] || apt-get update > "$work/apt-update.log" 2>&1 || true
  done
  cannot "apt-get could not install$missing: $(grep '^E:' "$work/apt.log" | tail -1)"
}

slurm_start() {
  local home=$work/slurm name memory
  name=$(hostname -s)
  memory=$(awk '/^MemTotal/ {print int($2 / 1024 * 0.95)}' /proc/meminfo)
  mkdir -p "$home/state" "$home/spool" "$home/munge" "${slurm_config%/*}"
  chmod 755 "$work" "$home" "$home/munge"
  head -c 128 /dev/urandom > "$home/munge/key"
  chmod 600 "$home/munge/key"
  # Two devices that are none: enough to see that GPUs are asked for, granted, and kept apart.
  touch "$home/gpu0" "$home/gpu1"
  printf '%s\n' "$slurm_config" "$slurm_devices" >> "$work/ours"
  cat > "$slurm_config" << CONF
# of run_slurm.sh, process $$, in $work
ClusterName=denoiser-priors
SlurmctldHost=$name(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$home/munge/socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$home/jobs.txt
MpiDefault=none
ReturnToService=2
KillWait=5
MinJobAge=1200
StateSaveLocation=$home/state
SlurmdSpoolDir=$home/spool
SlurmctldPidFile=$home/slurmctld.pid
SlurmdPidFile=$home/slurmd.pid
SlurmctldLogFile=$home/slurmctld.log
SlurmdLogFile=$home/slurmd.log
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
NodeName=$name NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory Gres=gpu:2 State=UNKNOWN
PartitionName=test Nodes=$name Default=YES MaxTime=INFINITE State=UP
CONF
  printf 'AutoDetect=off\nName=gpu File=%s/gpu[0-1]\n' "$home" > "$slurm_devices"
  touch "$home/jobs.txt"
  chmod 644 "$slurm_config" "$slurm_devices" "$home/jobs.txt"

  slurm_daemon munged --foreground --force --key-file="$home/munge/key" --socket="$home/munge/socket" \
    --pid-file="$home/munge/pid" --log-file="$home/munge/log" --seed-file="$home/munge/seed"
  slurm_wait "munged" test -S "$home/munge/socket"
  slurm_daemon slurmctld -D
  slurm_wait "slurmctld" scontrol ping
  slurm_daemon slurmd -D -N "$name"
  slurm_wait "slurmd" sh -c "sinfo --noheader --format %t | grep -qx idle"
  timeout 180 srun --ntasks=1 true || slurm_failed "no job runs"
}

slurm_daemon() {
  local program
  program=$(command -v "$1" || echo "/usr/sbin/$1")
  shift
  "$program" "$@" > "$work/$(basename "$program").out" 2>&1 &
  slurm_daemons+=($!)
}

slurm_wait() {
  local what=$1 end=$((SECONDS + 180))
  shift
  until "$@" > /dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || slurm_failed "$what does not answer"
    sleep 0.5
  done
}

slurm_failed() {
  echo "error: Slurm does not start here: $1; the last lines of its logs:" >&2
  tail -n 5 "$work"/slurm/*.log "$work"/slurm/munge/log "$work"/*.out >&2 2> /dev/null || true
  exit 1
}

slurm_remove() {
  local pid index
  if [ -n "${slurm_daemons[*]-}" ]; then
    timeout 20 scancel --partition=test --signal=KILL 2> /dev/null || true
    timeout 20 scancel --partition=test 2> /dev/null || true
    # The last started first: slurmd still tells slurmctld how its jobs ended.
    for ((index = ${#slurm_daemons[@]} - 1; index >= 0; index--)); do
      pid=${slurm_daemons[$index]}
      kill "$pid" 2> /dev/null || true
      for _ in $(seq 20); do
        kill -0 "$pid" 2> /dev/null || break
        sleep 0.5
      done
      kill -9 "$pid" 2> /dev/null || true
      wait "$pid" 2> /dev/null || true
    done
    slurm_daemons=()
  fi
  if [ -e "$work/packages-before" ] && [ -z "${keep_packages:-}" ]; then
    dpkg-query -W -f '${Package}\n' | sort > "$work/packages-after"
    # shellcheck disable=SC2046
    DEBIAN_FRONTEND=noninteractive apt-get purge --yes \
      $(comm -13 "$work/packages-before" "$work/packages-after") > "$work/purge.log" 2>&1 || true
  fi
  [ ! -e "$work/ours" ] || xargs -d '\n' rm -f < "$work/ours"
  rmdir "${slurm_config%/*}" 2> /dev/null || true
}
