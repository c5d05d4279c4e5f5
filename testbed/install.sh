#!/bin/sh
# Installs what the test bed needs from Debian, and only what is missing.
# Not root, or not Debian: prints what is missing and exits with 3.
#
#   install.sh            what a cluster needs
#   install.sh argo-cd    and what Argo CD needs: git and redis
set -eu

# One line a need: what to look for, and the Debian package that brings it.
# The look-up is by program, not by package, so that a machine that has
# containerd from elsewhere is left as it is.
needs='
containerd containerd
ctr containerd
containerd-shim-runc-v2 containerd
runc runc
cni:ptp containernetworking-plugins
iptables iptables
conntrack conntrack
ip iproute2
nsenter util-linux
mount mount
dpkg-deb dpkg
tar tar
setpriv util-linux
pip3 python3-pip
podman podman
'

for part in "$@"; do
	case "$part" in
	argo-cd)
		needs="$needs
git git
redis-server redis-server
"
		;;
	*)
		echo "test bed: no part '$part' has needs of its own; there is argo-cd" >&2
		exit 2
		;;
	esac
done

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

have() {
	case "$1" in
	cni:*)
		for dir in /usr/lib/cni /opt/cni/bin; do
			[ -x "$dir/${1#cni:}" ] && return 0
		done
		return 1
		;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

missing() {
	echo "$needs" | while read -r what package; do
		[ -n "$what" ] || continue
		have "$what" || echo "$package"
	done | sort -u | tr '\n' ' '
}

packages=$(missing)
if [ -z "$packages" ]; then
	echo "test bed: everything needed is installed" >&2
	exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "test bed: missing (Debian's names): $packages" >&2
	echo "test bed: install them, or run this script as root on Debian" >&2
	exit 3
fi

echo "test bed: installing $packages" >&2
export DEBIAN_FRONTEND=noninteractive
# The test bed starts its own containerd; the service of the package may stay
# off. Where no policy file says so, ask for it for this one installation.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$policy"' EXIT INT TERM
fi
# shellcheck disable=SC2086 # a list of words, on purpose
if ! apt-get install -y --no-install-recommends $packages >&2; then
	# A list of packages that is too old names files that are gone.
	apt-get update >&2
	apt-get install -y --no-install-recommends $packages >&2
fi

packages=$(missing)
if [ -n "$packages" ]; then
	echo "test bed: still missing after the installation: $packages" >&2
	exit 3
fi
