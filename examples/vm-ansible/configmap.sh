#!/bin/sh
# Prints the ConfigMap `vm` for one VM: where it is, and by which key it is known.
#
#   configmap.sh HOST PORT USER KNOWN_HOSTS-FILE
set -eu
[ $# = 4 ] || { echo "usage: $0 HOST PORT USER KNOWN_HOSTS-FILE" >&2; exit 2; }
[ -s "$4" ] || { echo "$4 is missing or empty: ssh-keyscan -p $2 $1, and compare what it prints with the VM's own key" >&2; exit 1; }
cat <<YAML
apiVersion: v1
kind: ConfigMap
metadata:
  name: vm
  namespace: vms
data:
  inventory.ini: |
    vm1 ansible_host=$1 ansible_port=$2 ansible_user=$3
  known_hosts: |
$(sed 's/^/    /' "$4")
YAML
