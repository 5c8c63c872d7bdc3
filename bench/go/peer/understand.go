package main

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"

	"ctrlmesh/bench/internal/limit"
)

var (
	requests = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "mesh_requests_total",
		Help: "Requests of the operator by verb and status.",
	}, []string{"verb", "code"})
	seconds = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "mesh_request_seconds",
		Help: "Time to the head of the answer.",
	}, []string{"verb"})
	resolver = &request.RequestInfoFactory{
		APIPrefixes:          sets.NewString("api", "apis"),
		GrouplessAPIPrefixes: sets.NewString("api"),
	}
)

func adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.Handler())
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	return mux
}

// understand says what each request is, limits what shows many objects, and counts.
func understand(next http.Handler, selector string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, err := resolver.NewRequestInfo(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if info.IsResourceRequest && info.APIGroup == "" {
			limit.Apply(r, info.Verb, info.Resource, selector)
		}
		seen := &statusWriter{ResponseWriter: w, start: time.Now(), verb: info.Verb}
		next.ServeHTTP(seen, r)
	})
}

// statusWriter counts a request when the head of its answer is written.
type statusWriter struct {
	http.ResponseWriter
	start time.Time
	verb  string
}

func (w *statusWriter) WriteHeader(code int) {
	if code >= 200 {
		requests.WithLabelValues(w.verb, strconv.Itoa(code)).Inc()
		seconds.WithLabelValues(w.verb).Observe(time.Since(w.start).Seconds())
	}
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets the proxy flush.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
