package main

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"time"

	"zoolab/lab/report"
	"zoolab/workloads"
)

// keptLogLines bounds the lines of a member's log that go into the report.
const keptLogLines = 500

// Times as servers write them: slog's, and Apache's.
var (
	slogTime   = regexp.MustCompile(`^(?:\{"time":"|time=)([^ "]+)`)
	apacheTime = regexp.MustCompile(`^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3})`)
)

// nodeLog reads the last lines of a member's log.
func nodeLog(path string, start time.Time) ([]report.LogLine, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a member's log: %w", err)
	}
	defer file.Close()
	var lines []report.LogLine
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		line := report.LogLine{Text: scanner.Text()}
		if at, ok := lineTime(line.Text); ok {
			line.TimeNs, line.HasTime = int64(at.Sub(start)), true
		}
		lines = append(lines, line)
		if len(lines) >= 2*keptLogLines {
			lines = append(lines[:0], lines[len(lines)-keptLogLines:]...)
		}
	}
	if err := scanner.Err(); err != nil {
		lines = append(lines, report.LogLine{Text: "(the rest can't be read: " + err.Error() + ")"})
	}
	return lines[max(0, len(lines)-keptLogLines):], nil
}

func lineTime(line string) (time.Time, bool) {
	if match := slogTime.FindStringSubmatch(line); match != nil {
		at, err := time.Parse(time.RFC3339Nano, match[1])
		return at, err == nil
	}
	if match := apacheTime.FindStringSubmatch(line); match != nil {
		at, err := time.ParseInLocation("2006-01-02 15:04:05.000", match[1]+"."+match[2], time.Local)
		return at, err == nil
	}
	return time.Time{}, false
}

// nodeLogName is a member's log in what was collected of it.
const nodeLogName = "node.log"

// keptAlarms bounds the alarming lines that are kept of a log.
const keptAlarms = 10

// logAlarms scans the whole log of each member.
func logAlarms(members []string, collected fs.FS) []workloads.MemberAlarms {
	out := make([]workloads.MemberAlarms, 0, len(members))
	for _, member := range members {
		alarms := workloads.MemberAlarms{Member: member}
		if err := scanAlarms(collected, path.Join(member, nodeLogName), &alarms); err != nil {
			alarms.Problem = err.Error()
		}
		out = append(out, alarms)
	}
	return out
}

func scanAlarms(collected fs.FS, name string, alarms *workloads.MemberAlarms) error {
	file, err := collected.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		if !workloads.LogAlarm(scanner.Text()) {
			continue
		}
		alarms.Count++
		if len(alarms.Lines) < keptAlarms {
			alarms.Lines = append(alarms.Lines, scanner.Text())
		}
	}
	return scanner.Err()
}
