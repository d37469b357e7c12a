package config

import (
	"errors"
	"slices"
	"strings"

	"zoolab/zk/tlsconf"
)

const (
	clientTLSPrefix = "ssl."
	quorumTLSPrefix = "ssl.quorum."
)

// tlsSettings are the settings of package tlsconf behind a prefix.
func tlsSettings(prefix string, field func(d *draft) *tlsconf.Settings) []setting {
	var settings []setting
	for _, name := range tlsconf.Names() {
		settings = append(settings, setting{key: prefix + name, set: func(d *draft, _, value string) *fault {
			if err := field(d).Set(name, value); err != nil {
				return tlsFault(err)
			}
			return nil
		}})
	}
	return settings
}

func tlsFault(err error) *fault {
	if setting := (*tlsconf.Error)(nil); errors.As(err, &setting) {
		return &fault{problem: setting.Problem, fix: setting.Fix}
	}
	return &fault{problem: err.Error()}
}

// setCertReload is client.certReload, which Apache has from 3.8.1 on.
func setCertReload(d *draft, key, value string) *fault {
	reload := true
	f := setWord(&reload, key, value, "true", "false")
	d.Clients.TLS.NoReload = !reload
	return f
}

// checkTLS makes sure that a client port that is to be encrypted can be.
func (p *parser) checkTLS() {
	if p.Clients.SecureAddr.Port == 0 && !p.Clients.PortUnification {
		return
	}
	if p.Clients.PortUnification && p.Clients.Addr.Port == 0 && len(p.errs) == 0 {
		p.warn("client.portUnification", "has no effect, since clientPort is not set")
	}
	p.checkTLSOf(&p.Clients.TLS)
}

// checkTLSOf checks the settings of a port that is encrypted.
func (p *parser) checkTLSOf(settings *tlsconf.Settings) {
	var setting *tlsconf.Error
	if err := settings.CheckServer(); errors.As(err, &setting) {
		// Settings that could not be read would cause untrue complaints here.
		if !slices.ContainsFunc(p.errs, func(e *Error) bool { return strings.Contains(e.Key, settings.Prefix) }) {
			p.fail(setting.Key, tlsFault(setting))
		}
		return
	}
	for _, warning := range settings.Warnings() {
		p.warn(warning.Key, "%s", warning.Problem)
	}
}
