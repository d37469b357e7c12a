// Package apache starts real Apache ZooKeeper 3.8.0 processes for tests,
// captures and benchmarks that compare this server with the original.
//
// It runs the jars of Debian's zookeeper package on loopback ports, one Java
// process a member, and gives back only when a member answers on its client
// port. A Server is owned by the goroutine that started it: Stop and Kill may
// be called from any goroutine and more than once, Restart only when the
// process has ended. The package keeps no global state but the ports that it gave
// out, and starts nothing by itself, so a caller that stops what it started leaves nothing behind.
package apache

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// jarDir is where Debian's packages put their jars.
const jarDir = "/usr/share/java"

// requiredJars are the jars named on the class path. The manifest of
// zookeeper.jar names the others, by absolute path.
var requiredJars = []string{"zookeeper.jar", "zookeeper-jute.jar", "slf4j-api.jar", "slf4j-simple.jar"}

// adminJars are needed by the AdminServer beyond those that the manifest names. A server
// whose AdminServer is off runs without them.
var adminJars = []string{"servlet-api.jar", "jetty9-util-ajax.jar"}

// AdminAvailable reports whether the AdminServer can be started, too, as Available does.
func AdminAvailable() error {
	if err := Available(); err != nil {
		return err
	}
	for _, jar := range append([]string{"jetty9-server.jar", "jackson-databind.jar"}, adminJars...) {
		if _, err := os.Stat(filepath.Join(jarDir, jar)); err != nil {
			return fmt.Errorf("%w with its AdminServer: %s is missing; install it with: apt-get install libjetty9-java libservlet-api-java libjackson2-databind-java",
				ErrUnavailable, jar)
		}
	}
	return nil
}

// ErrUnavailable says that this machine can't run Apache ZooKeeper. The error
// that wraps it names what is missing and what to install.
var ErrUnavailable = errors.New("no Apache ZooKeeper on this machine")

// Available reports whether Apache ZooKeeper can be started here: nil, or an
// error that wraps ErrUnavailable and says what to install.
func Available() error {
	const remedy = "install it with: apt-get install zookeeper default-jre-headless"
	if _, err := exec.LookPath("java"); err != nil {
		return fmt.Errorf("%w: no java on the PATH; %s", ErrUnavailable, remedy)
	}
	for _, jar := range requiredJars {
		path := filepath.Join(jarDir, jar)
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%w: %s is missing; %s", ErrUnavailable, path, remedy)
		}
	}
	return nil
}

// ClassPath is the Java class path under which the server, the command-line
// client and any program written against the Java client run, with TLS where
// Debian's netty is installed.
func ClassPath() string {
	var paths []string
	for _, jar := range slices.Concat(requiredJars, adminJars) {
		paths = append(paths, filepath.Join(jarDir, jar))
	}
	return strings.Join(append(paths, nettyJars()...), ":")
}

// nettyJars are the links without a version of netty's jars; zookeeper.jar's
// manifest names only some of those that TLS needs.
func nettyJars() []string {
	jars, err := filepath.Glob(filepath.Join(jarDir, "netty-*.jar"))
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(jars, func(jar string) bool { return strings.ContainsAny(filepath.Base(jar), "0123456789") })
}

// TLSAvailable is Available for servers and clients that use TLS.
func TLSAvailable() error {
	if err := Available(); err != nil {
		return err
	}
	if len(nettyJars()) == 0 {
		return fmt.Errorf("%w with TLS: no netty in %s; install it with: apt-get install libnetty-java", ErrUnavailable, jarDir)
	}
	return nil
}

// Version names the version of the installed server, such as "3.8.0", read
// from the name of the jar's versioned link; "unknown" if there is none.
func Version() string {
	links, err := filepath.Glob(filepath.Join(jarDir, "zookeeper-[0-9]*.jar"))
	if err != nil || len(links) == 0 {
		return "unknown"
	}
	name := strings.TrimSuffix(filepath.Base(links[0]), ".jar")
	return strings.TrimPrefix(name, "zookeeper-")
}
