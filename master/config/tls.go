package config

// TLS tells whether the workers speak TLS.
func (c Config) TLS() bool { return c.TLSCert != "" || c.TLSKey != "" }

// checkTLS looks at the words only: what the files hold is judged by Certify.
func (p *problems) checkTLS(c Config) {
	if !c.TLS() {
		return
	}
	key, value := "tls-cert", c.TLSCert
	if value == "" {
		key, value = "tls-key", c.TLSKey
	}
	switch {
	case c.TLSKey == "":
		p.add(key, value, "there is no tls-key, and a certificate is of no use without its key: write both, or leave both out")
	case c.TLSCert == "":
		p.add(key, value, "there is no tls-cert, and a key is of no use without its certificate: write both, or leave both out")
	case len(c.Command) > 0:
		p.add(key, value, "a COMMAND (%.100q) reads from its connections itself, so TLS is its own business: leave tls-cert and tls-key out, and tell the COMMAND", c.Command[0])
	case c.App == appEcho:
		p.add(key, value, "the app echo runs on the engine reactor, which has no TLS: leave tls-cert and tls-key out, or write another app")
	case c.Engine == engineReactor:
		p.add("engine", c.Engine, "TLS needs the engine goroutines: write goroutines, or leave engine out, or leave tls-cert and tls-key out")
	}
	p.checkFilePath("tls-cert", c.TLSCert)
	p.checkFilePath("tls-key", c.TLSKey)
}
