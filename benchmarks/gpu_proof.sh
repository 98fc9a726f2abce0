#!/usr/bin/env bash
# Checks, benches and runs Consort on a machine with a GPU, from this source tree, within ten minutes:
#
#     PARTS=study benchmarks/gpu_proof.sh DIR IMAGES.zip              studies/cifar10.toml: members, answer, report
#     PARTS="checks bench latency" benchmarks/gpu_proof.sh DIR2 IMAGES.zip    tests, rates and latencies, in ten minutes
#
# IMAGES.zip has CIFAR-10 as train/<class>/ and test/<class>/. Python with torch 2.11 or newer, torchvision and the usual
# scientific packages has to be there; what else is missing (pydantic, minio, ...) is installed from the wheels in
# $WHEELS (by default the folder wheels beside this source tree), since such machines are often cut off. DIR gets at most
# eight files: tables, results and logits (float16).
#
# $PARTS chooses among: smoke study checks bench latency small; they run in this order, and what time is left to none of is said.
# $END_SECONDS is when all has to be over, $ANSWER_SECONDS what a study keeps of that for its answer and report; $CHECKS are
# the tests. TINY=1 runs all of it within minutes without a GPU, on scikit-learn's digits and for an instant, to see that
# every part works: IMAGES.zip is "digits" then.
set -u
out=$(mkdir -p "$1" && cd "$1" && pwd)
images=$2
[[ ! -e $images ]] || images=$(realpath "$images")
tiny=${TINY:-}
ANSWER_SECONDS=${ANSWER_SECONDS:-150}
root=$(cd "$(dirname "$0")/.." && pwd)
parts=${PARTS:-study checks bench latency small}
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
failed=()

say() { echo; echo "== $* (at $((SECONDS - began)) s)"; }
wanted() { [[ " $parts " == *" $1 "* ]]; }
left() { echo $((${END_SECONDS:-590} - SECONDS + began)); }
least() { echo $(($1 < $2 ? $1 : $2)); }
limited() { timeout -s TERM -k 30 $(($1 > 1 ? $1 : 1)) "${@:2}"; }  # SECONDS COMMAND...: it may save what it has

begin() {  # PART SECONDS TITLE: whether it is wanted and has at least so many seconds
  wanted "$1" || return 1
  say "$3"
  (($(left) >= $2)) && return 0
  echo "no time is left for it: $(left) s, it needs $2"
  failed+=("$1 (no time)")
  return 1
}

ended() {  # PART CODE
  echo "$1 ended with $2"
  [[ $2 == 0 ]] || failed+=("$1 ($2)")
}

study_text() {  # NAME: the study's file; a tiny one where $TINY asks for it
  if [[ -n $tiny ]]; then
    sed -e "s/^name = \"quickstart\"/name = \"$1\"/" -e 's/^epochs = .*/epochs = 1/' studies/quickstart.toml
  else
    cat "studies/$1.toml"
  fi
}

# With the latencies of this machine; where those take too long, or fail, without those of its GPU.
answer() {  # NAME/RUN STORE
  limited $(($(left) - 65)) $python -m consort evaluate "$1" --store "$2" && return
  say "no answer in time; once more, without the GPU"
  CUDA_VISIBLE_DEVICES='' limited $(($(left) - 25)) $python -m consort evaluate "$1" --store "$2"
}

# Members first, and their logits kept as soon as they are trained, so that nothing that follows can lose them; then the
# answer and the report, for which time was kept.
run_study() {  # NAME SECONDS
  local name=$1 file="$work/$1.toml" store="$work/$1" start=$SECONDS members answered ref
  study_text "$name" > "$file"
  limited "$(least "$2" $(($(left) - ANSWER_SECONDS)))" \
    $python -m consort run "$file" --data "$images" --store "$store" --only members
  ended "$name: members" $?
  members=$((SECONDS - start))
  limited "$(least 60 $(($(left) - 30)))" $python benchmarks/pool_logits.py "$store" "$out/$name-logits.npz"
  ref=$name/$(basename "$(ls -d "$store/studies/$name"/*/ | tail -1)")
  say "the answer of $ref"
  start=$SECONDS
  answer "$ref" "$store" && limited $(($(left) - 5)) $python -m consort report "$ref" --store "$store"
  ended "$name: answer and report" $?
  answered=$((SECONDS - start))
  say "$name: members $members s, answer and report $answered s, together $((members + answered)) s"
  (cd "$store" && tar czf "$out/$name.tar.gz" "studies/$name" members/*/member.json)
  cat "$store/studies/$ref/table.md"
}

$python - <<'PYTHON'
import torch
print(torch.__version__, torch.version.cuda, torch.backends.cudnn.version(),
      torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU")
PYTHON
! command -v nvidia-smi > /dev/null ||
  nvidia-smi --query-gpu=name,driver_version,memory.used,memory.total --format=csv,noheader

if begin smoke 160 "studies/quickstart.toml, and the plan of studies/cifar10.toml"; then
  limited 70 $python -m consort run studies/quickstart.toml --store "$work/smoke"
  ended quickstart $?
  study_text cifar10 > "$work/cifar10.toml"
  limited 90 $python -m consort plan "$work/cifar10.toml" --data "$images" --store "$work/cifar10"
  ended plan $?
fi
if begin study $((ANSWER_SECONDS + 60)) "studies/cifar10.toml"; then
  run_study cifar10 "${STUDY_SECONDS:-600}"
fi
if begin checks 60 "tests on the GPU"; then
  [[ -z ${CHECKS:-} ]] && $python -c 'import xdist' 2> /dev/null && side_by_side="-n 6"
  [[ -z $tiny ]] || CHECKS=${CHECKS:-tests/integration/test_pack.py::test_a_pack_of_one_is_that_member}
  # shellcheck disable=SC2086  # names of tests, one a word
  limited "$(least "${CHECK_SECONDS:-240}" "$(left)")" \
    $python -m pytest -q -p no:cacheprovider -W default ${side_by_side:-} --durations=5 \
    ${CHECKS:-tests/integration/test_pack_on_gpu.py tests/integration/test_pack.py tests/integration/test_train.py \
      tests/integration/test_latency_on_gpu.py tests/unit/train/test_number_format.py} \
    > "$out/checks.txt" 2>&1
  ended checks $?
  tail -n "${CHECK_LINES:-25}" "$out/checks.txt"
fi
if begin bench 60 "throughput"; then
  seconds=$(least "${BENCH_SECONDS:-300}" "$(left)")
  limited "$seconds" $python benchmarks/gpu_throughput.py --limit $((seconds - 20)) ${tiny:+--smoke} \
    --output "$out/throughput.md" ${BENCH_OPTIONS:-}
  ended bench $?
fi
if begin latency 60 "latency: by replay, launched from Python, and four members at the same time"; then
  latency() {
    limited "$(least 40 "$(left)")" $python -m consort latency "$@" --input 32x32 --classes 10 --store "$work/latency"
    ended latency $?
  }
  latency wrn-16-1 wrn-16-4 wrn-16-8
  latency wrn-16-1 wrn-16-4 wrn-16-8 --runtime torch
  [[ -n $tiny ]] || latency wrn-16-1 wrn-16-1 wrn-16-1 wrn-16-1 --batch-size 1 --together
fi
if begin small $((ANSWER_SECONDS + 30)) studies/cifar10-small.toml; then
  run_study cifar10-small "${SMALL_SECONDS:-120}"
fi
say "end; $((${#failed[@]})) parts failed: ${failed[*]:-none}"
ls -l "$out"
rm -rf "$work"
exit $((${#failed[@]} > 0))
