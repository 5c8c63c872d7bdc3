// Peer is what a mesh for operators in Go amounts to, with the features of the product that is measured beside it:
// httputil.ReverseProxy with TLS on both sides over client-go's transport, requests understood by the API server's own
// RequestInfo, a label selector added to lists and watches, requests counted and timed for Prometheus, and a control
// stream over gRPC that stays open.
package main

import (
	"context"
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

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"k8s.io/client-go/rest"
)

func main() {
	address := flag.String("listen", "127.0.0.1:0", "address to listen on")
	admin := flag.String("admin", "127.0.0.1:0", "address of metrics and health")
	certificate := flag.String("cert", "", "PEM file of the serving certificate")
	key := flag.String("key", "", "PEM file of its key")
	ca := flag.String("ca", "", "PEM file with the authority of the API server and the control stream")
	upstream := flag.String("upstream", "", "host:port of the API server")
	control := flag.String("control", "", "host:port of the control stream")
	selector := flag.String("selector", "", "label selector to add to lists and watches of pods")
	flag.Parse()

	if err := watchControl(*control, *ca); err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.ListenAndServe(*admin, adminHandler())) }()

	config := &rest.Config{Host: "https://" + *upstream, TLSClientConfig: rest.TLSClientConfig{CAFile: *ca}}
	transport, err := rest.TransportFor(config)
	if err != nil {
		log.Fatal(err)
	}
	target := &url.URL{Scheme: "https", Host: *upstream}
	quiet := log.New(io.Discard, "", 0)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      quiet,
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %d\n", listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{Handler: understand(proxy, *selector), ErrorLog: quiet}
	log.Fatal(server.ServeTLS(listener, *certificate, *key))
}

// watchControl opens the stream and reads it for as long as it lives. Returns when its first message has come.
func watchControl(address, ca string) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", ca)
	}
	security := credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(security))
	if err != nil {
		return err
	}
	client := grpc_health_v1.NewHealthClient(connection)
	stream, err := client.Watch(context.Background(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return err
	}
	if _, err := stream.Recv(); err != nil {
		return err
	}
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				log.Fatal(err)
			}
		}
	}()
	return nil
}
