#!/usr/bin/env bash
# The smoke preset through a real Slurm: installs one of one node, runs the workflow with profiles/slurm, checks that
# every step went through Slurm, kills running jobs, and shows that the rerun gives what an undisturbed run gives.
#
#   tests/cluster/run_slurm.sh [--short] [--reference DIR] [--keep-packages]
#
#   --short          three figures instead of the whole preset
#   --reference DIR  a finished run of the smoke preset to compare all results with; without it, what the disturbed
#                    training leads to and a figure or table of each other document are made here, without Slurm
#   --keep-packages  leave the packages of Slurm installed
#
# Uses the environment on PATH if snakemake, its plugin for Slurm and denoiser-priors are in it, else makes one. Exit
# status 77, with one message, where Slurm cannot be installed. Leaves the machine as it was.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)

short="" reference="" keep_packages=""
while [ $# -gt 0 ]; do
  case $1 in
    --short) short=yes ;;
    --keep-packages) keep_packages=yes ;;
    --reference)
      reference=$(cd "${2:?--reference needs a folder}" && pwd)
      shift
      ;;
    *)
      sed -n 's/^# \{0,1\}//; 2,14p' "$0" >&2
      exit 2
      ;;
  esac
  shift
done

start=$SECONDS
say() { printf '\n=== %s (%d s)\n' "$1" $((SECONDS - start)); }
fail() {
  echo "error: $1" >&2
  exit 1
}

work=$(mktemp -d)
cores=$(env -u OMP_NUM_THREADS nproc)
# shellcheck source=tests/cluster/slurm.sh
. "$root/tests/cluster/slurm.sh"
workflow=""
finish() {
  local status=$?
  trap - EXIT
  if [ -n "$workflow" ]; then
    kill -9 -- "-$workflow" 2> /dev/null || true
    wait "$workflow" 2> /dev/null || true
  fi
  slurm_remove
  if [ "$status" -gt 0 ] && [ "$status" != 77 ]; then
    tail -n 60 "$work"/*.log 2> /dev/null | tail -n 200 >&2 || true
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

say "Slurm: packages"
slurm_install

say "environment"
# The code of this checkout, whatever the environment has installed.
export PYTHONPATH="$root/src${PYTHONPATH:+:$PYTHONPATH}"
if ! { command -v snakemake && command -v denoiser-priors && python -c "import snakemake_executor_plugin_slurm"; } \
  > /dev/null 2>&1; then
  python3 -m venv "$work/venv"
  export PATH="$work/venv/bin:$PATH"
  # uv unpacks on all cores and compiles nothing that is not used: a third of the time that pip takes. Python compiles
  # what is used at its first import, and keeps it unless it is told not to: then every start of torch would take twice
  # its time.
  unset PYTHONDONTWRITEBYTECODE
  pip install --quiet uv || true
  uv pip install --quiet --no-cache --python "$work/venv/bin/python" -e "$root[slurm]" || pip install --quiet -e "$root[slurm]"
fi
command -v snakemake denoiser-priors

say "Slurm: start"
slurm_start
sinfo --Node --long

# What goes through Slurm, which training is disturbed there, and what is made without Slurm to compare with. Little
# waits for that training, and is in no job with others, so that most is done before the workflow has to be started again.
targets=() disturbed=dncnn-cnn-blur waiting=(compute_bias_free_restoration=waiting bias_free_figure_20=waiting)
undisturbed=(bias_free_figure_20 implicit_prior_figure_10 stochastic_denoising_figure_07 mean_shift_table_4
  history_figure_diffusion)
if [ -n "$short" ]; then
  targets=(bias_free_figure_02 implicit_prior_figure_10 implicit_prior_figure_11)
  disturbed=dncnn-bf-0to55 waiting=() undisturbed=("${targets[@]}")
fi
smoke=(--configfile tests/config/smoke.yaml)
# Results of a GPU would not be those of the other run.
export DENOISER_PRIORS_DEVICE=cpu
if [ -z "${DENOISER_PRIORS_MIRROR:-}" ] && [ -d "$root/../shared/mirror" ]; then
  DENOISER_PRIORS_MIRROR=$(cd "$root/../shared/mirror" && pwd)
  export DENOISER_PRIORS_MIRROR
fi

# A workflow in the background, in a process group of its own: whatever ends this script ends all of that, too.
begin() {
  local log=$work/$1.log
  shift
  set -m
  "$@" > "$log" 2>&1 < /dev/null &
  set +m
  workflow=$!
  echo "$workflow" > "$work/workflow"
}
ended() {
  local status=0
  wait "$workflow" || status=$?
  workflow=""
  return "$status"
}

copy() {
  mkdir -p "$1"
  git -C "$root" archive HEAD | tar -x -C "$1"
}

if [ -z "$reference" ]; then
  say "an undisturbed run, without Slurm: ${undisturbed[*]}"
  reference=$work/undisturbed
  copy "$reference"
  cd "$reference"
  begin undisturbed snakemake "${undisturbed[@]}" --cores "$cores" "${smoke[@]}"
  ended || fail "the undisturbed run has failed"
fi

# Rules whose steps take seconds in this preset, less than the Snakemake that a job for each would start.
computations() {
  snakemake --list-rules "${smoke[@]}" 2>&1 | sed -n 's/^\(compute_[a-z0-9_]*\|train_history_network\)$/\1=computations/p'
}

# The profile as it is, but for a node as small as this one and with computations in groups. Trainings ask for one of the
# node's two GPUs, which are none, so that this way of asking is seen to work.
through_slurm() {
  exec snakemake "${targets[@]}" --workflow-profile profiles/slurm --cores "$cores" \
    --slurm-init-seconds-before-status-checks 3 --set-resources train_denoiser:gpu=1 \
    --groups "${groups[@]}" --group-components figures=10 tables=5 evaluations=8 computations=6 "${smoke[@]}" "$@"
}

# The number of the job of the training to disturb, once its step is running, as that step itself has written down.
running_training() {
  local job
  while kill -0 "$workflow" 2> /dev/null; do
    for job in $(squeue --noheader --states=R --format "%i %k" | grep " rule_train_denoiser_.*_$disturbed *\$" \
      | cut -d " " -f 1); do
      if grep -q "\"job\": \"$job\"" "$STEPS_RECORD"; then
        echo "$job"
        return
      fi
    done
    sleep 0.5
  done
  fail "the workflow has ended before the training of $disturbed was seen running"
}

# Slurm itself says how a job has ended.
recorded() {
  for _ in $(seq 60); do
    if grep -q "^JobId=$1 .*JobState=$2" "$record"; then return; fi
    sleep 0.5
  done
  fail "Slurm does not say of job $1: $2; $(grep "^JobId=$1 " "$record" || echo "it has no record of it")"
}

# Every step writes down from within which job of Slurm it was started, if any.
export STEPS_RECORD="$work/steps.jsonl"
touch "$STEPS_RECORD"
export PYTHONPATH="$root/tests/cluster/recorder:$PYTHONPATH"

run=$work/run
record=$work/slurm/jobs.txt
copy "$run"
cd "$run"
mapfile -t groups < <(computations)
[ ${#groups[@]} -gt 0 ] || fail "the workflow has no computations"
groups+=("${waiting[@]}")

say "through Slurm, one training cancelled, no second attempt"
begin first through_slurm --retries 0
job=$(running_training)
scancel "$job"
echo "job $job cancelled: $(scontrol show job "$job" | sed -n 's/.*Comment=//p')"
if ended; then fail "the workflow has not noticed that job $job was cancelled"; fi
recorded "$job" CANCELLED

say "again, one training killed, which the profile tries once more"
begin second through_slurm
job=$(running_training)
# shellcheck disable=SC2046
kill -9 $(scontrol listpids "$job" | awk 'NR > 1 && $1 > 0 { print $1 }')
echo "job $job killed: $(scontrol show job "$job" | sed -n 's/.*Comment=//p')"
ended || fail "the rerun has failed"
recorded "$job" FAILED

say "nothing is left to do"
begin third through_slurm
ended || fail "a run with nothing to do has failed"
grep -q "Nothing to be done" "$work/third.log" || fail "the run was not complete"

say "every step went through Slurm"
python "$root/tests/cluster/evidence.py" through-slurm "$run" "$record" "$work/steps.jsonl" \
  || fail "not every step went through Slurm"
asked=$(scontrol show jobs --oneliner | grep "Comment=rule_train_denoiser" | grep -c "TresPerJob=gres:gpu:1" || true)
trained=$(find results/denoisers -name weights.safetensors | wc -l)
echo "$trained networks trained, $asked jobs were given a GPU"
[ "$asked" -ge "$trained" ] || fail "trainings did not ask Slurm for a GPU"
# Every step of this preset has one thread, and the steps of a job run one after the other.
idle=$(scontrol show jobs --oneliner | grep "Comment=" | grep -vc "NumCPUs=1 " || true)
[ "$idle" = 0 ] || fail "$idle jobs asked Slurm for more cores than their steps use"

say "the results are those of the undisturbed run"
if [ -n "$short" ]; then set -- "$run" "$reference"; else set -- "$reference" "$run"; fi
python "$root/tests/cluster/evidence.py" same "$@" || fail "the results differ"

say "done"
