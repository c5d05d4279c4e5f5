#!/bin/sh
# Tests the test bed itself: two clusters side by side, a pod with a volume, a
# log and an exit code in each, parts stopped and started, and after `down`
# nothing left on the machine. About two minutes.
#
# With names of parts (argo-workflows, argo-events, argo-cd) it tests these, on
# one cluster, instead: selftest/PART.sh says what of each.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
testbed=$here/bin/testbed
PATH="$PATH:/usr/sbin:/sbin"

[ "$(id -u)" = 0 ] || { echo "selftest: run it as root" >&2; exit 3; }
for program in testbed kube tb pause; do
	[ -x "$here/bin/$program" ] || { echo "selftest: bin/$program is missing: run testbed/build.sh" >&2; exit 3; }
done

work=$(mktemp -d "${TMPDIR:-/tmp}/tb-self.XXXXXX")
export TESTBED_STATE="$work/s"
mkdir -p "$TESTBED_STATE"

clusters="one two"
[ $# = 0 ] || clusters=one
for part in "$@"; do
	[ -f "$here/selftest/$part.sh" ] || { echo "selftest: no part '$part' is tested; there are" $(cd "$here/selftest" && ls | sed 's/\.sh$//') >&2; exit 2; }
done

finish() {
	code=$?
	trap - EXIT INT TERM
	for name in $clusters; do
		if [ -e "$TESTBED_STATE/$name" ]; then
			tail -n 5 "$TESTBED_STATE/$name"/logs/kubelet.log >&2 || true
			"$testbed" down "$name" >&2 || true
		fi
	done
	rm -rf "$work"
	[ "$code" = 0 ] && echo "selftest: passed" >&2 || echo "selftest: FAILED" >&2
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

step() { echo "selftest: $*" >&2; }
fail() { echo "selftest: $*" >&2; exit 1; }
expect() { # WHAT GOT WANTED
	[ "$2" = "$3" ] || fail "$1 is '$2', expected '$3'"
}
# until_is SECONDS WANTED CMD...: repeats CMD until it prints WANTED.
until_is() {
	limit=$(($(date +%s) + $1)) wanted=$2
	shift 2
	while :; do
		got=$("$@" 2>&1) || true
		[ "$got" = "$wanted" ] && return 0
		[ "$(date +%s)" -lt "$limit" ] || fail "$* still prints '$got', expected '$wanted'"
		sleep 0.5
	done
}
k() { name=$1; shift; "$testbed" kubectl "$name" "$@"; }
# field FILE NAME: a text of a JSON file of ours, one field a line.
field() { sed -n "s/^ *\"$2\": \"\\(.*\\)\".*/\\1/p" "$1" | head -n 1; }

# Every place in which a cluster could leave something. Other clusters may come
# and go meanwhile: only lines that have one of our marks count.
traces() {
	{
		ip netns list
		ip -o link show
		ip -4 route show table all
		iptables -S 2>/dev/null
		find /sys/fs/cgroup -maxdepth 2 -type d
		find /run/netns /var/lib/cni /var/log/containers /var/log/pods /run/containerd /run/runc /var/lib/kubelet \
			/var/lib/containerd /opt/containerd -printf '%p %l\n' 2>/dev/null || true
		cat /proc/self/mountinfo
		find "$TESTBED_STATE" -maxdepth 1 -mindepth 1
		for p in /proc/[0-9]*; do
			{ tr '\0' ' ' <"$p/cmdline"; } 2>/dev/null || true
			echo
		done
	} | grep -F -f "$work/marks" | LC_ALL=C sort -u
}

# marks: what names a thing as one of our clusters'.
marks() {
	echo "$TESTBED_STATE/"
	for name in $clusters; do
		field "$work/$name.json" netns | cut -d- -f2 # also in the names of links
		field "$work/$name.json" podRange
		field "$work/$name.json" serviceRange
		ls "$TESTBED_STATE/$name/containerd-1/root/io.containerd.grpc.v1.cri/sandboxes"
		# The file name of a shim's socket.
		cat "$TESTBED_STATE/$name"/containerd-1/state/io.containerd.runtime.v2.task/*/*/address | xargs -n 1 basename
	done
}

down_and_nothing_left() {
	step "down, and nothing is left"
	marks >"$work/marks"
	traces >"$work/before"
	for place in netns/tb- /sys/fs/cgroup/ /run/containerd/s/ /var/lib/cni/results/ /var/log/containers/ dev\ tb; do
		# A search that finds nothing now would find nothing later either.
		grep -qF "$place" "$work/before" || fail "the search for leftovers does not see $place"
	done
	for name in $clusters; do
		"$testbed" down "$name"
	done
	if "$testbed" down "$name" 2>/dev/null; then fail "a second 'down $name' was taken"; fi
	left=$(traces || true)
	[ -z "$left" ] || fail "left on the machine:
$left"
}

pod() { # NAME EXIT-CODE
	cat <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: objects}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteMany]
  storageClassName: static
  hostPath: {path: $work/objects-$1, type: DirectoryOrCreate}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: objects}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: static
  resources: {requests: {storage: 1Gi}}
---
apiVersion: v1
kind: Pod
metadata: {name: hook}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: local/python:1
    imagePullPolicy: Never
    command: [/bin/sh, -ec]
    args:
    - |
      tb witness /objects/witness --name $1
      python3 -c 'import yaml, sqlite3; print(yaml.safe_load("{cluster: $1}")["cluster"], sqlite3.connect(":memory:").execute("select 42").fetchone()[0])'
      sqlite3 :memory: 'select 6*7'
      tar cf - /objects 2>/dev/null | sha256sum | wc -w
      tb output cluster=$1
      exit $2
    volumeMounts: [{name: objects, mountPath: /objects}]
  volumes: [{name: objects, persistentVolumeClaim: {claimName: objects}}]
---
apiVersion: v1
kind: Pod
metadata: {name: stay}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: local/tools:1, imagePullPolicy: Never, command: [tb, serve, ":8080", --text, "this is $1"]}
YAML
}

if [ $# != 0 ]; then
	step "a cluster with $*"
	"$testbed" up one --with "$(echo "$*" | tr ' ' ,)" >"$work/one.json"
	for part in "$@"; do
		mkdir "$work/$part"
		# shellcheck disable=SC1090 # one of selftest/*.sh
		. "$here/selftest/$part.sh"
	done
	# One that runs until the end: what it leaves must go too.
	pod one 0 | k one apply -f - >&2
	until_is 60 Running k one get pod stay -o 'jsonpath={.status.phase}'
	down_and_nothing_left
	exit 0
fi

step "two clusters, started at the same time"
"$testbed" up one >"$work/one.json" 2>"$work/one.log" &
first=$!
"$testbed" up two >"$work/two.json" 2>"$work/two.log" || { cat "$work/two.log" >&2; wait "$first" || true; fail "up two"; }
wait "$first" || { cat "$work/one.log" >&2; fail "up one"; }
if "$testbed" up one 2>"$work/again.log"; then fail "a second 'up one' was taken"; fi
grep -q "exists already" "$work/again.log" || fail "a second 'up one' says: $(cat "$work/again.log")"

step "a pod with volume, log and exit code in each"
pod one 3 | k one apply -f - >&2
pod two 5 | k two apply -f - >&2
state='{.status.containerStatuses[0].state.terminated'
for name in one two; do
	until_is 60 Failed k "$name" get pod hook -o 'jsonpath={.status.phase}'
	until_is 60 Running k "$name" get pod stay -o 'jsonpath={.status.phase}'
done
expect "exit code in one" "$(k one get pod hook -o "jsonpath=$state.exitCode}")" 3
expect "exit code in two" "$(k two get pod hook -o "jsonpath=$state.exitCode}")" 5
for name in one two; do
	expect "output in $name" "$(k "$name" get pod hook -o "jsonpath=$state.message}")" "{\"cluster\":\"$name\"}"
	expect "log in $name" "$(k "$name" logs hook | grep -v event | tr '\n' ' ')" "$name 42 42 2 "
	expect "records in $name" "$(grep -c "\"name\":\"$name\"" "$work/objects-$name/witness")" 2
	expect "exec in $name" "$(k "$name" exec stay -- tb get http://127.0.0.1:8080/)" "this is $name"
	k "$name" get --raw /metrics | grep -q '^apiserver_request_total' || fail "no request counters in $name"
done
expect "RBAC" "$(k one auth can-i list pods --as system:serviceaccount:default:default || true)" no

step "each pod sees its own service range, the other cluster's API server, and nothing else"
other=$(field "$work/two.json" server)
expect "the other's API server" "$(k one exec stay -- tb get "$other/healthz" 2>&1 | grep -c 'certificate signed by unknown authority')" 1
expect "an address elsewhere" "$(k one exec stay -- tb get http://192.0.2.1/ 2>&1 | grep -c 'network is unreachable')" 1

step "neither kubelet touches the other's pods and logs"
sleep 65
for name in one two; do
	expect "restarts in $name" "$(k "$name" get pod stay -o 'jsonpath={.status.containerStatuses[0].restartCount}')" 0
	expect "log in $name after a minute" "$(k "$name" logs hook | grep -v event | tr '\n' ' ')" "$name 42 42 2 "
done

step "a VM: log in, write, restart"
"$testbed" vm up one app >"$work/vm.json"
if "$testbed" vm up one app 2>"$work/again.log"; then fail "a second 'vm up one app' was taken"; fi
grep -q "exists already" "$work/again.log" || fail "a second 'vm up one app' says: $(cat "$work/again.log")"
expect "another VM's port" "$("$testbed" vm up one app2 | sed -n 's/^ *"port": \(.*\),/\1/p')" 2223
vm() { # CMD: run in the VM
	ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o "UserKnownHostsFile=$(field "$work/vm.json" knownHosts)" \
		-i "$(field "$work/vm.json" keyFolder)/id_ed25519" -p 2222 "$(field "$work/vm.json" user)@$(field "$work/vm.json" address)" "$@"
}
if command -v ssh >/dev/null; then
	vm 'echo from the VM >/srv/file; touch /etc/file 2>/dev/null || true'
	expect "what the VM wrote" "$(cat "$(field "$work/vm.json" root)/srv/file")" "from the VM"
	[ ! -e "$(field "$work/vm.json" root)/etc/file" ] || fail "the VM's user may write to /etc"
	expect "Python in the VM" "$(vm "python3 -c 'print(6*7)'")" 42
else
	step "(no ssh on this machine: nobody logs in)"
fi
"$testbed" stop one vm-app
"$testbed" start one vm-app
"$testbed" vm down one app2
expect "VMs" "$("$testbed" pids one | grep -c '"vm-')" 1

step "stop, kill, freeze and start"
"$testbed" stop one apiserver
k one --request-timeout=3s get nodes >/dev/null 2>&1 && fail "a stopped API server answers"
"$testbed" start one apiserver
"$testbed" kill one etcd
"$testbed" start one etcd
"$testbed" stop one containerd
"$testbed" start one containerd
"$testbed" freeze one kubelet
# A little over the grace period of a node.
until_is 60 Unknown k one get node one-1 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
"$testbed" thaw one kubelet
until_is 60 True k one get node one-1 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
"$testbed" kill two kubelet
expect "stopped parts in pids" "$("$testbed" pids two | grep -c '"stopped"')" 1
address=$(k two get pod stay -o 'jsonpath={.status.podIP}')
expect "a pod whose kubelet is gone, from the root namespace" "$("$here/bin/tb" get "http://$address:8080/")" "this is two"
expect "the same from the cluster's namespace" "$("$testbed" exec two -- "$here/bin/tb" get "http://$address:8080/")" "this is two"
"$testbed" start two kubelet

down_and_nothing_left
