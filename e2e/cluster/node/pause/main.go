// Pause waits for SIGTERM. It is the first process of each pod's sandbox and of each node: what is left behind by
// a parent becomes its child, and it reaps what has ended, so that no zombies stay.
//
// "pause attached" ends also as soon as its standard input does, unless a line "keep" came before.
package main

import (
	"bufio"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "attached" {
		go endWithInput()
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for {
		reap()
		if received := <-signals; received != syscall.SIGCHLD {
			return
		}
	}
}

func endWithInput() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() == "keep" {
			return
		}
	}
	os.Exit(0)
}

func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}
