// Answers questions about HPACK and HTTP/2 frames on stdin with what golang.org/x/net makes of them.
//
// Frames both ways: 4 bytes of length (big endian), then so many bytes; answers come in the order of the
// questions. The first byte of a question says what it is: 'D' decode header blocks and 'E' encode header lists
// (hpack.go), 'F' read frames (frames.go).
package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"log"
	"os"
)

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	var length [4]byte
	for {
		// Whoever asks waits for all answers to what was sent so far.
		if in.Buffered() == 0 {
			check(out.Flush())
		}
		if _, err := io.ReadFull(in, length[:]); err == io.EOF {
			break
		} else {
			check(err)
		}
		question := make([]byte, binary.BigEndian.Uint32(length[:]))
		_, err := io.ReadFull(in, question)
		check(err)
		reply := answer(question[0], &input{question[1:]})
		binary.BigEndian.PutUint32(length[:], uint32(len(reply)))
		_, err = out.Write(length[:])
		check(err)
		_, err = out.Write(reply)
		check(err)
	}
	check(out.Flush())
}

func answer(kind byte, question *input) []byte {
	switch kind {
	case 'D':
		return decodeBlocks(question)
	case 'E':
		return encodeLists(question)
	case 'F':
		return readFrames(question)
	}
	log.Fatalf("unknown question %q", kind)
	return nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// What is left of a question.
type input struct{ rest []byte }

func (in *input) take(n int) []byte {
	taken := in.rest[:n]
	in.rest = in.rest[n:]
	return taken
}

func (in *input) number() uint32 { return binary.BigEndian.Uint32(in.take(4)) }
func (in *input) bytes() []byte  { return in.take(int(in.number())) }

func appendBytes(to []byte, bytes []byte) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(bytes))), bytes...)
}
