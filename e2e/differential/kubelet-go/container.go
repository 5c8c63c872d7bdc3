package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"sync"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// container is what every session runs in.
type container struct{}

// ExecInContainer runs the command on this machine. With a terminal, each size that the client tells is printed
// as a line, and the command starts behind the first one.
func (container) ExecInContainer(ctx context.Context, _, _, _ string, command []string, in io.Reader,
	out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	stdout := &lockedWriter{to: out}
	if tty {
		printSize(stdout, resize)
		go func() {
			for printSize(stdout, resize) {
			}
		}()
	}
	process := osexec.CommandContext(ctx, command[0], command[1:]...)
	process.Env = []string{"PATH=" + os.Getenv("PATH")}
	process.Stdout = stdout
	if errOut != nil {
		process.Stderr = errOut
	}
	// Not process.Stdin: Wait would wait for the client to end its input as well.
	stdin, err := process.StdinPipe()
	if err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		return err
	}
	go func() {
		if in != nil {
			_, _ = io.Copy(stdin, in)
		}
		_ = stdin.Close()
	}()
	err = process.Wait()
	var exit *osexec.ExitError
	if errors.As(err, &exit) {
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return err
}

// AttachContainer says hello and echoes its input until that ends.
func (container) AttachContainer(_ context.Context, _, _, _ string, in io.Reader,
	out, _ io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	if _, err := io.WriteString(out, "attached\n"); err != nil || in == nil {
		return err
	}
	_, err := io.Copy(out, in)
	return err
}

// PortForward echoes; every port is open.
func (container) PortForward(_ context.Context, _, _ string, _ int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	_, err := io.Copy(stream, stream)
	return err
}

func printSize(out io.Writer, resize <-chan remotecommand.TerminalSize) bool {
	size, isOpen := <-resize
	if isOpen {
		_, _ = fmt.Fprintf(out, "size %dx%d\n", size.Width, size.Height)
	}
	return isOpen
}

// lockedWriter is for two who write.
type lockedWriter struct {
	mutex sync.Mutex
	to    io.Writer
}

func (w *lockedWriter) Write(bytes []byte) (int, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.to.Write(bytes)
}
