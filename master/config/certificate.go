package config

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"
)

// CertificateMax bounds the certificates and the key of a service, in PEM form and
// together: each worker gets them in one message.
const CertificateMax = 32 << 10

// Certificate is what tls-cert and tls-key name, as somebody has read it. The zero
// value is none. It can be used: the key belongs to the first certificate.
type Certificate struct {
	Chain  string   // PEM, the server's own certificate first, and nothing but certificates
	Key    Secret   // PEM, PKCS #8
	Doubts []string // what an operator should hear of, each a line
}

// Secret prints as "(hidden)", however it is printed, by itself or in what holds it.
type Secret string

func (Secret) String() string   { return "(hidden)" }
func (Secret) GoString() string { return "(hidden)" }

// Certify judges what was read from tls-cert and tls-key and keeps it as the
// configuration's Certificate. The error is one line that says where the value
// stands, and never has a part of the key.
func (r *Resolved) Certify(chainFile, keyFile []byte, now time.Time) error {
	chain, why := readChain(chainFile)
	if why != "" {
		return r.Refuse("tls-cert", why)
	}
	key, why := readKey(keyFile)
	if why != "" {
		return r.Refuse("tls-key", why)
	}
	if !certifies(chain[0], key) {
		return r.Refuse("tls-key", whyUnlike(chain, key, r.Config.TLSCert))
	}
	c := Certificate{Doubts: doubts(chain[0], r.Config.TLSCert, now)}
	for _, one := range chain {
		c.Chain += string(pem.EncodeToMemory(&pem.Block{Type: certificateType, Bytes: one.Raw}))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return r.Refuse("tls-key", "its key is of a kind that cannot be handed to workers: write an RSA, ECDSA or Ed25519 key")
	}
	c.Key = Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if size := len(c.Chain) + len(c.Key); size > CertificateMax {
		return r.Refuse("tls-cert", fmt.Sprintf("certificates and key are %d bytes, and %d are the limit: leave certificates out that clients have already, such as the root's",
			size, CertificateMax))
	}
	r.Config.Certificate = c
	return nil
}

// Refuse says, as Resolve does, what is wrong with a key's value that only a look at
// the machine could show.
func (r Resolved) Refuse(name, why string) error {
	k, _ := findKey(name)
	return r.origins.of(name, "").find(&Problem{Key: name, Value: last(k.Words(r.Config)), Text: why})
}

const certificateType = "CERTIFICATE"

// tooLarge is the same for both files; who has read them may have stopped there.
var tooLarge = fmt.Sprintf("it is larger than %s, which no certificate and no key is: write the path of another file", FormatSize(FileMax))

// readChain gives the certificates of a PEM file, at least one, or why there is none.
func readChain(file []byte) (chain []*x509.Certificate, why string) {
	if len(file) > FileMax {
		return nil, tooLarge
	}
	blocks := blocksOf(file)
	for _, block := range blocks {
		if block.Type != certificateType {
			continue // a key in the same file, parameters
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Sprintf("certificate %d in it does not parse (%v): get the file anew from whoever issued it", len(chain)+1, err)
		}
		chain = append(chain, one)
	}
	switch {
	case len(chain) > 0:
		return chain, ""
	case slices.ContainsFunc(blocks, isKey):
		return nil, "there is a private key in it and no certificate: perhaps tls-cert and tls-key are swapped"
	}
	return nil, "there is no certificate in it, in PEM form: write the path of a file with BEGIN CERTIFICATE (openssl x509 -inform der makes one of DER)"
}

// readKey gives the first private key of a PEM file, or why there is none. The
// reason never quotes a parser, which could quote the file.
func readKey(file []byte) (key crypto.Signer, why string) {
	blocks := blocksOf(file)
	i := slices.IndexFunc(blocks, isKey)
	switch {
	case len(file) > FileMax:
		return nil, tooLarge
	case i < 0 && len(blocks) > 0 && blocks[0].Type == certificateType:
		return nil, "there is a certificate in it and no private key: perhaps tls-cert and tls-key are swapped"
	case i < 0:
		return nil, "there is no private key in it, in PEM form: write the path of a file with BEGIN PRIVATE KEY"
	case isEncrypted(blocks[i]):
		return nil, "its key is encrypted, and nobody is there to type the passphrase: decrypt it, for example with openssl pkey -in FILE -out FILE"
	}
	if key = parseKey(blocks[i].Bytes); key == nil {
		return nil, "its private key does not parse, or is none that can sign: write the file of an RSA, ECDSA or Ed25519 key"
	}
	return key, ""
}

// parseKey tries the three forms that are in use, since the names of PEM blocks lie.
func parseKey(der []byte) crypto.Signer {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		signer, _ := key.(crypto.Signer)
		return signer
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key
	}
	return nil
}

func blocksOf(file []byte) (blocks []*pem.Block) {
	for {
		var block *pem.Block
		if block, file = pem.Decode(file); block == nil {
			return blocks
		}
		blocks = append(blocks, block)
	}
}

func isKey(b *pem.Block) bool { return strings.HasSuffix(b.Type, "PRIVATE KEY") }

// isEncrypted knows both ways: PKCS #8 has a name for it, older files a header.
func isEncrypted(b *pem.Block) bool {
	return strings.HasPrefix(b.Type, "ENCRYPTED") || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED")
}

func certifies(certificate *x509.Certificate, key crypto.Signer) bool {
	public, ok := certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}

// whyUnlike says why key and chain do not go together.
func whyUnlike(chain []*x509.Certificate, key crypto.Signer, path string) string {
	if slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return certifies(c, key) }) {
		return fmt.Sprintf("it belongs to a later certificate in %.100q, and the server's own must be the first there: change their order", path)
	}
	return fmt.Sprintf("it does not belong to the certificate in %.100q: write the key for which that was issued", path)
}

// doubts are about what works here and not for clients, who may have another clock.
func doubts(c *x509.Certificate, path string, now time.Time) []string {
	const day = "2006-01-02 15:04 MST"
	switch {
	case now.After(c.NotAfter):
		return []string{fmt.Sprintf("the certificate in %.100q has expired on %s, and clients refuse it: renew it, then reload", path, c.NotAfter.UTC().Format(day))}
	case now.Before(c.NotBefore):
		return []string{fmt.Sprintf("the certificate in %.100q is not valid before %s, and clients refuse it: is the clock right?", path, c.NotBefore.UTC().Format(day))}
	}
	return nil
}
