// Bare is the least that a mesh for operators in Go can be: httputil.ReverseProxy with TLS on both sides, which parses
// what each request is and adds a label selector to lists and watches. Nothing tells it what to add, and nothing is
// counted.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"
)

func main() {
	address := flag.String("listen", "127.0.0.1:0", "address to listen on")
	certificate := flag.String("cert", "", "PEM file of the serving certificate")
	key := flag.String("key", "", "PEM file of its key")
	ca := flag.String("ca", "", "PEM file with the authority of the API server")
	upstream := flag.String("upstream", "", "host:port of the API server")
	selector := flag.String("selector", "", "label selector to add to lists and watches of pods")
	flag.Parse()

	pem, err := os.ReadFile(*ca)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		log.Fatalf("%s holds no certificate", *ca)
	}
	target := &url.URL{Scheme: "https", Host: *upstream}
	quiet := log.New(io.Discard, "", 0)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			addSelector(r.Out, *selector)
		},
		// The values of http.DefaultTransport and of client-go.
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second,
			MaxIdleConnsPerHost: 25,
			IdleConnTimeout:     90 * time.Second,
			ForceAttemptHTTP2:   true,
			DisableCompression:  true,
		},
		FlushInterval: -1,
		ErrorLog:      quiet,
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %d\n", listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{Handler: proxy, ErrorLog: quiet}
	log.Fatal(server.ServeTLS(listener, *certificate, *key))
}
