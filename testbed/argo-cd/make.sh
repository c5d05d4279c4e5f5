#!/bin/sh
# make.sh FOLDER: builds argocd (all components in one program) into FOLDER and
# puts the module's scripts and manifests beside it. testbed/build.sh calls it.
set -eu

out=$1
cd "$(dirname "$0")"
module=github.com/argoproj/argo-cd/v3

go mod download "$module"
source=$(go list -m -f '{{.Dir}}' "$module")
version=$(go list -m -f '{{.Version}}' "$module")
# Without the version, `argocd version` says v99.99.99.
CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X $module/common.version=${version#v}" -o "$out/argocd" "$module/cmd"

# The repo-server calls them by name, git-verify-wrapper.sh for every revision;
# where one is missing, its error message does not say so.
mkdir -p "$out/scripts"
for script in git-verify-wrapper gpg-wrapper git-ask-pass; do
	cp --no-preserve=mode "$source/hack/$script.sh" "$out/scripts/$script.sh"
	chmod 755 "$out/scripts/$script.sh"
done
for folder in crds base/config base/application-controller-roles base/server cluster-rbac/application-controller cluster-rbac/server; do
	mkdir -p "$out/manifests/$folder"
	cp --no-preserve=mode "$source/manifests/$folder"/*.yaml "$out/manifests/$folder/"
done
cp kustomization.yaml namespace.yaml "$out/manifests/"
