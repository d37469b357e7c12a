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
func interrupted() (ctx context.Context, stop context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signal.NotifyContext(context.Background(), signals...)
}
