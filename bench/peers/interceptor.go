// SPDX-License-Identifier: ISC

// What somebody would write in an afternoon with Go's standard library: an
// intercepting proxy that checks a token, swaps in the real credential and
// forwards over verified TLS. For comparison only.
//
// usage: interceptor LISTEN CA-CERT CA-KEY ORIGIN-CA   (TOKEN, KEY in the
// environment)
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"sync"
	"time"
)

var (
	ca     tls.Certificate
	caCert *x509.Certificate
	leaves sync.Map
	token  = []byte(os.Getenv("TOKEN"))
)

func leaf(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c, ok := leaves.Load(hello.ServerName); ok {
		return c.(*tls.Certificate), nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	now := time.Now()
	t := x509.Certificate{SerialNumber: serial,
		Subject:   pkix.Name{CommonName: hello.ServerName},
		DNSNames:  []string{hello.ServerName},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &t, caCert, &key.PublicKey, ca.PrivateKey)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	leaves.Store(hello.ServerName, c)
	return c, nil
}

// One accepted connection as a listener, for http.Server.
type single struct {
	c    net.Conn
	once sync.Once
	done chan struct{}
}

func (s *single) Accept() (net.Conn, error) {
	var c net.Conn
	s.once.Do(func() { c = s.c })
	if c != nil {
		return c, nil
	}
	<-s.done
	return nil, net.ErrClosed
}
func (s *single) Close() error   { return nil }
func (s *single) Addr() net.Addr { return s.c.LocalAddr() }

func main() {
	var err error
	if ca, err = tls.LoadX509KeyPair(os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
	if caCert, err = x509.ParseCertificate(ca.Certificate[0]); err != nil {
		log.Fatal(err)
	}
	pem, err := os.ReadFile(os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{MaxIdleConnsPerHost: 512, MaxIdleConns: 512,
		DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: roots}}
	bearer := "Bearer " + os.Getenv("KEY")
	config := &tls.Config{GetCertificate: leaf}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		c, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(c, config, transport, bearer)
	}
}

func serve(c net.Conn, config *tls.Config, transport http.RoundTripper, bearer string) {
	r := bufio.NewReader(c)
	req, err := http.ReadRequest(r)
	if err != nil || req.Method != "CONNECT" {
		c.Close()
		return
	}
	target := req.Host
	if _, err := c.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")); err != nil {
		return
	}
	proxy := &httputil.ReverseProxy{Transport: transport,
		Director: func(q *http.Request) {
			q.URL.Scheme, q.URL.Host = "https", target
			q.Header.Del("X-Token")
			q.Header.Set("Authorization", bearer)
		}}
	s := &single{c: tls.Server(c, config), done: make(chan struct{})}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if subtle.ConstantTimeCompare([]byte(q.Header.Get("X-Token")), token) != 1 {
				http.Error(w, "no", http.StatusForbidden)
				return
			}
			proxy.ServeHTTP(w, q)
		}),
		ConnState: func(_ net.Conn, st http.ConnState) {
			if st == http.StateClosed {
				close(s.done)
			}
		}}
	server.Serve(s)
}
