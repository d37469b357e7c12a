package cli

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"zoolab/node/config"
	"zoolab/zk"
	"zoolab/zk/sasl"
	"zoolab/zk/tlsconf"
)

// The properties of Java's client that mean something here.
const (
	secureProperty  = "zookeeper.client.secure"
	sslPrefix       = "zookeeper.ssl."
	timeoutProperty = "zookeeper.request.timeout" // milliseconds
	bufferProperty  = "jute.maxbuffer"            // bytes
	jaasProperty    = "java.security.auth.login.config"
	sectionProperty = "zookeeper.sasl.clientconfig"
	saslProperty    = "zookeeper.sasl.client"
)

// flagVariables are the environment variables from which zkCli.sh takes flags of the Java
// machine, so that is where scripts set -Dzookeeper.client.secure=true and the like.
var flagVariables = []string{"CLIENT_JVMFLAGS", "JVMFLAGS"}

// clientOptions are what the properties of the environment and of a file, which may be
// empty, say about connections.
func clientOptions(file string) ([]zk.Option, error) {
	properties, err := clientProperties(file)
	if err != nil {
		return nil, err
	}
	var options []zk.Option
	for _, part := range []func(map[string]string) (zk.Option, error){tlsOption, saslOption, requestTimeoutOption, bufferOption} {
		option, err := part(properties)
		if err != nil {
			return nil, err
		}
		if option != nil {
			options = append(options, option)
		}
	}
	return options, nil
}

// clientProperties reads the environment, then the file, which counts more.
func clientProperties(file string) (map[string]string, error) {
	properties := make(map[string]string)
	for _, variable := range flagVariables {
		for flag := range strings.FieldsSeq(os.Getenv(variable)) {
			if definition, found := strings.CutPrefix(flag, "-D"); found {
				key, value, _ := strings.Cut(definition, "=")
				properties[key] = value
			}
		}
	}
	if file == "" {
		return properties, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-client-configuration: %w", err)
	}
	ofFile, err := config.Properties(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for key, value := range ofFile {
		properties[key] = value
	}
	return properties, nil
}

// tlsOption encrypts connections if the properties ask for it.
func tlsOption(properties map[string]string) (zk.Option, error) {
	if !strings.EqualFold(properties[secureProperty], "true") {
		return nil, nil
	}
	settings := tlsconf.Settings{Prefix: sslPrefix}
	for key, value := range properties {
		if name, found := strings.CutPrefix(key, sslPrefix); found {
			if err := settings.Set(name, value); err != nil {
				return nil, err
			}
		}
	}
	stores, err := tlsconf.Open(settings, nil)
	if err != nil {
		return nil, err
	}
	return zk.WithDialer(stores.Dial), nil
}

// saslOption proves who the client is if there is a JAAS file.
func saslOption(properties map[string]string) (zk.Option, error) {
	file := properties[jaasProperty]
	if file == "" || strings.EqualFold(properties[saslProperty], "false") {
		return nil, nil
	}
	fail := func(err error) (zk.Option, error) { return nil, fmt.Errorf("%s %s: %w", jaasProperty, file, err) }
	text, err := os.ReadFile(file)
	if err != nil {
		return fail(err)
	}
	jaas, err := sasl.ParseJAAS(string(text))
	if err != nil {
		return fail(err)
	}
	section := properties[sectionProperty]
	if section == "" {
		section = "Client"
	}
	modules := jaas[section]
	if len(modules) == 0 {
		return nil, nil // as Java's client, which then does without
	}
	module := modules[0]
	if module.Class != sasl.DigestLoginModule {
		return fail(fmt.Errorf("section %s uses %s; only %s is supported (no Kerberos)", section, module.Class, sasl.DigestLoginModule))
	}
	user, password := module.Options["username"], module.Options["password"]
	if user == "" {
		return fail(errors.New("section " + section + ` has no username="..."`))
	}
	return zk.WithSASL(user, password), nil
}

func requestTimeoutOption(properties map[string]string) (zk.Option, error) {
	ms, err := numberProperty(properties, timeoutProperty)
	if err != nil || ms == 0 {
		return nil, err
	}
	return zk.WithRequestTimeout(time.Duration(ms) * time.Millisecond), nil
}

// bufferOption bounds requests. What a server sends is bounded generously anyway.
func bufferOption(properties map[string]string) (zk.Option, error) {
	sizeBytes, err := numberProperty(properties, bufferProperty)
	if err != nil || sizeBytes == 0 {
		return nil, err
	}
	return zk.WithMaxRequestSize(sizeBytes), nil
}

// numberProperty returns a property's value, 0 if it is not set. As Java's, it may be
// hexadecimal.
func numberProperty(properties map[string]string, key string) (int, error) {
	text := properties[key]
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 0, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s: %q is no number from 0 to 2147483647", key, text)
	}
	return int(n), nil
}
