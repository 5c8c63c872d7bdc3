// Reads streams of HTTP/1.1 bytes on stdin as Go's net/http reads them, and says on stdout what it saw.
//
// Frames both ways: 4 bytes of length (big endian), then so many bytes; answers come in the order of the
// questions. A question is 'Q' and what a client sends on one connection, or 'S', a count of requests, one
// byte per request (1: HEAD) and what a server answers on one connection. See readings.go for the answer.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"os"
)

// How many streams are read at the same time. After some refusals the server waits half a second before it
// closes, and the others must not wait for that.
const concurrent = 512

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	server := newServer()
	pending := make(chan chan []byte, concurrent)
	done := make(chan struct{})
	go writeAnswers(pending, done)
	for {
		question, err := readFrame(in)
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		answer := make(chan []byte, 1)
		pending <- answer
		switch question[0] {
		case 'Q':
			server.read(question[1:], answer)
		case 'S':
			count := int(question[1])
			answer <- readResponses(question[2:2+count], question[2+count:])
		default:
			log.Fatalf("unknown kind of stream: %q", question[0])
		}
	}
	close(pending)
	<-done
}

func readFrame(in *bufio.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(in, length[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(in, frame); err != nil {
		return nil, err
	}
	if len(frame) == 0 {
		return nil, errors.New("a frame is empty")
	}
	return frame, nil
}

// writeAnswers keeps the order of the questions and flushes when nothing more is at hand.
func writeAnswers(pending <-chan chan []byte, done chan<- struct{}) {
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	for answer := range pending {
		reading := <-answer
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(len(reading)))
		out.Write(length[:])
		out.Write(reading)
		if len(pending) == 0 {
			if err := out.Flush(); err != nil {
				log.Fatal(err)
			}
		}
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
	close(done)
}
