package main

import (
	"encoding/binary"
	"io"
	"net/http"
	"strings"
)

// One request or response as it was read. On the wire: method, target, host, accept, upgrade and body as
// strings (4 bytes of length each), status (2 bytes), flags (2 bytes).
type message struct {
	method, target, host, accept, upgrade string
	body                                  []byte
	status                                int
	flags                                 uint16
}

const (
	flagCloses = 1 << iota
	// The body did not end before the bytes did.
	flagPartial
	// The body was refused.
	flagBodyRefused
	flagAccept
	flagAuthorization
	flagExpectsContinue
	flagUpgrade
)

// How a stream ended.
const (
	endClean = iota
	// The bytes ended inside a head.
	endPartial
	endRefused
	// By what the last message said about the connection.
	endClosed
)

// A reading on the wire: 2 bytes of message count, the messages, 1 byte of end, 2 bytes of refusal's status,
// the refusal's text as a string.
type reading struct {
	messages []message
	end      byte
	status   int
	reason   string
}

func (r *reading) encode() []byte {
	out := binary.BigEndian.AppendUint16(nil, uint16(len(r.messages)))
	for _, m := range r.messages {
		for _, text := range []string{m.method, m.target, m.host, m.accept, m.upgrade} {
			out = appendString(out, text)
		}
		out = binary.BigEndian.AppendUint32(out, uint32(len(m.body)))
		out = append(out, m.body...)
		out = binary.BigEndian.AppendUint16(out, uint16(m.status))
		out = binary.BigEndian.AppendUint16(out, m.flags)
	}
	out = append(out, r.end)
	out = binary.BigEndian.AppendUint16(out, uint16(r.status))
	return appendString(out, r.reason)
}

func appendString(out []byte, text string) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(text)))
	return append(out, text...)
}

// bodyFlags says how the reading of a body ended. Go has one error for trailers that are cut off and trailers
// that are too long, so the caller tells whether the bytes had ended.
func bodyFlags(err error, atEnd bool) uint16 {
	switch {
	case err == nil:
		return 0
	case err == io.ErrUnexpectedEOF, err.Error() == "http: unexpected EOF reading trailer" && atEnd:
		return flagPartial
	default:
		return flagBodyRefused
	}
}

// upgradeOf is the value of Upgrade where Connection names it.
func upgradeOf(header http.Header) (string, bool) {
	values, ok := header["Upgrade"]
	if !ok {
		return "", false
	}
	for _, value := range header["Connection"] {
		for member := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(member, " \t"), "upgrade") {
				return strings.Join(values, ","), true
			}
		}
	}
	return "", false
}
