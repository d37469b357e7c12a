package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// interrupted returns a context that ends when a user or a system wants the lab to end: by
// Ctrl-C, SIGTERM, or a terminal that closes, unless the lab was told to outlive that one
// (nohup). Then everything is healed and stopped. A second signal, after stop, ends it at once.
// That nobody reads the output any more (lab | head) is no such wish: the run goes on, and its
// report is written. It must not end the lab as it stands, which would leave the members running.
func interrupted() (ctx context.Context, stop context.CancelFunc) {
	// Caught, and not ignored, since what the lab starts would inherit that. Writes fail instead.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signal.NotifyContext(context.Background(), signals...)
}
