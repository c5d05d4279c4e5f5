#!/bin/sh
# Builds tenantry-bridge for this machine's architecture as one static program, and the image that holds nothing else, as a
# docker archive. No container engine is needed; the same sources and compiler give the same bytes.
#
#   build-image.sh [FOLDER]      default: target/bridge-image
#
# It leaves FOLDER/tenantry-bridge and FOLDER/tenantry-bridge.tar. Load it with `docker load -i`, `podman load -i`, or
# `ctr -n k8s.io images import`. An existing program is taken as it is when TENANTRY_BRIDGE_BIN names it.
set -eu
cd "$(dirname "$0")/../.."
folder=${1:-target/bridge-image}
limit=9000000
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
target=$(rustc -vV | sed -n 's/^host: //p')
if [ -n "${TENANTRY_BRIDGE_BIN:-}" ]; then
	program=$TENANTRY_BRIDGE_BIN
else
	# With --target the flags are for the program alone, not for what builds it. A fixed address needs no relocations, which are
	# a tenth of the file and pages of memory that no two bridges share; who aborts needs no tables to unwind by, neither those of
	# Rust nor those of C.
	# Functions of the same code are one, where rustc's linker can do that.
	case $target in
	x86_64*) same="-C link-arg=-Wl,--icf=all,-O2" ;;
	*) same= ;;
	esac
	# shellcheck disable=SC2086 # none, or two words
	CFLAGS="-fno-asynchronous-unwind-tables -fno-unwind-tables" \
		RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static -C force-unwind-tables=no --remap-path-prefix=$PWD=." \
		cargo rustc --locked --profile bridge --target "$target" -p tenantry-bridge --bin tenantry-bridge -- $same
	program=${CARGO_TARGET_DIR:-target}/$target/bridge/tenantry-bridge
fi
[ "$program" = "$folder/tenantry-bridge" ] || cp "$program" "$folder/tenantry-bridge"
program=$folder/tenantry-bridge
if ldd "$program" 2>/dev/null | grep -q '=>'; then
	echo "build-image.sh: the program is not static" >&2
	exit 1
fi
size=$(wc -c <"$program")
[ "$size" -le "$limit" ] || {
	echo "build-image.sh: the program has $size bytes, more than $limit" >&2
	exit 1
}

case $target in
x86_64*) arch=amd64 ;;
aarch64*) arch=arm64 ;;
*)
	echo "build-image.sh: no image for $target" >&2
	exit 1
	;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pack() { # FILE FOLDER: the same bytes on every machine and day
	tar --format=ustar --blocking-factor=1 --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$2" -cf "$1" .
}
mkdir -p "$work/layer/tmp" "$work/image"
install -m 0755 "$program" "$work/layer/tenantry-bridge"
chmod 0755 "$work/layer"
chmod 1777 "$work/layer/tmp"
pack "$work/layer.tar" "$work/layer"
layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
mv "$work/layer.tar" "$work/image/$layer.tar"
printf '{"architecture":"%s","os":"linux","created":"1970-01-01T00:00:00Z","config":{"User":"65532:65532","Entrypoint":["/tenantry-bridge"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"1970-01-01T00:00:00Z","created_by":"build-image.sh"}]}' \
	"$arch" "$layer" >"$work/config"
config=$(sha256sum "$work/config" | cut -d' ' -f1)
mv "$work/config" "$work/image/$config.json"
printf '[{"Config":"%s.json","RepoTags":["tenantry-bridge:%s"],"Layers":["%s.tar"]}]' "$config" "$version" "$layer" >"$work/image/manifest.json"
chmod 0644 "$work/image"/*
tar --format=ustar --blocking-factor=1 --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$work/image" -cf "$folder/tenantry-bridge.tar" \
	"$config.json" "$layer.tar" manifest.json
echo "tenantry-bridge:$version: program $size bytes, image $(wc -c <"$folder/tenantry-bridge.tar") bytes, config sha256:$config"
