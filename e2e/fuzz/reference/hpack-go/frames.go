package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"golang.org/x/net/http2"
)

// How a frame, or the stream of frames, ended.
const (
	refused     = 0
	whole       = 1
	streamError = 2
	clean       = 3
	truncated   = 4
)

// A question is the largest payload, then the bytes of one direction behind the preface. The answer has, per frame:
// `whole`, its header, length and CRC-32 of its content (of DATA and header blocks, without padding); or
// `streamError`, its header and the reason. Then `clean`, `truncated`, or `refused` and the reason.
func readFrames(question *input) []byte {
	limit := question.number()
	bytesRead := bytes.NewReader(question.rest)
	framer := http2.NewFramer(io.Discard, bytesRead)
	framer.SetMaxReadFrameSize(limit)
	var reply []byte
	for {
		header, err := framer.ReadFrameHeader()
		if err == io.EOF {
			return append(reply, clean)
		}
		if err == io.ErrUnexpectedEOF {
			return append(reply, truncated)
		}
		if err != nil {
			return appendBytes(append(reply, refused), reason(framer, header, err))
		}
		if bytesRead.Len() < int(header.Length) {
			return append(reply, truncated)
		}
		frame, err := framer.ReadFrameForHeader(header)
		if err == nil {
			err = settingsError(frame)
		}
		var ofStream http2.StreamError
		if errors.As(err, &ofStream) {
			reply = appendHeader(append(reply, streamError), header)
			reply = appendBytes(reply, reason(framer, header, err))
			continue
		}
		if err != nil {
			return appendBytes(append(reply, refused), reason(framer, header, err))
		}
		reply = appendHeader(append(reply, whole), header)
		content := contentOf(frame)
		reply = binary.BigEndian.AppendUint32(reply, uint32(len(content)))
		reply = binary.BigEndian.AppendUint32(reply, crc32.ChecksumIEEE(content))
	}
}

func reason(framer *http2.Framer, header http2.FrameHeader, err error) []byte {
	return fmt.Appendf(nil, "%v: %v (%v)", header.Type, err, framer.ErrorDetail())
}

func appendHeader(reply []byte, header http2.FrameHeader) []byte {
	reply = binary.BigEndian.AppendUint32(reply, header.Length)
	reply = append(reply, byte(header.Type), byte(header.Flags))
	return binary.BigEndian.AppendUint32(reply, header.StreamID)
}

// The framer leaves the values of settings to its caller.
func settingsError(frame http2.Frame) error {
	if settings, ok := frame.(*http2.SettingsFrame); ok {
		return settings.ForeachSetting(func(setting http2.Setting) error { return setting.Valid() })
	}
	return nil
}

func contentOf(frame http2.Frame) []byte {
	switch frame := frame.(type) {
	case *http2.DataFrame:
		return frame.Data()
	case *http2.HeadersFrame:
		return frame.HeaderBlockFragment()
	case *http2.ContinuationFrame:
		return frame.HeaderBlockFragment()
	}
	return nil
}
