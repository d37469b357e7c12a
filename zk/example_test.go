package zk_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"zoolab/zk"
)

// Change a znode only if nobody else has, and know what became of it.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := zk.Connect(ctx, "10.0.0.1:2181,10.0.0.2:2181,10.0.0.3:2181/app")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)
	node, err := c.Get(ctx, "/counter")
	if err != nil {
		log.Fatal(err)
	}
	set, err := c.Set(ctx, "/counter", append(node.Data, '1'), node.Stat.Version)
	switch {
	case err == nil:
		fmt.Println("changed by transaction", set.Zxid)
	case errors.Is(err, zk.ErrBadVersion):
		fmt.Println("somebody else was first")
	case zk.Unknown(err):
		fmt.Println("it may have happened: read before trying again")
	default:
		fmt.Println("it did not happen:", err)
	}
}

// Wait until a znode changes.
func ExampleClient_GetW() {
	ctx := context.Background()
	c, err := zk.Connect(ctx, "localhost")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)
	for {
		node, changed, err := c.GetW(ctx, "/config")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("version %d: %s\n", node.Stat.Version, node.Data)
		if event := <-changed; event.Type == zk.EventNone {
			log.Fatal(event.Err)
		}
	}
}

// Move an entry from one place to another, or do nothing at all.
func ExampleClient_Multi() {
	ctx := context.Background()
	c, err := zk.Connect(ctx, "localhost")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)
	_, err = c.Multi(ctx,
		zk.CheckOp("/lock", 7),
		zk.DeleteOp("/todo/job-1", zk.AnyVersion),
		zk.CreateOp("/done/job-1", nil, zk.Persistent))
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleParseConnectString() {
	servers, chroot, err := zk.ParseConnectString("zk1:2182,zk2,[::1]:2183/app")
	fmt.Println(servers, chroot, err)
	// Output: [zk1:2182 zk2:2181 [::1]:2183] /app <nil>
}

func ExampleUnknown() {
	err := fmt.Errorf("store the offset: %w", &zk.OpError{
		Op: "setData", Path: "/offset", Err: zk.ErrConnectionLoss, MayHaveHappened: true})
	fmt.Println(err)
	fmt.Println(zk.Unknown(err), zk.Definite(err), errors.Is(err, zk.ErrConnectionLoss))
	// Output:
	// store the offset: setData /offset: connection loss (it may have taken effect)
	// true false true
}

func ExampleDigestACL() {
	fmt.Println(zk.DigestACL(zk.PermRead|zk.PermWrite, "bob", "builder"))
	// Output: [{3 {digest bob:4rsXV9JgUbFl9ZE40xENilxlRV8=}}]
}
