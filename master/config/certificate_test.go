package config

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

// noon is in the middle of the certificates' day.
var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func issue(t testing.TB, key crypto.Signer, size int) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: noon.Add(-12 * time.Hour), NotAfter: noon.Add(12 * time.Hour),
		DNSNames: []string{strings.Repeat("x", size)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: certificateType, Bytes: der})
}

func keyPEM(t testing.TB, kind string, der []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func certified(chain, key []byte, now time.Time) (Certificate, error) {
	r := Resolved{Config: Default()}
	r.Config.TLSCert, r.Config.TLSKey = "/cert", "/key"
	err := r.Certify(chain, key, now)
	return r.Config.Certificate, err
}

func TestCertifyTakesEveryUsualForm(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ecDER, ecErr := x509.MarshalECPrivateKey(ec)
	_, ed, edErr := ed25519.GenerateKey(rand.Reader)
	rs, rsErr := rsa.GenerateKey(rand.Reader, 2048)
	for _, err := range []error{err, ecErr, edErr, rsErr} {
		if err != nil {
			t.Fatal(err)
		}
	}
	edDER, edErr := x509.MarshalPKCS8PrivateKey(ed)
	for name, test := range map[string]struct {
		key  crypto.Signer
		file []byte
	}{
		"PKCS #8":      {ed, keyPEM(t, "PRIVATE KEY", edDER, edErr)},
		"EC":           {ec, keyPEM(t, "EC PRIVATE KEY", ecDER, nil)},
		"PKCS #1":      {rs, keyPEM(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rs), nil)},
		"a wrong name": {ec, keyPEM(t, "RSA PRIVATE KEY", ecDER, nil)},
	} {
		chain := append([]byte("Subject: words of openssl\n"), issue(t, test.key, 9)...)
		chain = append(chain, issue(t, ec, 9)...)
		both := append(bytes.Clone(test.file), chain...)
		for _, files := range [][2][]byte{{chain, test.file}, {both, both}} {
			c, err := certified(files[0], files[1], noon)
			if err != nil || len(c.Doubts) > 0 || strings.Count(c.Chain, "BEGIN ") != 2 || strings.Contains(c.Chain, "words") {
				t.Errorf("%s: %v, %v, %q", name, err, c.Doubts, c.Chain)
			}
			again, err := certified([]byte(c.Chain), []byte(c.Key), noon)
			if err != nil || again.Key != c.Key || again.Chain != c.Chain {
				t.Errorf("%s: read again it is another one, %v", name, err)
			}
		}
	}
}

func TestCertifyRefuses(t *testing.T) {
	t.Parallel()
	key, other := newKey(t), newKey(t)
	cert, keyFile, otherFile := issue(t, key, 9), fileOf(t, key), fileOf(t, other)
	encrypted := keyPEM(t, "ENCRYPTED PRIVATE KEY", []byte("x"), nil)
	for name, test := range map[string]struct {
		cert, key []byte
		want      string
	}{
		"empty":                {nil, keyFile, `tls-cert "/cert": there is no certificate in it, in PEM form`},
		"DER":                  {[]byte{0x30, 0x82}, keyFile, `tls-cert "/cert": there is no certificate in it, in PEM form`},
		"swapped":              {keyFile, cert, `tls-cert "/cert": there is a private key in it and no certificate`},
		"certificate twice":    {cert, cert, `tls-key "/key": there is a certificate in it and no private key`},
		"no key":               {cert, []byte("x"), `tls-key "/key": there is no private key in it, in PEM form`},
		"encrypted":            {cert, encrypted, `tls-key "/key": its key is encrypted`},
		"encrypted as of old":  {cert, []byte("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x,y\n\nAAAA\n-----END EC PRIVATE KEY-----\n"), `its key is encrypted`},
		"damaged key":          {cert, keyPEM(t, "PRIVATE KEY", []byte("secret"), nil), `tls-key "/key": its private key does not parse`},
		"damaged certificate":  {keyPEM(t, certificateType, []byte("x"), nil), keyFile, `tls-cert "/cert": certificate 1 in it does not parse`},
		"another's key":        {cert, otherFile, `tls-key "/key": it does not belong to the certificate in "/cert"`},
		"the wrong way around": {append(issue(t, other, 9), cert...), keyFile, `it belongs to a later certificate in "/cert"`},
		"too much":             {issue(t, key, CertificateMax), keyFile, `bytes, and 32768 are the limit`},
		"no text at all":       {make([]byte, FileMax+1), keyFile, `tls-cert "/cert": it is larger than 1MiB`},
		"likewise":             {cert, make([]byte, FileMax+1), `tls-key "/key": it is larger than 1MiB`},
	} {
		c, err := certified(test.cert, test.key, noon)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") || c.Chain != "" || c.Key != "" {
			t.Errorf("%s: %v, want one line with %s", name, err, test.want)
		}
	}
}

func TestCertifyDoubts(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	for when, want := range map[time.Time]string{
		noon:                      "",
		noon.Add(13 * time.Hour):  "has expired on 2030-01-02 00:00 UTC",
		noon.Add(-13 * time.Hour): "is not valid before 2030-01-01 00:00 UTC",
	} {
		c, err := certified(issue(t, key, 9), fileOf(t, key), when)
		if got := strings.Join(c.Doubts, "\n"); err != nil || (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("at %v: %q, %v, want %q", when, got, err, want)
		}
	}
}

// TestSecretsDoNotPrint: not even by mistake, in a message about a whole configuration.
func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	c := Default()
	c.Certificate.Key = "secret"
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if text := fmt.Sprintf(format, c) + fmt.Sprintf(format, &c) + fmt.Sprintf(format, c.Certificate.Key); strings.Contains(text, "secret") ||
			strings.Contains(text, fmt.Sprintf("%x", "secret")) {
			t.Errorf("%s prints it: %s", format, text)
		}
	}
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func fileOf(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return keyPEM(t, "PRIVATE KEY", der, err)
}
