"""Keeps one kazoo session while members of the ensemble go and come; argument: the
connect string. For each line of standard input it writes, reads and prints."""
import sys

from kazoo.client import KazooClient
from kazoo.retry import KazooRetry

zk = KazooClient(hosts=sys.argv[1], timeout=30, connection_retry=KazooRetry(max_tries=-1, max_delay=0.5))
zk.start(timeout=60)
retry = KazooRetry(max_tries=-1, max_delay=0.2, deadline=60)
retry(zk.create, "/failover", ephemeral=True)
session = zk.client_id[0]
print("ready", flush=True)
for line in sys.stdin:
    value = line.strip().encode()
    retry(zk.set, "/failover", value)
    retry(zk.sync, "/failover")
    data, stat = retry(zk.get, "/failover")
    print(data.decode(), stat.ephemeralOwner == zk.client_id[0] == session, flush=True)
zk.stop()
zk.close()
