"""Kazoo's operations and recipes, one after the other; argument: the connect string.

What it prints must be the same at every server. What needs several clients runs in
threads and prints in an order that does not depend on them."""
import datetime
import sys
import threading

from kazoo import exceptions
from kazoo.client import KazooClient
from kazoo.security import make_acl, make_digest_acl

PATIENCE = 60
hosts = sys.argv[1]
clients = []


def connect(**options):
    client = KazooClient(hosts=hosts, timeout=30, **options)
    client.start(timeout=PATIENCE)
    clients.append(client)
    return client


def refused(call, *args, **options):
    try:
        print("unexpected:", call(*args, **options))
    except exceptions.ZookeeperError as error:
        print("refused:", type(error).__name__)


def together(count, action):
    """Runs action(client, number) in threads with clients of their own."""
    failures = []

    def run(number):
        try:
            action(connect(), number)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    print("together:", failures, [t.is_alive() for t in threads])


def operations(zk):
    print("server:", zk.server_version())
    zk.create("/kazoo", b"data")
    print(zk.get("/kazoo")[0], zk.get("/kazoo")[1].version, zk.exists("/none"))
    print(zk.set("/kazoo", b"more").version, zk.get_children("/kazoo"))
    print(zk.create("/kazoo/seq-", sequence=True, ephemeral=True))
    print(zk.create("/kazoo/deep/path", b"", makepath=True))
    print(zk.ensure_path("/kazoo/deep/path/further"))
    path, stat = zk.create("/kazoo/stat", b"abc", include_data=True)
    print(path, stat.data_length)
    refused(zk.create, "/kazoo")
    refused(zk.create, "/none/child")
    refused(zk.get, "/none")
    refused(zk.set, "/kazoo", b"", version=7)
    refused(zk.delete, "/kazoo")
    refused(zk.create, "/kazoo/seq-0000000000/child")
    print(zk.sync("/kazoo"))
    pending = [zk.create_async("/kazoo/many-%03d" % n, b"x" * 1000) for n in range(300)]
    print([p.get(PATIENCE) for p in pending][-1], len(zk.get_children("/kazoo")))


def fresh(client, path):
    """Reads what others wrote, which a member may show late to who does not ask it to sync."""
    client.sync(path)
    return client.get(path)[0]


def transactions(zk):
    for missing in (True, False):
        tx = zk.transaction()
        tx.create("/kazoo/tx", b"1")
        tx.check("/kazoo/tx", 0)
        tx.set_data("/kazoo/tx", b"2")
        if missing:
            tx.delete("/kazoo/nothing")
        print([type(result).__name__ for result in tx.commit()])
    print(zk.get("/kazoo/tx")[0])


def access(zk):
    zk.add_auth("digest", "user:secret")
    zk.create("/kazoo/mine", b"s", acl=[make_digest_acl("user", "secret", all=True)])
    print(zk.get_acls("/kazoo/mine")[0])
    other = connect()
    refused(other.get, "/kazoo/mine")
    refused(other.set_acls, "/kazoo/mine", [make_acl("world", "anyone", all=True)])
    known = connect(auth_data=[("digest", "user:secret")])
    print(known.get("/kazoo/mine")[0])
    zk.set_acls("/kazoo/mine", [make_acl("world", "anyone", read=True)])
    print(fresh(other, "/kazoo/mine"))


def watches(zk):
    seen, news = [], threading.Condition()

    @zk.DataWatch("/kazoo/watched")
    def data_changed(data, stat, event):
        with news:
            seen.append((data, event.type if event else None))
            news.notify()

    def await_seen(count):
        with news:
            news.wait_for(lambda: len(seen) == count, PATIENCE)

    other = connect()
    fired = []
    zk.get("/kazoo", watch=fired.append)
    other.set("/kazoo", b"new")
    zk.sync("/kazoo")
    zk.get("/kazoo")
    await_seen(1)
    other.create("/kazoo/watched", b"1")
    await_seen(2)
    for count, value in ((3, b"2"), (4, b"3")):
        other.set("/kazoo/watched", value)
        await_seen(count)
    print(seen)
    print([(e.type, e.path) for e in fired])

    lists, complete = [], threading.Event()

    @zk.ChildrenWatch("/kazoo/deep")
    def children_changed(children):
        lists.append(sorted(children))
        if "b" in children:
            complete.set()

    other.create("/kazoo/deep/b")
    complete.wait(PATIENCE)
    print(lists[0], lists[-1])


def recipes(zk):
    with zk.Lock("/kazoo/lock", "me") as locked:
        print("lock:", locked, zk.Lock("/kazoo/lock").contenders())

    inside, most = [], []

    def contend(client, number):
        for _ in range(5):
            with client.Lock("/kazoo/lock", str(number)):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    together(5, contend)
    print("held at once:", max(most), "times:", len(most))

    with zk.ReadLock("/kazoo/rw"), zk.ReadLock("/kazoo/rw"):
        print("writer beside readers:", zk.WriteLock("/kazoo/rw").acquire(blocking=False))

    semaphore = zk.Semaphore("/kazoo/semaphore", max_leases=2)
    with semaphore:
        print("semaphore:", len(semaphore.lease_holders()))

    zk.Election("/kazoo/election", "candidate").run(lambda: print("elected"))

    def count(client, number):
        counter = client.Counter("/kazoo/counter")
        for _ in range(10):
            counter += 1

    together(4, count)
    print("counter:", fresh(zk, "/kazoo/counter"))

    queue = zk.Queue("/kazoo/queue")
    for value, priority in ((b"late", 200), (b"first", 10), (b"second", 10)):
        queue.put(value, priority=priority)
    print("queue:", [queue.get() for _ in range(4)])
    locking = zk.LockingQueue("/kazoo/locking")
    locking.put_all([b"x", b"y"])
    print("locking queue:", locking.get(PATIENCE), locking.consume(), len(locking))

    barrier = zk.Barrier("/kazoo/barrier")
    barrier.create()
    print("barrier:", barrier.wait(0.1), barrier.remove(), barrier.wait(PATIENCE))

    def meet(client, number):
        meeting = client.DoubleBarrier("/kazoo/meeting", 3)
        meeting.enter()
        meeting.leave()

    together(3, meet)

    party = zk.Party("/kazoo/party", "guest")
    party.join()
    print("party:", list(party), len(zk.ShallowParty("/kazoo/party")))
    party.leave()
    print("party:", list(party))

    lease = datetime.timedelta(minutes=1)
    print("lease:", bool(zk.NonBlockingLease("/kazoo/lease", lease)),
          bool(zk.NonBlockingLease("/kazoo/lease", lease, identifier="other")))

    partitioner = zk.SetPartitioner("/kazoo/partition", set=("a", "b", "c"), time_boundary=0.1)
    partitioner.wait_for_acquire(PATIENCE)
    print("partition:", sorted(partitioner))
    partitioner.finish()


zk = connect()
for part in (operations, transactions, access, watches, recipes):
    print("#", part.__name__)
    part(zk)
zk.delete("/kazoo", recursive=True)
for client in clients:
    client.stop()
    client.close()
