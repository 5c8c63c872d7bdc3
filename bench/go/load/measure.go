package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
)

// measurement runs from one moment to another over one process.
type measurement struct {
	pid       int
	started   time.Time
	cpu       float64
	rssBefore float64
}

func startMeasuring(pid int) measurement {
	m := measurement{pid: pid}
	if pid > 0 {
		m.rssBefore = memory(pid, "VmRSS")
		// Sets the peak back to what is resident now.
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
		m.cpu = cpuSeconds(pid)
	}
	m.started = time.Now()
	return m
}

func (m measurement) end(t *tally) result {
	r := result{
		Seconds:        time.Since(m.started).Seconds(),
		Count:          t.count.Load(),
		Bytes:          t.bytes.Load(),
		Errors:         t.errors.Load(),
		WrongSelectors: t.wrongSelectors.Load(),
		RSSBefore:      m.rssBefore,
	}
	if m.pid > 0 {
		r.CPUSeconds = cpuSeconds(m.pid) - m.cpu
		r.RSS = memory(m.pid, "VmRSS")
		r.PeakRSS = memory(m.pid, "VmHWM")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r.FirstError = t.firstError
	r.percentiles(t.latencies)
	return r
}

func (r *result) percentiles(latencies []float64) {
	sort.Float64s(latencies)
	at := func(share float64) float64 {
		if len(latencies) == 0 {
			return 0
		}
		return latencies[min(len(latencies)-1, int(float64(len(latencies))*share))]
	}
	r.P50, r.P99 = at(0.5), at(0.99)
}

// cpuSeconds sums up the threads, whose times are kept in nanoseconds; where the kernel does not keep them, it is the
// process's time in units of 10 ms.
func cpuSeconds(pid int) float64 {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	var total float64
	for _, file := range files {
		content, err := os.ReadFile(file)
		if fields := strings.Fields(string(content)); err == nil && len(fields) > 0 {
			nanoseconds, _ := strconv.ParseFloat(fields[0], 64)
			total += nanoseconds / 1e9
		}
	}
	if total > 0 {
		return total
	}
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

// memory reads a line of /proc/PID/status, in MiB.
func memory(pid int, name string) float64 {
	content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}
