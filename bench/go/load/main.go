// Load puts load on a proxy like an operator built on client-go does, and prints what it saw as one JSON object.
//
// The CPU time and memory of the process under test are read from /proc at the very ends of the measured time.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type options struct {
	base, path, warmPath string
	client               *http.Client
	clients              int
	duration, warm       time.Duration
	count                int64
	rate                 float64
	eventBytes           int
	wantBytes            int64
	wantSelector         string
	pid                  int
}

// result is what is printed. Times are in milliseconds, memory in MiB.
type result struct {
	Count          int64   `json:"count"`
	Errors         int64   `json:"errors"`
	WrongSelectors int64   `json:"wrongSelectors"`
	FirstError     string  `json:"firstError"`
	Bytes          int64   `json:"bytes"`
	Seconds        float64 `json:"seconds"`
	CPUSeconds     float64 `json:"cpuSeconds"`
	P50            float64 `json:"p50Ms"`
	P99            float64 `json:"p99Ms"`
	RSSBefore      float64 `json:"rssBeforeMiB"`
	RSS            float64 `json:"rssMiB"`
	PeakRSS        float64 `json:"peakMiB"`
}

// tally gathers what all clients see.
type tally struct {
	mu             sync.Mutex
	firstError     string
	latencies      []float64
	count, bytes   atomic.Int64
	errors         atomic.Int64
	wrongSelectors atomic.Int64
}

var errSelector = errors.New("wrong selector")

func (t *tally) failed(err error) {
	t.errors.Add(1)
	if errors.Is(err, errSelector) {
		t.wrongSelectors.Add(1)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.firstError == "" {
		t.firstError = err.Error()
	}
}

func (t *tally) add(latencies []float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.latencies = append(t.latencies, latencies...)
}

func main() {
	mode := flag.String("mode", "requests", "requests, watches, or cuts (watches opened and cut)")
	protocol := flag.String("protocol", "http1", "http1 or http2")
	port := flag.Int("port", 0, "port of the proxy on 127.0.0.1")
	ca := flag.String("ca", "", "PEM file with the authority of the proxy")
	var o options
	flag.StringVar(&o.path, "path", "", "path and query of the requests")
	flag.StringVar(&o.warmPath, "warm-path", "", "the same while warming up (default: -path)")
	flag.IntVar(&o.clients, "clients", 8, "clients that each wait for their answer, or number of watches")
	flag.DurationVar(&o.duration, "duration", 2*time.Second, "measured time")
	flag.DurationVar(&o.warm, "warm", time.Second, "time before it; for watches counted from the last one opened")
	flag.Int64Var(&o.count, "count", 0, "number of requests or cuts in place of a time")
	flag.Float64Var(&o.rate, "rate", 1, "events per second and watch")
	flag.IntVar(&o.eventBytes, "event-bytes", 1500, "size of an event's object")
	flag.Int64Var(&o.wantBytes, "want-bytes", 0, "least size of each body")
	flag.StringVar(&o.wantSelector, "want-selector", "", "text that the label selector must hold when it reaches the API server")
	flag.IntVar(&o.pid, "pid", 0, "process under test (0: none)")
	flag.Parse()
	o.base = fmt.Sprintf("https://127.0.0.1:%d", *port)
	if o.warmPath == "" {
		o.warmPath = o.path
	}
	client, err := newClient(*protocol, *ca)
	if err != nil {
		log.Fatal(err)
	}
	o.client = client

	var r result
	switch *mode {
	case "requests":
		r = o.requests()
	case "watches":
		r = o.watches()
	case "cuts":
		r = o.cuts()
	default:
		log.Fatalf("unknown mode %q", *mode)
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		log.Fatal(err)
	}
}

// newClient speaks exactly one protocol; a proxy that does not have it is an error and not a silent change.
func newClient(protocol, caFile string) (*http.Client, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	protocols := new(http.Protocols)
	switch protocol {
	case "http1":
		protocols.SetHTTP1(true)
	case "http2":
		protocols.SetHTTP2(true)
	default:
		return nil, fmt.Errorf("unknown protocol %q", protocol)
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		Protocols:           protocols,
		MaxIdleConnsPerHost: 1000,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}}, nil
}

// The length of a bound service account token.
var token = "Bearer " + strings.Repeat("t", 900)

func (o *options) newRequest(path string) *http.Request {
	request, err := http.NewRequest(http.MethodGet, o.base+path, nil)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", token)
	request.Header.Set("Accept", "application/vnd.kubernetes.protobuf,application/json")
	request.Header.Set("User-Agent", "operator/v1.0.0 (linux/amd64) kubernetes/1.36")
	return request
}

// check holds an answer's head to what was asked for.
func (o *options) check(response *http.Response) error {
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		return fmt.Errorf("status %d: %s", response.StatusCode, text)
	}
	if !strings.HasSuffix(response.Request.URL.Path, "/pods") {
		return nil
	}
	if selector := response.Header.Get("Bench-Selector"); !strings.Contains(selector, o.wantSelector) {
		return fmt.Errorf("%w %q", errSelector, selector)
	}
	return nil
}
