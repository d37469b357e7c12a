package cluster

import (
	"fmt"
	"slices"
	"strings"
)

// zooConfig is a zoo.cfg as lines of key=value; comments and blank lines are
// dropped. The lab changes keys and leaves all else to the server.
type zooConfig struct {
	keys   []string // in the order of the file
	values map[string]string
}

func parseZooConfig(text string) (*zooConfig, error) {
	c := &zooConfig{values: make(map[string]string)}
	for number, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := c.setLine(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number+1, err)
		}
	}
	return c, nil
}

func (c *zooConfig) setLine(line string) error {
	key, value, found := strings.Cut(line, "=")
	if !found || strings.TrimSpace(key) == "" {
		return fmt.Errorf("%q is not key=value", line)
	}
	c.set(strings.TrimSpace(key), strings.TrimSpace(value))
	return nil
}

func (c *zooConfig) set(key, value string) {
	if _, known := c.values[key]; !known {
		c.keys = append(c.keys, key)
	}
	c.values[key] = value
}

func (c *zooConfig) remove(key string) {
	c.keys = slices.DeleteFunc(c.keys, func(k string) bool { return k == key })
	delete(c.values, key)
}

// setServers replaces the server list. A single member is a standalone server,
// which has none.
func (c *zooConfig) setServers(hosts []string) {
	c.keys = slices.DeleteFunc(c.keys, func(key string) bool { return strings.HasPrefix(key, "server.") })
	for key := range c.values {
		if strings.HasPrefix(key, "server.") {
			delete(c.values, key)
		}
	}
	if len(hosts) < 2 {
		return
	}
	for i, host := range hosts {
		c.set(fmt.Sprintf("server.%d", i+1), host+":2888:3888")
	}
}

func (c *zooConfig) String() string {
	var out strings.Builder
	for _, key := range c.keys {
		fmt.Fprintf(&out, "%s=%s\n", key, c.values[key])
	}
	return out.String()
}

// memberConfig makes the zoo.cfg of an ensemble: the compose file's, with the
// hosts as server list and the further lines.
func memberConfig(base string, hosts, extra []string) (*zooConfig, error) {
	c, err := parseZooConfig(base)
	if err != nil {
		return nil, fmt.Errorf("zoo.cfg: %w", err)
	}
	c.setServers(hosts)
	for _, line := range extra {
		if err := c.setLine(line); err != nil {
			return nil, fmt.Errorf("further zoo.cfg line: %w", err)
		}
	}
	return c, nil
}
