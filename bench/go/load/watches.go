package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Handshakes at a time: many watches are opened as an operator opens them, over a moment.
const openingAtOnce = 16

var (
	eventPrefix = []byte(`{"sentAt":`)
	errNoEvent  = errors.New("a line that is no event")
)

// watches opens the watches, and when all stand and the warm-up is over takes the delay of each event.
func (o *options) watches() result {
	var t tally
	var recording atomic.Bool
	ctx, cut := context.WithCancel(context.Background())
	defer cut()
	var opened, closed sync.WaitGroup
	opening := make(chan struct{}, openingAtOnce)
	for range o.clients {
		opened.Add(1)
		closed.Go(func() {
			opening <- struct{}{}
			response, err := o.openWatch(ctx)
			<-opening
			opened.Done()
			if err != nil {
				t.failed(err)
				return
			}
			defer response.Body.Close()
			t.add(o.readEvents(ctx, response, &recording, &t))
		})
	}
	opened.Wait()
	time.Sleep(o.warm)
	m := startMeasuring(o.pid)
	recording.Store(true)
	time.Sleep(o.duration)
	recording.Store(false)
	// What is read while the watches stand is the figure; cutting them is not.
	r := m.end(&t)
	cut()
	closed.Wait()
	r.percentiles(t.latencies)
	r.Errors, r.FirstError = t.errors.Load(), t.firstError
	return r
}

func (o *options) openWatch(ctx context.Context) (*http.Response, error) {
	path := fmt.Sprintf("%s&benchRate=%g&benchBytes=%d", o.path, o.rate, o.eventBytes)
	response, err := o.client.Do(o.newRequest(path).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if err := o.check(response); err != nil {
		response.Body.Close()
		return nil, err
	}
	return response, nil
}

func (o *options) readEvents(ctx context.Context, response *http.Response, recording *atomic.Bool, t *tally) []float64 {
	var delays []float64
	reader := bufio.NewReaderSize(response.Body, 16*1024)
	for {
		line, err := reader.ReadSlice('\n')
		now := time.Now().UnixNano()
		if err != nil {
			if ctx.Err() == nil {
				t.failed(fmt.Errorf("a watch ended: %w", err))
			}
			return delays
		}
		sentAt, err := sentAtOf(line)
		if err != nil {
			t.failed(err)
			return delays
		}
		if recording.Load() {
			delays = append(delays, float64(now-sentAt)/1e6)
			t.count.Add(1)
			t.bytes.Add(int64(len(line)))
		}
	}
}

func sentAtOf(line []byte) (int64, error) {
	rest, ok := bytes.CutPrefix(line, eventPrefix)
	end := bytes.IndexByte(rest, ',')
	if !ok || end < 0 {
		return 0, errNoEvent
	}
	return strconv.ParseInt(string(rest[:end]), 10, 64)
}

// cuts opens watches, each until its first event, and cuts them, count in all.
func (o *options) cuts() result {
	var t tally
	left := atomic.Int64{}
	left.Store(o.count)
	m := startMeasuring(o.pid)
	o.parallel(func() {
		for left.Add(-1) >= 0 {
			if err := o.cutOne(); err != nil {
				t.failed(err)
				return
			}
			t.count.Add(1)
		}
	})
	return m.end(&t)
}

func (o *options) cutOne() error {
	ctx, cut := context.WithCancel(context.Background())
	defer cut()
	response, err := o.openWatch(ctx)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	line, err := bufio.NewReaderSize(response.Body, 16*1024).ReadSlice('\n')
	if err != nil {
		return err
	}
	_, err = sentAtOf(line)
	return err
}
