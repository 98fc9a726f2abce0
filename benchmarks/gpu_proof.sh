#!/usr/bin/env bash
# Checks, benches and runs Consort on a machine with a GPU, from this source tree, within ten minutes:
#
#     benchmarks/gpu_proof.sh DIR IMAGES.zip
#
# IMAGES.zip has CIFAR-10 as train/<class>/ and test/<class>/. Python with torch 2.11 or newer, torchvision and the usual
# scientific packages has to be there; what else is missing (pydantic, minio, ...) is installed from the wheels in
# $WHEELS (by default the folder wheels beside this source tree), since such machines are often cut off. DIR gets at most
# eight files: tables, results and logits (float16). $PARTS chooses among: smoke checks bench study small; $END_SECONDS is
# when all has to be over; COMPILE=1 compiles the studies' networks; $CHECKS are the tests.
set -u
out=$(mkdir -p "$1" && cd "$1" && pwd)
images=$(realpath "$2")
EVALUATE_SECONDS=${EVALUATE_SECONDS:-60}  # kept for the evaluation of a study that has to be stopped
root=$(cd "$(dirname "$0")/.." && pwd)
parts=${PARTS:-checks bench study small}
wheels=${WHEELS:-$root/../wheels}
work=$(mktemp -d)
python=${PYTHON:-python3}
cd "$root" || exit 1
exec > >(tee "$out/log.txt") 2>&1
if compgen -G "$wheels/*.whl" > /dev/null; then
  $python -m pip install -q --no-index --no-deps --no-compile --target "$work/site" "$wheels"/*.whl || exit 1
fi
export PYTHONPATH="$root/src:$root:$work/site" PYTHONUNBUFFERED=1 CONSORT_CACHE="$work/cache"
began=$SECONDS

say() { echo; echo "== $* (at $((SECONDS - began)) s)"; }
wanted() { [[ " $parts " == *" $1 "* ]]; }
limited() { timeout -s TERM -k 15 "$@"; }  # SECONDS COMMAND...: it may save what it has
left() { echo $((${END_SECONDS:-600} - SECONDS + began)); }
least() { echo $(($1 < $2 ? $1 : $2)); }
before() {  # SECONDS COMMAND...: it is stopped so long before the end
  local seconds=$(($(left) - $1))
  limited $((seconds > 5 ? seconds : 5)) "${@:2}"
}

to_compile() {  # FILE: the study, with compilation where $COMPILE asks for it
  cat "$1"
  [[ -z ${COMPILE:-} ]] || printf '\n[run]\ncompile = true\n'
}

# The logits are kept as soon as members are trained, and of each study by itself: nothing that follows can lose them.
run_study() {  # FILE SECONDS
  local file=$1 seconds=$2
  local name store code ref
  name=$(basename "$file" .toml)
  store="$work/$name"
  limited "$(least "$seconds" $(($(left) - EVALUATE_SECONDS)))" \
    $python -m consort run "$file" --data "$images" --store "$store"
  code=$?
  say "$name ended with $code"
  before 30 $python benchmarks/pool_logits.py "$store" "$out/$name-logits.npz"
  ref=$name/$(basename "$(ls -d "$store/studies/$name"/*/ | tail -1)")
  if [[ $code != 0 ]]; then  # of the members that are done
    say "what is there of $ref"
    before 20 $python -m consort evaluate "$ref" --store "$store"
    before 5 $python -m consort report "$ref" --store "$store"
  fi
  (cd "$store" && tar czf "$out/$name.tar.gz" "studies/$name" members/*/member.json)
  cat "$store/studies/$ref/table.md"
}

$python - <<'PYTHON'
import torch
print(torch.__version__, torch.version.cuda, torch.backends.cudnn.version(),
      torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU")
PYTHON
nvidia-smi --query-gpu=name,driver_version,memory.used,memory.total --format=csv,noheader

if wanted smoke; then
  say "studies/quickstart.toml, and the plan of studies/cifar10.toml"
  limited 70 $python -m consort run studies/quickstart.toml --store "$work/smoke"
  echo "ended with $?"
  limited 60 $python -m consort plan studies/cifar10.toml --data "$images" --store "$work/cifar10"
  echo "ended with $?"
fi
if wanted checks; then
  say "tests on the GPU"
  [[ -z ${CHECKS:-} ]] && $python -c 'import xdist' 2> /dev/null && side_by_side="-n 6"
  # shellcheck disable=SC2086  # names of tests, one a word
  limited "${CHECK_SECONDS:-150}" $python -m pytest -q -p no:cacheprovider -W default ${side_by_side:-} --durations=5 \
    ${CHECKS:-tests/integration/test_pack_on_gpu.py tests/integration/test_pack.py tests/integration/test_train.py} \
    > "$out/checks.txt" 2>&1
  echo "ended with $?"
  tail -n "${CHECK_LINES:-25}" "$out/checks.txt"
fi
if wanted bench; then
  say "throughput"
  limited "${BENCH_SECONDS:-150}" $python benchmarks/gpu_throughput.py --limit "$((${BENCH_SECONDS:-150} - 20))" \
    --output "$out/throughput.md" ${BENCH_OPTIONS:-}
fi
if wanted study; then
  say "studies/cifar10.toml"
  to_compile studies/cifar10.toml > "$work/cifar10.toml"
  run_study "$work/cifar10.toml" "${STUDY_SECONDS:-420}"
fi
if wanted small; then
  say "studies/cifar10-small.toml with three wrn-16-4"
  to_compile studies/cifar10-small.toml | sed 's/^"wrn-16-4" = 1$/"wrn-16-4" = 3/' > "$work/cifar10-small.toml"
  if (($(left) > EVALUATE_SECONDS + 30)); then
    run_study "$work/cifar10-small.toml" "${SMALL_SECONDS:-120}"
  else
    echo "no time is left for it"
  fi
fi
say "end"
ls -l "$out"
rm -rf "$work"
