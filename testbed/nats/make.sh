#!/bin/sh
# make.sh FOLDER: builds nats-server into FOLDER. testbed/build.sh calls it.
set -eu

cd "$(dirname "$0")"
CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$1/nats-server" github.com/nats-io/nats-server/v2
