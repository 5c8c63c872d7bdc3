package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A server whose connections are byte slices: what net/http's own connection handling makes of them, with the
// limit on heads that the API server sets.
type server struct {
	connections chan net.Conn
}

type streamKey struct{}

func newServer() *server {
	s := &server{connections: make(chan net.Conn)}
	serve := &http.Server{
		Handler:        http.HandlerFunc(record),
		MaxHeaderBytes: 1 << 20,
		ErrorLog:       log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, streamKey{}, conn)
		},
		ConnState: func(conn net.Conn, state http.ConnState) { conn.(*stream).changed(state) },
	}
	go func() { log.Fatal(serve.Serve(s)) }()
	return s
}

// read answers with the reading of the bytes once the connection is over.
func (s *server) read(input []byte, answer chan<- []byte) {
	s.connections <- &stream{bytes: input, answer: answer}
}

func (s *server) Accept() (net.Conn, error) { return <-s.connections, nil }
func (s *server) Close() error              { return nil }
func (s *server) Addr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// record is the handler: it notes the request, reads the body whole and answers 200.
func record(w http.ResponseWriter, r *http.Request) {
	conn := r.Context().Value(streamKey{}).(*stream)
	m := message{method: r.Method, target: r.RequestURI, host: r.Host}
	if r.Close {
		m.flags |= flagCloses
	}
	if values, ok := r.Header["Accept"]; ok {
		m.accept = values[0]
		m.flags |= flagAccept
	}
	if _, ok := r.Header["Authorization"]; ok {
		m.flags |= flagAuthorization
	}
	for _, value := range r.Header["Expect"] {
		if strings.EqualFold(strings.Trim(value, " \t"), "100-continue") {
			m.flags |= flagExpectsContinue
		}
	}
	if upgrade, ok := upgradeOf(r.Header); ok {
		m.upgrade = upgrade
		m.flags |= flagUpgrade
	}
	body, err := io.ReadAll(r.Body)
	m.body = body
	m.flags |= bodyFlags(err, conn.ends > conn.endsAtIdle)
	if m.flags&flagBodyRefused != 0 {
		conn.reading.reason = err.Error()
	}
	conn.reading.messages = append(conn.reading.messages, m)
	w.Header()["Date"] = nil
	w.WriteHeader(http.StatusOK)
}

// stream is a connection whose client has sent its bytes and ended its side.
type stream struct {
	bytes   []byte
	at      int
	answer  chan<- []byte
	reading reading
	// How often the end of the bytes was met, in all and when the last request was over.
	ends, endsAtIdle int
}

func (s *stream) Read(into []byte) (int, error) {
	if s.at == len(s.bytes) {
		s.ends++
		return 0, io.EOF
	}
	n := copy(into, s.bytes[s.at:])
	s.at += n
	return n, nil
}

// Write sees each answer from its first byte on: net/http flushes behind each one.
func (s *stream) Write(answer []byte) (int, error) {
	if len(answer) >= 12 && (answer[9] == '4' || answer[9] == '5') && string(answer[:5]) == "HTTP/" {
		s.reading.status, _ = strconv.Atoi(string(answer[9:12]))
		head, _, _ := strings.Cut(string(answer), "\r\n\r\n")
		s.reading.reason = string(answer[len(head):])
	}
	return len(answer), nil
}

func (s *stream) changed(state http.ConnState) {
	switch state {
	case http.StateIdle:
		s.endsAtIdle = s.ends
	case http.StateClosed:
		s.answer <- s.finish()
	}
}

func (s *stream) finish() []byte {
	r := &s.reading
	last := len(r.messages) - 1
	switch {
	case r.status == http.StatusExpectationFailed:
		r.end = endRefused
	case r.status != 0 && s.ends > s.endsAtIdle:
		// The head was still being read when the bytes ended.
		r.end = endPartial
	case r.status != 0:
		r.end = endRefused
		r.reason = s.refusal()
	case last >= 0 && r.messages[last].flags&flagBodyRefused != 0:
		r.end = endRefused
	case last >= 0 && r.messages[last].flags&flagCloses != 0:
		r.end = endClosed
	default:
		r.end = endClean
	}
	return r.encode()
}

// refusal is the error behind a refused head. The server's answer does not name it.
func (s *stream) refusal() string {
	in := bufio.NewReader(bytes.NewReader(s.bytes))
	for range s.reading.messages {
		request, err := http.ReadRequest(in)
		if err != nil {
			return err.Error()
		}
		io.Copy(io.Discard, request.Body)
	}
	if _, err := http.ReadRequest(in); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(s.reading.reason)
}

func (s *stream) Close() error                     { return nil }
func (s *stream) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (s *stream) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (s *stream) SetDeadline(time.Time) error      { return nil }
func (s *stream) SetReadDeadline(time.Time) error  { return nil }
func (s *stream) SetWriteDeadline(time.Time) error { return nil }
