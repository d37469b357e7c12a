package admin

import (
	"fmt"
	"io"
	"os"
	"os/user"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// environment is what the word envi shows: Apache's keys with what they mean here. There
// is no Java, so its keys tell of Go, and those of its class path are left out.
func (v *View) environment() []variable {
	host, _ := os.Hostname()
	dir, _ := os.Getwd()
	name, home := "<NA>", ""
	if u, err := user.Current(); err == nil {
		name, home = u.Username, u.HomeDir
	}
	var system unix.Utsname
	kernel := "<NA>"
	if unix.Uname(&system) == nil {
		kernel = unix.ByteSliceToString(system.Release[:])
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	limit := debug.SetMemoryLimit(-1) // a negative one only asks
	most := "unlimited"
	if limit < 1<<62 {
		most = megabytes(uint64(limit))
	}
	return []variable{
		{"zookeeper.version", v.Version},
		{"host.name", host},
		{"go.version", strings.TrimPrefix(runtime.Version(), "go")},
		{"go.maxprocs", fmt.Sprint(runtime.GOMAXPROCS(0))},
		{"java.io.tmpdir", os.TempDir()},
		{"os.name", strings.ToUpper(runtime.GOOS[:1]) + runtime.GOOS[1:]},
		{"os.arch", runtime.GOARCH},
		{"os.version", kernel},
		{"user.name", name},
		{"user.home", home},
		{"user.dir", dir},
		{"os.memory.free", megabytes(memory.HeapIdle - memory.HeapReleased)},
		{"os.memory.max", most},
		{"os.memory.total", megabytes(memory.Sys)},
	}
}

func megabytes(b uint64) string { return fmt.Sprintf("%dMB", b>>20) }

func (v *View) envi(w io.Writer) {
	fmt.Fprintln(w, "Environment:")
	for _, e := range v.environment() {
		fmt.Fprintf(w, "%s=%s\n", e.key, e.value)
	}
}

// variable is a line of the environment.
type variable struct{ key, value string }
