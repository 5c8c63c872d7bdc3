package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// requests lets each client ask again and again, for a time or until all have asked count times together.
func (o *options) requests() result {
	var t tally
	warmEnd := time.Now().Add(o.warm)
	o.parallel(func() {
		buffer := make([]byte, 64*1024)
		for ok := true; ok; ok = time.Now().Before(warmEnd) {
			if _, err := o.ask(o.warmPath, buffer); err != nil {
				t.failed(err)
				return
			}
		}
	})
	left := atomic.Int64{}
	left.Store(o.count)
	m := startMeasuring(o.pid)
	end := m.started.Add(o.duration)
	isOn := func() bool {
		if o.count > 0 {
			return left.Add(-1) >= 0
		}
		return time.Now().Before(end)
	}
	o.parallel(func() {
		buffer := make([]byte, 64*1024)
		var latencies []float64
		for isOn() {
			start := time.Now()
			bytes, err := o.ask(o.path, buffer)
			t.bytes.Add(bytes)
			if err == nil && bytes < o.wantBytes {
				err = fmt.Errorf("a body of %d bytes", bytes)
			}
			if err != nil {
				t.failed(err)
				return
			}
			t.count.Add(1)
			if o.count == 0 {
				latencies = append(latencies, milliseconds(time.Since(start)))
			}
		}
		t.add(latencies)
	})
	return m.end(&t)
}

func (o *options) parallel(client func()) {
	var group sync.WaitGroup
	for range o.clients {
		group.Go(client)
	}
	group.Wait()
}

// ask reads one answer to its end and returns the length of its body.
func (o *options) ask(path string, buffer []byte) (int64, error) {
	response, err := o.client.Do(o.newRequest(path))
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if err := o.check(response); err != nil {
		return 0, err
	}
	var total int64
	for {
		n, err := response.Body.Read(buffer)
		total += int64(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

func milliseconds(d time.Duration) float64 {
	return float64(d) / float64(time.Millisecond)
}
