#!/bin/sh
# Renders the chart with its own values into manifests.yaml, for those who apply plain files. A test compares the two.
#
#   render.sh [FILE]      default: manifests.yaml beside this script; HELM names another helm than the one on the path
set -eu
here=$(cd "$(dirname "$0")" && pwd)
file=${1:-$here/manifests.yaml}
{
	echo "# Rendered from chart/ by render.sh: change that, not this. kubectl apply -f manifests.yaml; docs/argo.md says what comes before."
	"${HELM:-helm}" template tenantry-argo "$here/chart"
} >"$file.new"
mv "$file.new" "$file"
