package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"zoolab/node/config"
	"zoolab/node/member"
)

const initUsage = `usage: node init [--configfile FILE] [--myid N] [--force]

Makes the data directories of a new member, as zoo.cfg names them, with its id, and allows
it to start without data (the file initialize: see db.autocreate).

  --configfile FILE  zoo.cfg; by default the file ZOOCFG (zoo.cfg) in the directory
                     ZOOCFGDIR (conf)
  --myid N           the id of this member, 1 to 255; not needed for a server alone
  --force            also if there is data, ALL OF WHICH IS REMOVED
`

// Init makes the data directories of a new member, as zkServer-initialize.sh. It refuses
// the directories of a running server, even with --force.
func Init(args []string, s Streams) int {
	c := newCommand("node init", initUsage, s)
	file := c.flags.String("configfile", "", "")
	myid := c.flags.String("myid", "", "")
	force := c.flags.Bool("force", false, "")
	if _, code := c.parse(args, 0, 0); code >= 0 {
		return code
	}
	if id, err := strconv.Atoi(*myid); *myid != "" && (err != nil || id < 1 || id > 255) {
		return c.wrong("--myid %q is not a number from 1 to 255", *myid)
	}
	if *file == "" {
		*file = defaultConfigFile()
	}
	text, err := os.ReadFile(*file)
	if err != nil {
		return c.wrong("Unable to find config file at %s: %v", *file, err)
	}
	settings, err := config.Properties(string(text))
	if err != nil {
		return c.wrong("%s: %v", *file, err)
	}
	if settings["dataDir"] == "" {
		return c.wrong("Unable to determine dataDir from %s", *file)
	}
	if err := c.initialize(settings["dataDir"], settings["dataLogDir"], *myid, *force); err != nil {
		return c.failed(err)
	}
	return exitDone
}

func defaultConfigFile() string {
	dir, name := os.Getenv("ZOOCFGDIR"), os.Getenv("ZOOCFG")
	if dir == "" {
		dir = "conf"
	}
	if name == "" {
		name = "zoo.cfg"
	}
	return filepath.Join(dir, name)
}

func (c *command) initialize(dataDir, dataLogDir, myid string, force bool) error {
	dirs := []string{dataDir}
	if dataLogDir != "" && filepath.Clean(dataLogDir) != filepath.Clean(dataDir) {
		dirs = append(dirs, dataLogDir)
	}
	if force {
		fmt.Fprintln(c.Out, "Force enabled, data/txnlog directories will be re-initialized")
	} else if i := slices.IndexFunc(dirs, hasVersion); i >= 0 {
		kind := []string{"data", "txnlog"}[i]
		return fmt.Errorf("ZooKeeper %s directory already exists at %s (or use --force to force re-initialization)", kind, dirs[i])
	}
	unlock, err := member.LockDirs(dirs...)
	if err != nil {
		return err
	}
	defer unlock()
	for _, dir := range dirs {
		version := filepath.Join(dir, "version-2")
		if err := errors.Join(removeFile(filepath.Join(dir, "myid")), os.RemoveAll(version), os.MkdirAll(version, 0o750)); err != nil {
			return err
		}
	}
	if myid != "" {
		fmt.Fprintf(c.Out, "Using myid of %s\n", myid)
		if err := os.WriteFile(filepath.Join(dataDir, "myid"), []byte(myid+"\n"), 0o640); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.Out, "No myid provided, be sure to specify it in %s/myid if using non-standalone\n", dataDir)
	}
	return os.WriteFile(filepath.Join(dataDir, member.InitializeName), nil, 0o640)
}

// hasVersion reports whether a directory has data, or can't be looked at.
func hasVersion(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "version-2"))
	return !errors.Is(err, fs.ErrNotExist)
}

func removeFile(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
