#!/usr/bin/env bash
# Checks, benches and runs Consort on a machine with a GPU, from this source tree, within ten minutes:
#
#     benchmarks/gpu_proof.sh DIR IMAGES.zip
#
# IMAGES.zip has CIFAR-10 as train/<class>/ and test/<class>/. Python with torch 2.11 or newer, torchvision and the usual
# scientific packages has to be there; what else is missing (pydantic, minio, ...) is installed from the wheels in
# $WHEELS (by default the folder wheels beside this source tree), since such machines are often cut off. DIR gets at most
# eight files: tables, results and logits (float16). $PARTS chooses among: smoke checks bench study small;
# COMPILE=1 compiles the studies' networks.
set -u
out=$(mkdir -p "$1" && cd "$1" && pwd)
images=$(realpath "$2")
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
limited() { timeout -s TERM -k 30 "$@"; }  # SECONDS COMMAND...: it may save what it has

# The tables, the report and every member's record of a run, and its members' logits.
keep() {
  local name=$1 store=$2
  local run
  run=$(ls -d "$store/studies/$name"/*/ | tail -1)
  cat "$run/table.md"
  (cd "$store" && tar czf "$out/$name.tar.gz" "studies/$name" members/*/member.json)
  $python benchmarks/pool_logits.py "$store" "$out/$name-logits.npz"
}

to_compile() {  # FILE: the study, with compilation where $COMPILE asks for it
  cat "$1"
  [[ -z ${COMPILE:-} ]] || printf '\n[run]\ncompile = true\n'
}

run_study() {  # NAME FILE SECONDS
  local name=$1 file=$2 store="$work/$1"
  limited "$3" $python -m consort run "$file" --data "$images" --store "$store"
  local code=$?
  say "$name ended with $code"
  if [[ $code != 0 ]]; then  # of the members that are done
    limited 60 $python -m consort evaluate "$file" --data "$images" --store "$store"
    limited 30 $python -m consort report "$file" --data "$images" --store "$store"
  fi
  keep "$name" "$store"
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
  $python -c 'import xdist' 2> /dev/null && side_by_side="-n 6"
  limited "${CHECK_SECONDS:-150}" $python -m pytest -q -p no:cacheprovider -W default ${side_by_side:-} --durations=5 \
    -m "${CHECKS:-cuda or not cuda}" tests/integration/test_pack_on_gpu.py tests/integration/test_pack.py \
    tests/integration/test_train.py > "$out/checks.txt" 2>&1
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
  run_study cifar10 "$work/cifar10.toml" "${STUDY_SECONDS:-420}"
fi
if wanted small; then
  say "studies/cifar10-small.toml with three wrn-16-4"
  to_compile studies/cifar10-small.toml | sed 's/^"wrn-16-4" = 1$/"wrn-16-4" = 3/' > "$work/cifar10-small.toml"
  run_study cifar10-small "$work/cifar10-small.toml" "${SMALL_SECONDS:-120}"
fi
say "end"
ls -l "$out"
rm -rf "$work"
