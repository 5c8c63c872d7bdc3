package main

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/net/http2/hpack"
)

// A question is the size of the dynamic table, then 'L' and a new limit of it, or 'B' and a header block, in the
// order of one connection. The answer has, per block up to the first that is refused: 1, a count and the fields; or
// 0 and the reason.
func decodeBlocks(question *input) []byte {
	decoder := hpack.NewDecoder(question.number(), nil)
	var reply []byte
	for len(question.rest) > 0 {
		if question.take(1)[0] == 'L' {
			decoder.SetAllowedMaxDynamicTableSize(question.number())
			continue
		}
		fields, err := decoder.DecodeFull(question.bytes())
		if err != nil {
			return appendBytes(append(reply, 0), []byte(err.Error()))
		}
		reply = binary.BigEndian.AppendUint32(append(reply, 1), uint32(len(fields)))
		for _, field := range fields {
			reply = appendBytes(reply, []byte(field.Name))
			reply = appendBytes(reply, []byte(field.Value))
			sensitive := byte(0)
			if field.Sensitive {
				sensitive = 1
			}
			reply = append(reply, sensitive)
		}
	}
	return reply
}

// A question is 'M' and a size of the dynamic table, or 'H', a count and a header list. The answer has a block for
// each list.
func encodeLists(question *input) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	var reply []byte
	for len(question.rest) > 0 {
		if question.take(1)[0] == 'M' {
			encoder.SetMaxDynamicTableSize(question.number())
			continue
		}
		block.Reset()
		for count := question.number(); count > 0; count-- {
			field := hpack.HeaderField{Name: string(question.bytes()), Value: string(question.bytes())}
			field.Sensitive = question.take(1)[0] == 1
			check(encoder.WriteField(field))
		}
		reply = appendBytes(reply, block.Bytes())
	}
	return reply
}
