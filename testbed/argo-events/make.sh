#!/bin/sh
# make.sh FOLDER: builds argo-events into FOLDER and puts the module's own
# manifests beside it. testbed/build.sh calls it.
set -eu

out=$1
cd "$(dirname "$0")"
module=github.com/argoproj/argo-events

go mod download "$module"
source=$(go list -m -f '{{.Dir}}' "$module")
version=$(go list -m -f '{{.Version}}' "$module")
CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X $module.version=$version" -o "$out/argo-events" "$module/cmd"
for folder in base cluster-install; do
	mkdir -p "$out/manifests"
	cp -R --no-preserve=mode "$source/manifests/$folder" "$out/manifests/"
done
cp kustomization.yaml namespace.yaml "$out/manifests/"
