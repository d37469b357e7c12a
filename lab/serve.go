package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"zoolab/internal/cmdline"
	"zoolab/lab/report"
	"zoolab/lab/store"
)

// serveCommand serves the pages of a store until it is interrupted.
func serveCommand(args []string, stdout, stderr io.Writer) int {
	root, listen := defaultOptions().Store, "127.0.0.1:8088"
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&root, "store", root, "directory that keeps the runs")
	flags.StringVar(&listen, "listen", listen, "address to serve on")
	if err := cmdline.Parse(flags, args); err != nil || flags.NArg() > 0 {
		return badArguments(stderr, fmt.Errorf("serve: want at most -store DIR and -listen ADDRESS:PORT, got %q%s", args, because(err)))
	}
	if err := haveStore(root); err != nil {
		return badArguments(stderr, fmt.Errorf("serve: -store: %w", err))
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return badArguments(stderr, fmt.Errorf("serve: %w; choose another address with -listen, 127.0.0.1:0 for any free port", err))
	}
	ctx, stop := interrupted()
	defer stop()
	fmt.Fprintf(stdout, "The runs of %s are on http://%s/ (end it with Ctrl+C)\n", root, listener.Addr())
	if err := serveStore(ctx, listener, root); err != nil {
		return crash(stderr, err)
	}
	return exitValid
}

// serveStore answers until ctx ends. The pages are made of what the store holds at
// the time of each request.
func serveStore(ctx context.Context, listener net.Listener, root string) error {
	server := &http.Server{Handler: storeHandler(root), ReadHeaderTimeout: 10 * time.Second}
	stopped := context.AfterFunc(ctx, func() { server.Close() })
	defer stopped()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func storeHandler(root string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		runs, err := store.Open(root).List()
		page(w, err, func(w io.Writer) error { return report.WriteIndex(w, indexInput(root, runs, true)) })
	})
	mux.HandleFunc("GET /compare", func(w http.ResponseWriter, request *http.Request) {
		var sides [2]report.Input
		for i, name := range []string{"a", "b"} {
			in, err := servedRun(root, request.FormValue(name))
			if err != nil {
				http.Error(w, fmt.Sprintf("%s: %v", name, err), http.StatusNotFound)
				return
			}
			sides[i] = in
		}
		page(w, nil, report.Compare(sides[0], sides[1]).Write)
	})
	// The links to the newest runs lead inside the store; FileServer follows them.
	mux.Handle("GET /", http.FileServer(http.Dir(root)))
	return mux
}

// page answers with a page, or with the error that kept it from being made.
func page(w http.ResponseWriter, err error, write func(io.Writer) error) {
	var body bytes.Buffer
	if err == nil {
		err = write(&body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body.Bytes()) // a reader that went away needs no answer
}

// servedRun reads the run of that ID, which must lie inside the store.
func servedRun(root, id string) (report.Input, error) {
	if id == "" || !filepath.IsLocal(filepath.FromSlash(id)) {
		return report.Input{}, fmt.Errorf("%q is no run of this store; choose two on the page of all runs", id)
	}
	run, err := store.Find(filepath.Join(root, filepath.FromSlash(id)))
	if err != nil {
		return report.Input{}, err
	}
	return storedInput(run)
}
