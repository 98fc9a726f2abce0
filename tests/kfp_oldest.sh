#!/usr/bin/env bash
# Compile the pipeline with the oldest kfp that pyproject.toml allows, in a virtual environment of its own.
# PIP_ARGS are added to each pip install.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${PYTHON:=python3}"

oldest=$("$PYTHON" - <<'PYTHON'
import re, tomllib
(wanted,) = [d for d in tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["kfp"]
             if re.match(r"kfp[<>=]", d)]
print(re.search(r">=(\d+\.\d+)", wanted)[1])
PYTHON
)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$PYTHON" -m venv "$folder/venv"
# shellcheck disable=SC2086 # several arguments
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ${PIP_ARGS:-} "kfp==$oldest.*" "kfp-kubernetes==$oldest.*"
# Installing would build in the tree; compiling needs no more than the packages under their names.
mkdir "$folder/packages"
ln -s "$PWD/src/consort" "$folder/packages/consort"
ln -s "$PWD/components" "$folder/packages/consort_components"
ln -s "$PWD/pipelines" "$folder/packages/consort_pipelines"
PYTHONPATH="$folder/packages" "$folder/venv/bin/python" -m consort_pipelines.compile --output "$folder/out" >/dev/null
grep -q "image: docker.io/consort/consort" "$folder/out/train_ensembles.yaml"
grep "^sdkVersion: kfp-$oldest" "$folder/out/train_ensembles.yaml"
