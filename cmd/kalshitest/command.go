package main

// The command after --: how it runs and how it ends.

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

// runCommand runs the command to its end and returns its exit status. The error
// is that it could not be started.
func runCommand(command *exec.Cmd, signals <-chan os.Signal) (status int, err error) {
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := command.Start(); err != nil {
		return startStatus(err), err
	}
	ended := make(chan struct{})
	go func() {
		_ = command.Wait() // the state has it
		close(ended)
	}()
	for {
		select {
		case sig := <-signals:
			if sig != os.Interrupt { // the terminal sends Ctrl-C to the command, too
				_ = command.Process.Signal(sig)
			}
		case <-ended:
			return exitStatus(command.ProcessState), nil
		}
	}
}

// startStatus is the exit status for a command that could not be started.
func startStatus(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return statusNotFound
	}
	return statusNotExecutable
}

// exitStatus is the command's own status, or the one that shells give a command
// that a signal ended.
func exitStatus(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return statusSignal + int(ws.Signal())
	}
	return state.ExitCode()
}
