package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"prefork/internal/testproc"
)

// pair is a certificate for 127.0.0.1 and its key, in files.
type pair struct{ cert, key string }

func (p pair) flags(more ...string) []string {
	return append([]string{"--tls-cert", p.cert, "--tls-key", p.key}, more...)
}

// issue writes a new certificate with a serial number, and its key, over what is there.
func (p pair) issue(t testing.TB, serial int64, until time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: until, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	write(t, p.cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, p.key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}

func issued(t testing.TB, serial int64) pair {
	t.Helper()
	dir := t.TempDir()
	p := pair{filepath.Join(dir, "shop.pem"), filepath.Join(dir, "shop.key")}
	p.issue(t, serial, time.Now().Add(time.Hour))
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// handshake shows the serial number that a server has, and whether it resumed.
func handshake(t testing.TB, address string, sessions tls.ClientSessionCache) (serial int64, resumed bool, by string) {
	t.Helper()
	// Not verified: the tests compare serial numbers.
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: sessions})
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(testproc.Patience)))
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(c)
	must(t, err)
	_, by, _ = strings.Cut(string(answer), "\r\n\r\n")
	state := c.ConnectionState()
	return state.PeerCertificates[0].SerialNumber.Int64(), state.DidResume, by
}

// TestReloadOfACertificateLosesNothing: the files are read again though nothing else
// has changed, and a broken pair changes nothing.
func TestReloadOfACertificateLosesNothing(t *testing.T) {
	t.Parallel()
	p := issued(t, 1)
	m, st := ready(t, p.flags("--workers", "2")...)
	stop := underTLSLoad(t, addr(st))

	p.issue(t, 2, time.Now().Add(time.Hour))
	if r := m.Run(t, "reload"); r.Code != 0 {
		t.Fatalf("reload: %v", r)
	}
	if serial, _, _ := handshake(t, addr(st), nil); serial != 2 {
		t.Errorf("after the reload the serial number is %d, want 2", serial)
	}

	before := m.Status(t)
	other := issued(t, 3)
	key, err := os.ReadFile(other.key)
	must(t, err)
	write(t, p.key, string(key))
	oneLine(t, m.Run(t, "reload"), 2, `--tls-key "`+p.key+`": it does not belong to the certificate in "`+p.cert+`"`)
	if after := m.Status(t); after.Generation != before.Generation || len(pids(after)) != 2 || pids(after)[0] != pids(before)[0] {
		t.Errorf("after a broken reload the status is %+v, want %+v", after, before)
	}
	if serial, _, _ := handshake(t, addr(st), nil); serial != 2 {
		t.Errorf("after a broken reload the serial number is %d, want 2", serial)
	}
	if failed, answered := stop(); len(failed) > 0 || answered == 0 {
		t.Errorf("%d answered, %d failed: %.500v", answered, len(failed), failed)
	}
}

// underTLSLoad has clients ask without a pause until stop is called: by HTTP/2, on a
// connection for each request, and on connections that they keep. Only the last may
// ask again, by GET: an idle connection can end while a request is on its way.
func underTLSLoad(t *testing.T, address string) (stop func() (failed []error, answered int64)) {
	var (
		mu       sync.Mutex
		failed   []error
		answered atomic.Int64
		clients  sync.WaitGroup
		enough   = make(chan struct{})
	)
	for i := range 6 {
		transport := &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
			ForceAttemptHTTP2: i%3 == 0,
			DisableKeepAlives: i%3 == 1,
		}
		method := "POST"
		if i%3 == 2 {
			method = "GET"
		}
		clients.Go(func() {
			defer transport.CloseIdleConnections()
			for {
				select {
				case <-enough:
					return
				default:
				}
				if err := exchange(transport, method, address); err != nil {
					mu.Lock()
					failed = append(failed, err)
					mu.Unlock()
				}
				answered.Add(1)
			}
		})
	}
	testproc.Await(t, "the load is under way", func() bool { return answered.Load() > 50 })
	var once sync.Once
	stop = func() ([]error, int64) {
		once.Do(func() { close(enough) })
		clients.Wait()
		return failed, answered.Load()
	}
	t.Cleanup(func() { stop() })
	return stop
}

func exchange(transport *http.Transport, method, address string) error {
	request, err := http.NewRequest(method, "https://"+address+"/", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: transport, Timeout: testproc.Patience}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// TestSessionsSurviveWorkersAndReloads: whoever a client meets next resumes its session.
func TestSessionsSurviveWorkersAndReloads(t *testing.T) {
	t.Parallel()
	p := issued(t, 1)
	m, st := ready(t, p.flags("--workers", "3")...)
	sessions := tls.NewLRUClientSessionCache(1)
	handshake(t, addr(st), sessions)
	for generation := range 3 {
		met := map[string]bool{}
		testproc.Await(t, "the client has met two workers", func() bool {
			_, resumed, by := handshake(t, addr(st), sessions)
			if !resumed {
				t.Fatalf("generation %d: %q did not resume the session", generation+1, by)
			}
			met[by] = true
			return len(met) >= 2
		})
		if r := m.Run(t, "reload"); r.Code != 0 {
			t.Fatalf("reload: %v", r)
		}
	}
}

// TestKeyIsNowhere: only the file and the workers have it.
func TestKeyIsNowhere(t *testing.T) {
	t.Parallel()
	p := issued(t, 1)
	text, err := os.ReadFile(p.key)
	must(t, err)
	secret := strings.Split(string(text), "\n")[1] // of the key's base64
	m, st := ready(t, p.flags("--log-level", "debug", "--log-format", "json")...)
	handshake(t, addr(st), nil)
	places := map[string]string{
		"status":  m.Run(t, "status", "--json").Stdout,
		"check":   command(t, append([]string{"check"}, p.flags()...)...).Stdout,
		"the log": m.Output(),
	}
	for slot, pid := range pids(st) {
		for _, file := range []string{"environ", "cmdline"} {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
			must(t, err)
			places[fmt.Sprintf("%s of slot %d", file, slot)] = string(b)
		}
	}
	must(t, os.WriteFile(p.key, text[:len(text)/2], 0o600))
	broken := m.Run(t, "reload")
	oneLine(t, broken, 2, `--tls-key "`+p.key+`": there is no private key in it`)
	places["a refusal"] = broken.Stderr
	for place, said := range places {
		if said == "" || strings.Contains(said, secret) {
			t.Errorf("%s has the key, or is empty:\n%.1000s", place, said)
		}
	}
}

func TestTLSIsRefused(t *testing.T) {
	t.Parallel()
	p, other := issued(t, 1), issued(t, 2)
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"no key", []string{"--tls-cert", p.cert}, `--tls-cert "` + p.cert + `": there is no tls-key`},
		{"no certificate", []string{"--tls-key", p.key}, `--tls-key "` + p.key + `": there is no tls-cert`},
		{"another key", pair{p.cert, other.key}.flags(), "it does not belong to the certificate"},
		{"swapped", pair{p.key, p.cert}.flags(), "perhaps tls-cert and tls-key are swapped"},
		{"folder", pair{filepath.Dir(p.cert), p.key}.flags(), "this is a folder"},
		{"reactor", p.flags("--engine", "reactor"), `--engine "reactor": TLS needs the engine goroutines`},
		{"echo", p.flags("--app", "echo"), `the app echo runs on the engine reactor, which has no TLS`},
		{"COMMAND", p.flags("--", "sh"), `a COMMAND ("sh") reads from its connections itself`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, verb := range []string{"check", "run"} {
				oneLine(t, command(t, append([]string{verb, "--listen", "127.0.0.1:0"}, test.args...)...), 2, test.want)
			}
		})
	}
}

// TestDoubtsAboutACertificate: it is used, and said once what clients will say.
func TestDoubtsAboutACertificate(t *testing.T) {
	t.Parallel()
	p := issued(t, 1)
	expired := time.Date(2020, 2, 3, 4, 5, 0, 0, time.UTC)
	p.issue(t, 1, expired)
	must(t, os.Chmod(p.key, 0o644))
	wants := []string{"has expired on 2020-02-03 04:05 UTC", "every user of this machine may read the key"}
	r := command(t, append([]string{"check"}, p.flags()...)...)
	m, st := ready(t, p.flags("--workers", "2", "--log-format", "json")...)
	if serial, _, _ := handshake(t, addr(st), nil); serial != 1 || r.Code != 0 {
		t.Errorf("serial number %d and exit code %d, want 1 and 0", serial, r.Code)
	}
	for _, want := range wants {
		if n := strings.Count(r.Stderr, want); n != 1 {
			t.Errorf("check says %d times that %s:\n%s", n, want, r.Stderr)
		}
		if n := strings.Count(m.Output(), want); n != 1 {
			t.Errorf("the log says %d times that %s:\n%s", n, want, m.Output())
		}
	}
}
