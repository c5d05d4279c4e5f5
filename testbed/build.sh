#!/bin/sh
# Builds the test bed into testbed/bin: the programs kube, testbed, tb and
# pause, and the test images. What is up to date is not built again; with
# TESTBED_CACHE set, what was built before (also in another checkout) is copied.
#
#   build.sh            everything
#   build.sh driver     only the light programs (seconds)
#   build.sh kube       only Kubernetes (minutes)
#   build.sh images     only the test images
#   build.sh PART...    a part that not every test needs: argo-workflows, nats,
#                       argo-events, argo-cd, helm (minutes each); `testbed add` does
#                       it for those that run in a cluster
set -eu

here=$(cd "$(dirname "$0")" && pwd)
bin=$here/bin
cache=${TESTBED_CACHE:-}
mkdir -p "$bin"

# Kubernetes is compiled beside other work; it shall not take the processor
# from a person.
run() { nice -n 5 "$@"; }

say() { echo "build.sh: $*" >&2; }

need_go() {
	command -v go >/dev/null 2>&1 || {
		say "go is not installed; the go lines of testbed/*/go.mod name the version"
		exit 3
	}
}

# The hash of everything that decides what a build yields.
key_of() {
	module=$1
	shift
	{
		go version
		echo "$@"
		cd "$here/$module"
		find . -name '*.go' ! -name '*_test.go' -o -name go.mod -o -name go.sum -o -name '*.sh' -o -name '*.yaml' | LC_ALL=C sort | while read -r file; do
			sha256sum "$file"
		done
	} | sha256sum | cut -c1-16
}

# build PROGRAM MODULE PACKAGE LDFLAGS
build() {
	program=$1 module=$2 package=$3 ldflags=$4
	key=$(key_of "$module" "$package" "$ldflags")
	stamp=$bin/.$program.key
	if [ -x "$bin/$program" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then
		say "$program: up to date"
		return
	fi
	if [ -n "$cache" ] && [ -f "$cache/bin/$program-$key" ]; then
		say "$program: from the cache"
		cp "$cache/bin/$program-$key" "$bin/$program.new"
	else
		say "$program: build"
		(cd "$here/$module" && CGO_ENABLED=0 run go build -trimpath -buildvcs=false -ldflags "-s -w $ldflags" -o "$bin/$program.new" "$package")
		if [ -n "$cache" ]; then
			mkdir -p "$cache/bin"
			cp "$bin/$program.new" "$cache/bin/.$program-$key.$$"
			mv "$cache/bin/.$program-$key.$$" "$cache/bin/$program-$key"
		fi
	fi
	# A running program cannot be written to, but it can be replaced.
	mv "$bin/$program.new" "$bin/$program"
	echo "$key" >"$stamp"
}

# part NAME: what its make.sh puts into a folder, kept as a whole.
part() {
	name=$1
	key=$(key_of "$name" "$name")
	stamp=$bin/.$name.key
	if [ -d "$bin/$name" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then
		say "$name: up to date"
		return
	fi
	rm -rf "$bin/$name.new"
	if [ -n "$cache" ] && [ -d "$cache/bin/$name-$key" ]; then
		say "$name: from the cache"
		cp -R "$cache/bin/$name-$key" "$bin/$name.new"
	else
		say "$name: build"
		mkdir "$bin/$name.new"
		run "$here/$name/make.sh" "$bin/$name.new"
		if [ -n "$cache" ]; then
			mkdir -p "$cache/bin"
			cp -R "$bin/$name.new" "$cache/bin/.$name-$key.$$"
			# Another checkout may have been faster; what it made is the same.
			mv -T "$cache/bin/.$name-$key.$$" "$cache/bin/$name-$key" 2>/dev/null || rm -rf "$cache/bin/.$name-$key.$$"
		fi
	fi
	rm -rf "${bin:?}/$name"
	mv "$bin/$name.new" "$bin/$name"
	echo "$key" >"$stamp"
}

# Tests ask for parts at the same time: the second waits, and finds what the
# first one made. The lock ends with the subshell, or with the script.
parts() {
	need_go
	for name in "$@"; do
		(
			exec 9>"$bin/.$name.lock"
			flock 9
			part "$name"
		)
	done
}

driver() {
	need_go
	for program in testbed tb pause; do
		build "$program" driver "./cmd/$program" ""
	done
}

kube() {
	need_go
	version=$(sed -n 's/^[[:space:]]*k8s.io\/kubernetes \(v[0-9.]*\).*/\1/p' "$here/kubernetes/go.mod")
	minor=$(echo "$version" | cut -d. -f2)
	# Without these, clients see v0.0.0-master and the servers do in user agents.
	flags=
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		flags="$flags -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
	done
	build kube kubernetes . "$flags"
}

images() { run "$bin/testbed" build-images "$bin/images"; }

# One command a line: `set -e` does not look into the parts of an && list.
case "${1:-all}" in
all)
	driver
	images
	kube
	;;
driver) driver ;;
kube) kube ;;
images)
	driver
	images
	;;
argo-workflows | nats | argo-events | argo-cd | helm) parts "$@" ;;
*)
	say "no target '$1'; there are driver, kube, images, all, argo-workflows, nats, argo-events, argo-cd, helm"
	exit 2
	;;
esac
