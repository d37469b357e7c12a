package config

import (
	"slices"
	"strings"
)

// Environment is what environment variables say about a server. EnvironmentOf reads it.
type Environment struct {
	// MyID is ZOO_MY_ID, which container images set; it counts where there is no myid file.
	MyID string
	// JavaFlags are the words of SERVER_JVMFLAGS and JVMFLAGS, in which Apache's users set
	// properties of the server: -Dzookeeper.NAME=VALUE.
	JavaFlags []string
}

// EnvironmentOf reads the variables; getenv is os.Getenv.
func EnvironmentOf(getenv func(string) string) Environment {
	// As in zkServer.sh: a shell splits the variables at blanks and takes quotes as they are.
	flags := strings.Fields(getenv("SERVER_JVMFLAGS") + " " + getenv("JVMFLAGS"))
	return Environment{MyID: getenv("ZOO_MY_ID"), JavaFlags: flags}
}

// environmentFile stands for the name of a file in messages about the environment.
const environmentFile = "environment"

// fileOnly are the settings that Apache's server reads from zoo.cfg alone.
var fileOnly = []string{
	"autopurge.purgeInterval", "autopurge.snapRetainCount", "clientPort", "clientPortAddress", "clientPortListenBacklog",
	"connectToLearnerMasterLimit", "dataDir", "dataLogDir", "dynamicConfigFile", "electionAlg", "initLimit",
	"localSessionsEnabled", "localSessionsUpgradingEnabled", "maxClientCnxns", "maxSessionTimeout", "minSessionTimeout",
	"metricsProvider.className", "metricsProvider.exportJvmInfo", "metricsProvider.httpHost", "metricsProvider.httpPort",
	"multiAddress.enabled", "multiAddress.reachabilityCheckEnabled", "multiAddress.reachabilityCheckTimeoutMs",
	"observerMasterPort", "peerType", "quorumListenOnAllIPs", "reconfigEnabled", "secureClientPort",
	"secureClientPortAddress", "sslQuorum", "standaloneEnabled", "syncLimit", "tickTime",
}

// barePrefixes begin the properties whose names have no "zookeeper." in Java, with which all
// others begin. A flag that begins with neither is for the Java machine.
var barePrefixes = []string{"fsync.warningthresholdms", "java.security.auth.login.config", "jute.maxbuffer", "readonlymode.enabled", "znode.container."}

// silentFlags begin flags that only tell Java where and how to write its log.
var silentFlags = []string{"auditlog.", "console.", "jmx.", "log.", "root.logger", "tracelog."}

// readFlags takes the properties of the flags, of several with one name the last. As in
// Apache's server, what zoo.cfg says counts more.
func (p *parser) readFlags() {
	values := make(map[string]string)
	var names []string
	for _, flag := range p.options.Env.JavaFlags {
		definition, isProperty := strings.CutPrefix(flag, "-D")
		name, value, _ := strings.Cut(definition, "=")
		if !isProperty || !concernsServer(name) {
			continue
		}
		names = append(names, name)
		values[name] = value
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		canonical, spec := canonicalKey(name)
		if _, given := p.lines[canonical]; given {
			continue
		}
		if slices.Contains(fileOnly, canonical) {
			p.warnings = append(p.warnings, Warning{File: environmentFile, Key: "-D" + name,
				Problem: "has no effect as a flag, with Apache's server neither; write " + canonical + "=" + values[name] + " into " + p.File})
			continue
		}
		p.lines[canonical] = place{file: environmentFile, key: "-D" + name}
		p.takeProperty(canonical, spec, values[name])
	}
}

func concernsServer(name string) bool {
	begins := func(name string) func(string) bool {
		return func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	}
	if bare, ok := strings.CutPrefix(name, propertyPrefix); ok {
		return !slices.ContainsFunc(silentFlags, begins(bare))
	}
	return slices.ContainsFunc(barePrefixes, begins(name))
}
