#!/bin/sh
# make.sh FOLDER: builds helm into FOLDER. testbed/build.sh calls it.
set -eu

cd "$(dirname "$0")"
CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$1/helm" helm.sh/helm/v4/cmd/helm
