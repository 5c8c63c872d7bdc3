// A kubelet's streaming endpoints and nothing else: exec, attach, port-forward and container logs, served by the
// same library that real kubelets serve them with. There are no containers: exec runs the command on this machine.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

const (
	idleTimeout           = time.Hour
	streamCreationTimeout = 30 * time.Second
)

func main() {
	certificate := flag.String("tls-cert-file", "", "serving certificate, PEM")
	key := flag.String("tls-private-key-file", "", "its key, PEM")
	flag.Parse()
	log.SetOutput(os.Stdout)
	log.SetFlags(0)

	mux := http.NewServeMux()
	for _, method := range []string{"GET", "POST"} {
		mux.HandleFunc(method+" /exec/{namespace}/{pod}/{container}", told("exec", exec))
		mux.HandleFunc(method+" /attach/{namespace}/{pod}/{container}", told("attach", attach))
		mux.HandleFunc(method+" /portForward/{namespace}/{pod}", told("portForward", portForward))
	}
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", told("logs", containerLogs))

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	// The test reads these lines: the port first, then each session's begin and end.
	log.Printf("listening %d", listener.Addr().(*net.TCPAddr).Port)
	// Upgrades are of HTTP/1.1, which Go's server would leave for HTTP/2.
	server := &http.Server{Handler: mux, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	log.Fatal(server.ServeTLS(listener, *certificate, *key))
}

// told says on standard output when a session begins and ends.
func told(kind string, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		log.Printf("begin %s", kind)
		defer log.Printf("end %s", kind)
		serve(w, r)
	}
}

func exec(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(w, r, container{}, r.PathValue("pod"), "", r.PathValue("container"),
		r.URL.Query()["command"], options, idleTimeout, streamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func attach(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeAttach(w, r, container{}, r.PathValue("pod"), "", r.PathValue("container"),
		options, idleTimeout, streamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func portForward(w http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, container{}, r.PathValue("pod"), "", options,
		idleTimeout, streamCreationTimeout, portforward.SupportedProtocols)
}

// containerLogs writes three lines, and with follow one more every 50 ms until the reader is gone.
func containerLogs(w http.ResponseWriter, r *http.Request) {
	flusher, canFlush := w.(http.Flusher)
	follow := r.URL.Query().Get("follow") == "true"
	for line := 1; line <= 3 || follow; line++ {
		if _, err := fmt.Fprintf(w, "line %d of %s\n", line, r.PathValue("pod")); err != nil {
			return
		}
		if canFlush {
			flusher.Flush()
		}
		if line < 3 {
			continue
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}
