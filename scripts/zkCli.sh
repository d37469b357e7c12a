#!/usr/bin/env bash
# Apache ZooKeeper's zkCli.sh by name, for scripts that call it. It prints all that
# zkCli.sh prints, also what is no answer. ZOOLAB_NODE is the program; by default
# ../bin/node beside this script's directory.
set -eu
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
node=${ZOOLAB_NODE:-$here/../bin/node}
if [ ! -x "$node" ]; then
	echo "zkCli.sh: there is no program $node; build it with make build, or set ZOOLAB_NODE" >&2
	exit 1
fi
exec "$node" cli -greet "$@"
