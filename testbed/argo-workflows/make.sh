#!/bin/sh
# make.sh FOLDER: builds workflow-controller, argoexec and argo into FOLDER and
# puts the manifests beside them. testbed/build.sh calls it.
#
# The published module cannot be built as it is, so a copy of its sources is
# completed and built in its place:
#
# - Module archives hold no symbolic links, and upstream's signal_linux.go is
#   one, to signal_darwin.go. (`go build -overlay` is refused for a module.)
# - The command line embeds the built user interface, which is not in the
#   module. Nobody looks at it here; `argo get` and `argo logs` do not need it.
set -eu

out=$1
cd "$(dirname "$0")"
module=github.com/argoproj/argo-workflows/v3

go mod download "$module"
source=$(go list -m -f '{{.Dir}}' "$module")
version=$(go list -m -f '{{.Version}}' "$module")
work=$(mktemp -d "${TMPDIR:-/tmp}/tb-argo-workflows.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

copy=$work/source
mkdir "$copy"
(cd "$source" && find . \( -name '*.go' ! -name '*_test.go' -o -name go.mod \) -exec cp --parents --no-preserve=mode -t "$copy" {} +)
for place in workflow/executor/osspecific/signal_linux.go ui/dist/app/index.html; do
	# A release that brings them is to be built as it is.
	[ ! -e "$copy/$place" ] || { echo "make.sh: $module $version has $place: take out what makes it here" >&2; exit 1; }
done
cp "$copy/workflow/executor/osspecific/signal_darwin.go" "$copy/workflow/executor/osspecific/signal_linux.go"
mkdir -p "$copy/ui/dist/app"
echo 'The test bed has no user interface.' >"$copy/ui/dist/app/index.html"

cp go.mod "$work/build.mod"
cp go.sum "$work/build.sum"
go mod edit -replace "$module=$copy" "$work/build.mod"
# Without the version, user agents and `argo version` say v0.0.0.
for program in workflow-controller argoexec argo; do
	CGO_ENABLED=0 go build -modfile="$work/build.mod" -trimpath -buildvcs=false \
		-ldflags "-s -w -X $module.version=$version" -o "$out/$program" "$module/cmd/$program"
done
for folder in base/crds/minimal base/workflow-controller cluster-install-no-crds/workflow-controller-rbac; do
	mkdir -p "$out/manifests/$folder"
	cp --no-preserve=mode "$source/manifests/$folder"/*.yaml "$out/manifests/$folder/"
done
cp kustomization.yaml namespace.yaml "$out/manifests/"
