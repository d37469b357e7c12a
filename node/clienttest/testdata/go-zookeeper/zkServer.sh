#!/bin/sh
# What go-zookeeper's tests start as $ZOOKEEPER_BIN_PATH/zkServer.sh start-foreground ZOO.CFG.
# They set properties of the Java machine, which are lines of zoo.cfg here.
set -eu
cp "$2" "$2.node"
for flag in ${SERVER_JVMFLAGS-}; do
	case $flag in
	-Dzookeeper.emulate353TTLNodes=*) ;; # how Apache 3.5.3 wrote TTL znodes to disk
	-Dzookeeper.*) echo "${flag#-Dzookeeper.}" >>"$2.node" ;;
	esac
done
exec "$ZOOLAB_NODE" "$1" "$2.node"
