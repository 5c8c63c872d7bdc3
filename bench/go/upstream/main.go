// Upstream is a fake API server for the benchmark: HTTP/1.1 and HTTP/2 over TLS, one small object, two large lists
// and watches whose events say when they were sent. It refuses each list and watch of pods that does not carry the
// label selector which a proxy has to add, and counts them. Beside it a gRPC server offers a stream that stays open,
// for the peer that keeps one.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

const (
	// What a kube-apiserver of today allows is 100; 250 was its value for long and is what net/http serves by default.
	streamsPerConnection = 250
	resourceVersion      = "1000"
)

type server struct {
	selector   string
	object     []byte
	lists      map[string][]byte
	requests   atomic.Int64
	violations atomic.Int64
}

func main() {
	address := flag.String("listen", "127.0.0.1:0", "address to listen on")
	certificate := flag.String("cert", "", "PEM file of the serving certificate")
	key := flag.String("key", "", "PEM file of its key")
	control := flag.String("control", "127.0.0.1:0", "address of the gRPC server")
	selector := flag.String("selector", "", "text that every list and watch must carry in its label selector")
	flag.Parse()

	s := &server{
		selector: *selector,
		object:   pod(1, 1024),
		lists:    map[string][]byte{"": podList(500, 4000), "20m": podList(5000, 4000)},
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	controlPort, err := serveControl(*control, *certificate, *key)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %d control %d\n", listener.Addr().(*net.TCPAddr).Port, controlPort)
	httpServer := &http.Server{
		Handler:   s,
		TLSConfig: &tls.Config{NextProtos: []string{"h2", "http/1.1"}},
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: streamsPerConnection},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	log.Fatal(httpServer.ServeTLS(listener, *certificate, *key))
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/bench/counts" {
		counts := map[string]int64{"requests": s.requests.Load(), "violations": s.violations.Load()}
		_ = json.NewEncoder(w).Encode(counts)
		return
	}
	s.requests.Add(1)
	header := w.Header()
	header.Set("Audit-Id", "0b2f4b1e-7d5c-4d59-8a4e-3a1f1c1e1b1a")
	header.Set("Cache-Control", "no-cache, private")
	header.Set("Content-Type", "application/json")
	header.Set("X-Kubernetes-Pf-Flowschema-Uid", "6f1c5a31-5d0e-4b4e-9d59-0a7d9c2f1f3b")
	header.Set("X-Kubernetes-Pf-Prioritylevel-Uid", "c2a5f3de-90f4-4b9a-8a80-5c2e7e0d1a44")
	switch {
	case strings.HasSuffix(r.URL.Path, "/pods"):
		s.servePods(w, r)
	case strings.Contains(r.URL.Path, "/pods/"):
		header.Set("Content-Length", strconv.Itoa(len(s.object)))
		_, _ = w.Write(s.object)
	default:
		http.NotFound(w, r)
	}
}

// servePods answers a list or a watch; without the selector it answers neither.
func (s *server) servePods(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	selector := query.Get("labelSelector")
	if !strings.Contains(selector, s.selector) {
		s.violations.Add(1)
		http.Error(w, "the label selector is missing", http.StatusBadRequest)
		return
	}
	w.Header().Set("Bench-Selector", selector)
	switch {
	case query.Get("watch") != "":
		serveWatch(w, r)
	case query.Get("limit") == "1":
		// How the product asks for the newest resource version.
		_, _ = io.WriteString(w, `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"`+resourceVersion+`"},"items":[]}`)
	default:
		writeInPieces(w, s.lists[query.Get("benchSize")])
	}
}

// writeInPieces writes like an encoder that streams: chunked on HTTP/1.1, many DATA frames on HTTP/2.
func writeInPieces(w io.Writer, body []byte) {
	const pieceBytes = 64 * 1024
	for len(body) > 0 {
		piece := body[:min(pieceBytes, len(body))]
		if _, err := w.Write(piece); err != nil {
			return
		}
		body = body[len(piece):]
	}
}
