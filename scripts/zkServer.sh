#!/usr/bin/env bash
# Apache ZooKeeper's zkServer.sh by name, for scripts and test suites that call it:
#   zkServer.sh [--config DIR] {start|start-foreground|stop|restart|status|version|print-cmd} [zoo.cfg]
# ZOOLAB_NODE is the program; by default ../bin/node beside this script's directory.
set -eu
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
node=${ZOOLAB_NODE:-$here/../bin/node}
if [ ! -x "$node" ]; then
	echo "zkServer.sh: there is no program $node; build it with make build, or set ZOOLAB_NODE" >&2
	exit 1
fi
if [ "${1-}" = --config ]; then
	export ZOOCFGDIR=${2?zkServer.sh: --config needs a directory}
	shift 2
fi
# The files in which Apache's users set SERVER_JVMFLAGS, ZOO_LOG_DIR and the like. They are
# shell, and may count on variables that are not set.
for file in environment zookeeper-env.sh java.env; do
	file=${ZOOCFGDIR:-conf}/$file
	if [ -f "$file" ]; then
		set +eu -a
		# shellcheck source=/dev/null
		. "$file"
		set -eu +a
	fi
done
case ${1-} in
start | start-foreground | stop | restart | status | version | print-cmd) exec "$node" "$@" ;;
esac
echo "Usage: $0 [--config <conf-dir>] {start|start-foreground|stop|version|restart|status|print-cmd} [zoo.cfg]" >&2
exit 2
