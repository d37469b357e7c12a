import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.admin.ZooKeeperAdmin;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/**
 * Drives a server through every operation of the Java client, so that both
 * directions of a captured connection are Apache's own bytes.
 *
 * Arguments: the proxied address, the server's own address. A line "cut" on
 * standard output asks the parent to break the proxied connections.
 */
public class Drive {
    static final List<ACL> OPEN = ZooDefs.Ids.OPEN_ACL_UNSAFE;
    static final byte[] DATA = "data".getBytes();

    interface Step {
        void run() throws Exception;
    }

    /** Runs a step that the server must refuse. */
    static void refused(Step step) throws Exception {
        try {
            step.run();
        } catch (KeeperException e) {
            System.out.println("refused: " + e.code());
            return;
        }
        throw new IllegalStateException("a step that must be refused was not");
    }

    static ZooKeeper connect(String address, boolean readOnly) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper zk = new ZooKeeper(address, 20000, e -> connected.countDown(), readOnly);
        if (!connected.await(20, TimeUnit.SECONDS)) {
            throw new IllegalStateException("no connection to " + address);
        }
        return zk;
    }

    static void creates(ZooKeeper zk) throws Exception {
        Stat stat = new Stat();
        zk.create("/a", DATA, OPEN, CreateMode.PERSISTENT);
        zk.create("/a/null", null, OPEN, CreateMode.PERSISTENT);
        zk.create("/a/empty", new byte[0], OPEN, CreateMode.PERSISTENT);
        zk.create("/a/s-", DATA, OPEN, CreateMode.PERSISTENT_SEQUENTIAL);
        zk.create("/a/e", DATA, OPEN, CreateMode.EPHEMERAL);
        zk.create("/a/es-", DATA, OPEN, CreateMode.EPHEMERAL_SEQUENTIAL);
        zk.create("/a/stat", DATA, OPEN, CreateMode.PERSISTENT, stat);
        zk.create("/a/stat-e", DATA, OPEN, CreateMode.EPHEMERAL, stat);
        zk.create("/c", DATA, OPEN, CreateMode.CONTAINER, stat);
        zk.create("/c/child", DATA, OPEN, CreateMode.PERSISTENT);
        zk.create("/c2", DATA, OPEN, CreateMode.CONTAINER);
        zk.create("/ttl", DATA, OPEN, CreateMode.PERSISTENT_WITH_TTL, stat, 600000);
        zk.create("/ttl-s-", DATA, OPEN, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, stat, 700000);
        List<ACL> two = Arrays.asList(
            new ACL(ZooDefs.Perms.READ, ZooDefs.Ids.ANYONE_ID_UNSAFE),
            new ACL(ZooDefs.Perms.ALL, new Id("digest", "user:5w9W4eL3797Y4Wq8AcKUPPk8ha4=")));
        zk.create("/acl", DATA, two, CreateMode.PERSISTENT);
        zk.create("/a/\u00e4\u4e2d", "\u00e4".getBytes("UTF-8"), OPEN, CreateMode.PERSISTENT);
        refused(() -> zk.create("/a", DATA, OPEN, CreateMode.PERSISTENT));
        refused(() -> zk.create("/missing/x", DATA, OPEN, CreateMode.PERSISTENT));
        refused(() -> zk.create("/a/e/x", DATA, OPEN, CreateMode.PERSISTENT));
        refused(() -> zk.create("/bad", DATA, Collections.singletonList(new ACL(31, new Id("digest", "none"))), CreateMode.PERSISTENT));
    }

    static void reads(ZooKeeper zk) throws Exception {
        Stat stat = new Stat();
        zk.exists("/a", false);
        zk.exists("/missing", false);
        zk.getData("/a", false, stat);
        zk.getData("/a/null", false, stat);
        zk.getData("/a/empty", false, stat);
        refused(() -> zk.getData("/missing", false, new Stat()));
        zk.getChildren("/a", false);
        zk.getChildren("/a", false, stat);
        zk.getChildren("/a/null", false);
        zk.getACL("/a", stat);
        zk.getACL("/acl", stat);
        zk.getEphemerals();
        zk.getEphemerals("/nowhere");
        zk.getAllChildrenNumber("/a");
        zk.whoAmI();
        CountDownLatch synced = new CountDownLatch(1);
        zk.sync("/a", (rc, path, ctx) -> synced.countDown(), null);
        synced.await();
    }

    static void writes(ZooKeeper zk) throws Exception {
        zk.setData("/a", "new".getBytes(), -1);
        zk.setData("/a", "newer".getBytes(), 1);
        refused(() -> zk.setData("/a", DATA, 7));
        zk.setACL("/a", OPEN, -1);
        refused(() -> zk.setACL("/a", OPEN, 9));
        refused(() -> zk.setData("/acl", DATA, -1));
        zk.addAuthInfo("digest", "user:secret".getBytes());
        zk.whoAmI();
        zk.setACL("/acl", ZooDefs.Ids.CREATOR_ALL_ACL, -1);
        zk.getACL("/acl", new Stat());
        zk.create("/gone", null, OPEN, CreateMode.PERSISTENT);
        zk.delete("/gone", 0);
        zk.delete("/c/child", -1);
        refused(() -> zk.delete("/gone", -1));
        refused(() -> zk.delete("/a", -1));
        refused(() -> zk.delete("/acl", 5));
    }

    static void multis(ZooKeeper zk) throws Exception {
        Stat stat = new Stat();
        zk.multi(Arrays.asList(
            Op.check("/a", -1),
            Op.create("/m", DATA, OPEN, CreateMode.PERSISTENT),
            Op.create("/m/e-", DATA, OPEN, CreateMode.EPHEMERAL_SEQUENTIAL),
            Op.create("/m/c", DATA, OPEN, CreateMode.CONTAINER),
            Op.create("/m/t", DATA, OPEN, CreateMode.PERSISTENT_WITH_TTL, 800000),
            Op.setData("/m", "set".getBytes(), 0),
            Op.create("/m/gone", null, OPEN, CreateMode.PERSISTENT),
            Op.delete("/m/gone", -1)));
        refused(() -> zk.multi(Arrays.asList(
            Op.create("/m/x", DATA, OPEN, CreateMode.PERSISTENT),
            Op.check("/missing", 3),
            Op.delete("/m/x", -1))));
        zk.multi(Arrays.asList(Op.getData("/m"), Op.getChildren("/m"), Op.getData("/missing")));
        zk.multi(new ArrayList<Op>());
    }

    static void watches(ZooKeeper zk, ZooKeeper other) throws Exception {
        Watcher one = e -> System.out.println("one: " + e);
        Watcher two = e -> System.out.println("two: " + e);
        zk.create("/w", DATA, OPEN, CreateMode.PERSISTENT);
        zk.getData("/w", one, new Stat());
        zk.getChildren("/w", one);
        zk.exists("/w/new", one);
        other.setData("/w", DATA, -1);
        other.create("/w/new", DATA, OPEN, CreateMode.PERSISTENT);
        zk.getData("/w/new", one, new Stat());
        zk.getChildren("/w", one);
        other.delete("/w/new", -1);
        zk.addWatch("/w", one, AddWatchMode.PERSISTENT);
        zk.addWatch("/w", one, AddWatchMode.PERSISTENT_RECURSIVE);
        other.create("/w/deep", DATA, OPEN, CreateMode.PERSISTENT);
        other.setData("/w/deep", DATA, -1);
        zk.getData("/a", one, new Stat());
        zk.getData("/a", two, new Stat());
        zk.removeWatches("/a", two, Watcher.WatcherType.Data, false);
        zk.removeWatches("/a", one, Watcher.WatcherType.Data, false);
        zk.removeAllWatches("/w", Watcher.WatcherType.Any, false);
        refused(() -> zk.removeAllWatches("/nothing", Watcher.WatcherType.Any, false));
    }

    /** Sets watches, asks for the connection to be cut, changes things meanwhile. */
    static void reconnect(String proxied, ZooKeeper other, boolean persistent) throws Exception {
        CountDownLatch back = new CountDownLatch(2);
        CountDownLatch lost = new CountDownLatch(1);
        ZooKeeper zk = new ZooKeeper(proxied, 20000, e -> {
            if (e.getState() == Watcher.Event.KeeperState.Disconnected) {
                lost.countDown();
            } else if (e.getType() == Watcher.Event.EventType.None) {
                back.countDown();
            }
        });
        String root = persistent ? "/r2" : "/r1";
        zk.create(root, DATA, OPEN, CreateMode.PERSISTENT);
        zk.create(root + "/child", DATA, OPEN, CreateMode.PERSISTENT);
        Watcher watcher = e -> System.out.println("again: " + e);
        zk.getData(root, watcher, new Stat());
        zk.exists(root + "/later", watcher);
        zk.getChildren(root + "/child", watcher);
        zk.getData(root + "/child", watcher, new Stat());
        if (persistent) {
            zk.addWatch(root, watcher, AddWatchMode.PERSISTENT);
            zk.addWatch(root, watcher, AddWatchMode.PERSISTENT_RECURSIVE);
        }
        System.out.println("cut");
        if (!lost.await(20, TimeUnit.SECONDS)) {
            throw new IllegalStateException("the connection was not cut");
        }
        other.setData(root, DATA, -1);
        other.create(root + "/later", DATA, OPEN, CreateMode.PERSISTENT);
        other.delete(root + "/child", -1);
        if (!back.await(20, TimeUnit.SECONDS)) {
            throw new IllegalStateException("the client did not reconnect");
        }
        zk.getData(root, false, new Stat());
        zk.close();
    }

    public static void main(String[] args) throws Exception {
        String proxied = args[0];
        ZooKeeper other = connect(args[1], false);
        ZooKeeper zk = connect(proxied, false);
        creates(zk);
        reads(zk);
        writes(zk);
        multis(zk);
        watches(zk, other);
        zk.close();
        reconnect(proxied, other, false);
        reconnect(proxied, other, true);
        ZooKeeper readOnly = connect(proxied, true);
        readOnly.exists("/", false);
        readOnly.close();
        ZooKeeper refusedAuth = connect(proxied, false);
        refusedAuth.addAuthInfo("nonsense", "x".getBytes());
        Thread.sleep(500);
        refusedAuth.close();
        CountDownLatch up = new CountDownLatch(1);
        ZooKeeperAdmin admin = new ZooKeeperAdmin(proxied, 20000, e -> up.countDown());
        up.await(20, TimeUnit.SECONDS);
        refused(() -> admin.reconfigure(null, "3", null, -1, new Stat()));
        admin.getConfig(false, new Stat());
        admin.close();
        other.close();
        System.out.println("done");
        System.exit(0);
    }
}
