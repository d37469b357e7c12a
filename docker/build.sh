#!/bin/sh
# Builds the two images that compose.yaml names: the node (from this checkout)
# and its network sidecar. Needs Go, a container engine, and root only where
# debian:bookworm-slim can't be pulled.
set -eu

cd "$(dirname "$0")/.."
docker/base.sh
printf 'build.sh: building the server\n' >&2
CGO_ENABLED=0 GOOS=linux go build -trimpath -ldflags '-s -w' -o docker/node ./node
docker build -q -t "${ZOOLAB_NODE_IMAGE:-zoolab/node}" -f docker/node.Dockerfile docker
docker build -q -t "${ZOOLAB_SIDECAR_IMAGE:-zoolab/sidecar}" -f docker/sidecar.Dockerfile docker
