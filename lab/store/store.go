package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// Names of the files of a run.
const (
	RunFile      = "run.json"
	HistoryFile  = "history.jsonl"
	HistoryEDN   = "history.edn"
	HistoryText  = "history.txt"
	ScheduleFile = "schedule.yaml"
	ResultsFile  = "results.json"
	ResultsEDN   = "results.edn"
	TreesFile    = "trees.json"
	FiguresFile  = "figures.json"
	ReportFile   = "report.html"
	JUnitFile    = "results.xml"
	SummaryFile  = "summary.md"
	LabLog       = "lab.log"

	latestLink = "latest"
	// timeLayout is Jepsen's yyyyMMdd'T'HHmmss.SSSZ.
	timeLayout = "20060102T150405.000-0700"
)

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.+-]{0,99}$`)

// Store is a directory of runs.
type Store struct {
	root string
}

// Open names the store at root; the directory is made when the first run is.
func Open(root string) *Store { return &Store{root: root} }

// Root is the directory of the store.
func (s *Store) Root() string { return s.root }

// Check says what keeps root from being a store. One that is not there yet can be made.
func (s *Store) Check() error {
	info, err := os.Stat(s.root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && !info.IsDir():
		err = fmt.Errorf("%s is a file", s.root)
	}
	if err != nil {
		return fmt.Errorf("%w; want the directory that keeps the runs", err)
	}
	return nil
}

// Create makes the directory of a new run and points the links to it. Two runs
// of one name in one millisecond get different directories.
func (s *Store) Create(name string, start time.Time) (*Run, error) {
	if !namePattern.MatchString(name) || name == latestLink {
		return nil, fmt.Errorf("run name %q: want up to 100 letters, digits and _ . + -", name)
	}
	parent := filepath.Join(s.root, name)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("make a place for the run: %w; name a directory that can be written with -store", err)
	}
	for range 1000 {
		dir := filepath.Join(parent, start.Format(timeLayout))
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			start = start.Add(time.Millisecond)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("make a place for the run: %w; name a directory that can be written with -store", err)
		}
		if err := relink(filepath.Join(parent, latestLink), filepath.Base(dir)); err != nil {
			return nil, err
		}
		if err := relink(filepath.Join(s.root, latestLink), filepath.Join(name, filepath.Base(dir))); err != nil {
			return nil, err
		}
		return &Run{Dir: dir}, nil
	}
	return nil, fmt.Errorf("no free directory below %s for a run at %s", parent, start)
}

// relink points a symbolic link to target, which is relative to it.
func relink(link, target string) error {
	temporary := fmt.Sprintf("%s.%d", link, os.Getpid())
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("link the newest run: %w", err)
	}
	if err := os.Symlink(target, temporary); err != nil {
		return fmt.Errorf("link the newest run: %w", err)
	}
	if err := os.Rename(temporary, link); err != nil {
		return fmt.Errorf("link the newest run: %w", err)
	}
	return nil
}

// Find opens a run by its directory, which may be a link such as store/latest.
func Find(dir string) (*Run, error) {
	resolved, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("no run at %s: %w; `go run ./lab list` shows the runs", dir, err)
	}
	if _, err := os.Stat(filepath.Join(resolved, RunFile)); err != nil {
		return nil, fmt.Errorf("%s is not the directory of a run: it has no %s; `go run ./lab list` shows the runs", dir, RunFile)
	}
	return &Run{Dir: resolved}, nil
}

// Run is the directory of one run. One without a directory keeps nothing of what is written.
type Run struct {
	Dir string
}

// Kept reports whether the run has a directory.
func (r *Run) Kept() bool { return r.Dir != "" }

// Path is the path of one of the run's files.
func (r *Run) Path(name string) string { return filepath.Join(r.Dir, name) }

// WriteFile replaces one of the run's files.
func (r *Run) WriteFile(name string, data []byte) error {
	return r.Write(name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Write replaces one of the run's files by what write produces. The old file
// stays if write fails.
func (r *Run) Write(name string, write func(io.Writer) error) error {
	if !r.Kept() {
		return nil
	}
	path := r.Path(name)
	file, err := os.Create(path + ".new")
	if err != nil {
		return fmt.Errorf("write %s: %w%s", path, err, remedy(err))
	}
	err = write(file)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w%s", path, err, remedy(err)), os.Remove(path+".new"))
	}
	return nil
}

// remedy is what helps where a disk takes no more: whatever was recorded can be judged later.
func remedy(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "; make room there, and then judge what was recorded: go run ./lab check DIR"
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return "; a run is judged where it can be written: copy its directory to such a place"
	}
	return ""
}

// WriteJSON replaces one of the run's files by a value in JSON.
func (r *Run) WriteJSON(name string, value any) error {
	if !r.Kept() {
		return nil
	}
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return r.WriteFile(name, append(data, '\n'))
}

// ReadJSON reads one of the run's files.
func (r *Run) ReadJSON(name string, value any) error {
	data, err := os.ReadFile(r.Path(name))
	if err != nil {
		return fmt.Errorf("read the run: %w", err)
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("%s is damaged, or of another version of the lab: %w", r.Path(name), err)
	}
	return nil
}
