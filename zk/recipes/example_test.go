package recipes_test

import (
	"context"
	"fmt"
	"log"

	"zoolab/zk"
	"zoolab/zk/recipes"
)

func open(ctx context.Context) *zk.Client {
	c, err := zk.Connect(ctx, "localhost")
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// Work under a lock, and stop when it may be lost.
func ExampleMutex() {
	ctx := context.Background()
	lock, err := recipes.NewMutex(open(ctx), "/locks/report").Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Unlock(ctx)
	for step := range 10 {
		select {
		case <-lock.Lost():
			log.Fatal("somebody else may hold the lock")
		default:
		}
		fmt.Printf("step %d, under token %d\n", step, lock.Token())
	}
}

// Lead until the lead is lost.
func ExampleElection() {
	ctx := context.Background()
	election := recipes.NewElection(open(ctx), "/election")
	lead, err := election.Campaign(ctx, []byte("10.0.0.1:8080"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("leading in epoch", lead.Epoch())
	<-lead.Lost()
}

func ExampleQueue() {
	ctx := context.Background()
	queue := recipes.NewQueue(open(ctx), "/jobs")
	if err := queue.PutPriority(ctx, 10, []byte("resize image 7")); err != nil {
		log.Fatal(err)
	}
	job, err := queue.Take(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", job)
}

func ExampleCounter() {
	ctx := context.Background()
	visits, err := recipes.NewCounter(open(ctx), "/visits").Add(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(visits)
}

// Begin and end a computation together with two others.
func ExampleDoubleBarrier() {
	ctx := context.Background()
	barrier := recipes.NewDoubleBarrier(open(ctx), "/computation", 3)
	if err := barrier.Enter(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("all three are here")
	if err := barrier.Leave(ctx); err != nil {
		log.Fatal(err)
	}
}
