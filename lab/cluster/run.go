package cluster

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

var runPattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9-]{0,39}$`)

func validRun(run string) error {
	if !runPattern.MatchString(run) {
		return fmt.Errorf("cluster: run id %q, want up to 40 letters, digits and hyphens", run)
	}
	return nil
}

// drawRun makes a run id that no other run has.
func drawRun() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	return hex.EncodeToString(b[:])
}

// runHash is a short name for a run, where names are limited (interfaces: 15).
func runHash(run string) string {
	sum := sha256.Sum256([]byte(run))
	return hex.EncodeToString(sum[:3])
}

// runByte is a number that spreads runs over subnets.
func runByte(run string) int {
	sum := sha256.Sum256([]byte(run))
	return int(sum[4])
}

// owner names the process that a run belongs to, so that a sweep can tell the
// runs of living labs from leftovers: host, pid and the process' start time,
// since pids are used again.
func owner() string {
	host, _ := os.Hostname() // empty is fine: it is only compared
	return fmt.Sprintf("%s:%d:%s", host, os.Getpid(), startTime(os.Getpid()))
}

// ownerAlive reports whether the process that owner named still runs. One on
// another host counts as alive: this host can't know.
func ownerAlive(name string) bool {
	parts := strings.Split(name, ":")
	if len(parts) != 3 {
		return false
	}
	if host, _ := os.Hostname(); parts[0] != host {
		return true
	}
	pid, err := strconv.Atoi(parts[1])
	return err == nil && parts[2] != "" && startTime(pid) == parts[2]
}

// startTime is field 22 of /proc/PID/stat (clock ticks since boot), empty if
// the process doesn't exist or is a zombie.
func startTime(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The command's name, in parentheses, may hold anything.
	_, rest, found := strings.Cut(string(data[strings.LastIndexByte(string(data), ')'):]), " ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}
