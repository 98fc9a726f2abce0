#!/usr/bin/env bash
# Build both images and load them into the lab's node: docker.io/consort/consort:lab and docker.io/consort/consort-torch:lab.
# Idempotent: what has not changed is neither built nor loaded again.
#   images/load-into-lab.sh [plain|torch ...]     both without arguments
# LAB names the lab's program (default: ../shared/lab/lab beside the repository).
set -euo pipefail
cd "$(dirname "$0")/.."
LAB=${LAB:-../shared/lab/lab}
[ -x "$LAB" ] || { echo "no lab at $LAB: set LAB to its program, or load images/Dockerfile's targets into your cluster" >&2; exit 1; }

name_of() { if [ "$1" = plain ]; then echo docker.io/consort/consort:lab; else echo docker.io/consort/consort-torch:lab; fi; }

load() {  # the target, under its name, through the lab's own verb, which builds a Dockerfile
    local name; name=$(name_of "$1")
    # Only PyPI is there: its torch is built for CUDA, and the image keeps of CUDA what torch links.
    buildah build --quiet --layers --network=host --isolation=chroot -f images/Dockerfile --target "$1" \
        --build-arg TORCH_INDEX_URL=https://pypi.org/simple --build-arg CUDA_LIBRARIES=linked -t "$name-built" . >/dev/null
    local context; context=$(mktemp -d)
    echo "FROM $name-built" > "$context/Dockerfile"
    "$LAB" image "$context" "$name"
    rm -r "$context"
}

[ $# -gt 0 ] || set -- plain torch
for target; do load "$target"; done
