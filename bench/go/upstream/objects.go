package main

import (
	"bytes"
	"fmt"
)

// pod is a JSON object of about the given size, unlike its neighbours.
func pod(index, size int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"metadata":{"name":"pod-%06d","namespace":"ns-a","uid":"%032x","resourceVersion":"%d"},`, index, index*7919, index)
	fmt.Fprintf(&b, `"spec":{"nodeName":"node-%d","containers":[`, index%50)
	for container := 0; b.Len() < size-140; container++ {
		if container > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":"c%d","image":"registry.example/app:%d","args":["--id=%x"]}`, container, index, index*container*104729)
	}
	b.WriteString(`]},"status":{"phase":"Running","message":"`)
	b.Write(bytes.Repeat([]byte("."), max(0, size-b.Len()-4)))
	b.WriteString(`"}}`)
	return b.Bytes()
}

func podList(count, size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"` + resourceVersion + `"},"items":[`)
	for index := range count {
		if index > 0 {
			b.WriteByte(',')
		}
		b.Write(pod(index, size))
	}
	b.WriteString("]}")
	return b.Bytes()
}
