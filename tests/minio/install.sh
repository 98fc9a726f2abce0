#!/bin/sh
# Builds the MinIO server that the tests of the S3 store run against. Needs Go 1.21 or later (which fetches the version
# that MinIO asks for) and a Go module proxy; the first time it takes minutes, then nothing.
# The commit in the version fixes every dependency too: Go takes them from that commit's own go.mod.
set -eu

version=v0.0.0-20260212201848-7aac2a2c5b7c
folder=${XDG_CACHE_HOME:-$HOME/.cache}/consort/bin
program=$folder/minio

if ! command -v go >/dev/null; then
    echo "tests/minio/install.sh: needs Go (https://go.dev/dl, or apt-get install golang-go)" >&2
    exit 1
fi
if [ -x "$program" ] && go version -m "$program" | grep -q "github.com/minio/minio[[:space:]]$version"; then
    echo "minio $version is at $program"
    exit 0
fi

mkdir -p "$folder"
building=$(mktemp -d "$folder/building.XXXXXX")
trap 'rm -rf "$building"' EXIT
trap 'exit 143' INT TERM
echo "building minio $version into $program (minutes the first time)"
for attempt in 1 2 3; do
    # A slow or busy proxy is asked again; what was fetched and compiled before is kept in Go's caches.
    if env -u GOOS -u GOARCH GOBIN="$building" go install -ldflags="-s -w" "github.com/minio/minio@$version" \
        >"$building/log" 2>&1; then
        # Renamed into place, so that a program that runs or is being looked for is never half of one.
        mv -f "$building/minio" "$program"
        exit 0
    fi
    [ "$attempt" = 3 ] || sleep 5
done
tail -n 20 "$building/log" >&2
exit 1
