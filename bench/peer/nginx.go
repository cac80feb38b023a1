package peer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Nginx is an nginx that answers every request with one body.
type Nginx struct {
	Path string // of the program
	Dir  string // for its configuration and files; exists, and is its own
	Addr string // IP:PORT
	// Workers is the number of worker processes, at least 1.
	Workers int
	// Reuseport gives each worker a socket of its own; without it they share one.
	Reuseport bool
	// Deferred wakes a worker only when a request has come (TCP_DEFER_ACCEPT).
	Deferred bool
	// Body is the answer, text/plain.
	Body string
	// Identify answers with the process that answered instead of Body, in the line
	// that bench/load knows: "hello from slot 0 generation 0 pid 4242".
	Identify bool
	// Connections is the most that a worker may have; 0 means 16,384.
	Connections int
}

// Configuration is the text of the file. Limits that would end a long keep-alive
// connection, and the access log, are off: what is measured is serving.
func (n Nginx) Configuration() string {
	connections := n.Connections
	if connections == 0 {
		connections = 16384
	}
	listen := n.Addr
	if n.Reuseport {
		listen += " reuseport"
	}
	if n.Deferred {
		listen += " deferred"
	}
	quoted := strings.NewReplacer("\\", `\\`, `"`, `\"`, "\n", `\n`, "$", "").Replace(n.Body)
	if n.Identify {
		quoted = `hello from slot 0 generation 0 pid $pid\n`
	}
	return fmt.Sprintf(`daemon off;
worker_processes %d;
worker_rlimit_nofile %d;
pid %[3]s/nginx.pid;
error_log stderr warn;
events { worker_connections %[4]d; }
http {
	access_log off;
	client_body_temp_path %[3]s/body;
	proxy_temp_path %[3]s/proxy;
	fastcgi_temp_path %[3]s/fastcgi;
	uwsgi_temp_path %[3]s/uwsgi;
	scgi_temp_path %[3]s/scgi;
	keepalive_requests 1000000000;
	keepalive_timeout 1h;
	types { }
	default_type "text/plain; charset=utf-8";
	server {
		listen %[5]s;
		location / { return 200 "%[6]s"; }
	}
}
`, n.Workers, connections+1024, n.Dir, connections, listen, quoted)
}

// Write writes the configuration. A running nginx reads it again at SIGHUP.
func (n Nginx) Write() error { return os.WriteFile(n.file(), []byte(n.Configuration()), 0o600) }

func (n Nginx) file() string { return filepath.Join(n.Dir, "nginx.conf") }

// Spec writes the configuration and returns what to start.
func (n Nginx) Spec() (Spec, error) {
	if err := n.Write(); err != nil {
		return Spec{}, fmt.Errorf("configure nginx: %w", err)
	}
	name := "nginx shared queue"
	if n.Reuseport {
		name = "nginx reuseport"
	}
	// -e: else it opens its built-in log file before it reads the configuration.
	return Spec{Name: name, Args: []string{n.Path, "-e", "stderr", "-p", n.Dir, "-c", n.file()}, Addr: n.Addr}, nil
}
