package main

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
)

// countingReader counts how often the end of the bytes was met.
type countingReader struct {
	bytes *bytes.Reader
	ends  int
}

func (c *countingReader) Read(into []byte) (int, error) {
	n, err := c.bytes.Read(into)
	if err == io.EOF {
		c.ends++
	}
	return n, err
}

// readResponses reads the answers to the requests (1: HEAD, else GET) as a Go client does: informational ones
// are passed over, and what follows an answer that ends the connection is not looked at.
func readResponses(requests []byte, stream []byte) []byte {
	source := &countingReader{bytes: bytes.NewReader(stream)}
	in := bufio.NewReader(source)
	var r reading
	for _, kind := range requests {
		method := http.MethodGet
		if kind == 1 {
			method = http.MethodHead
		}
		if _, err := in.Peek(1); err == io.EOF {
			r.end = endClean
			return r.encode()
		}
		response, err := readFinal(in, method)
		if err != nil {
			r.end = endRefused
			if source.ends > 0 {
				r.end = endPartial
			}
			r.reason = err.Error()
			return r.encode()
		}
		m := message{status: response.StatusCode}
		if response.Close {
			m.flags |= flagCloses
		}
		body, err := io.ReadAll(response.Body)
		m.body = body
		m.flags |= bodyFlags(err, source.ends > 0)
		r.messages = append(r.messages, m)
		if m.flags&flagBodyRefused != 0 {
			r.end = endRefused
			r.reason = err.Error()
			return r.encode()
		}
		if response.StatusCode == http.StatusSwitchingProtocols || m.flags&(flagCloses|flagPartial) != 0 {
			r.end = endClosed
			return r.encode()
		}
	}
	r.end = endClosed
	return r.encode()
}

func readFinal(in *bufio.Reader, method string) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return response, nil
		}
	}
}
