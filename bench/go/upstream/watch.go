package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// serveWatch sends events of benchBytes bytes, benchRate each second from a random moment on, until the client goes
// away. An event begins with the Unix time in nanoseconds at which it was written.
func serveWatch(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	rate, err := strconv.ParseFloat(query.Get("benchRate"), 64)
	if err != nil || rate <= 0 {
		http.Error(w, "benchRate is missing", http.StatusBadRequest)
		return
	}
	size, _ := strconv.Atoi(query.Get("benchBytes"))
	response := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	if response.Flush() != nil {
		return
	}
	padding := strings.Repeat("p", size)
	interval := time.Duration(float64(time.Second) / rate)
	next := time.Now().Add(rand.N(interval))
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-timer.C:
		}
		_, err := fmt.Fprintf(w, `{"sentAt":%d,"type":"MODIFIED","object":{"kind":"Pod","padding":"%s"}}`+"\n", time.Now().UnixNano(), padding)
		if err != nil || response.Flush() != nil {
			return
		}
		next = next.Add(interval)
		timer.Reset(time.Until(next))
	}
}
