// Package command runs other programs with a deadline and errors that say
// what was run and what it printed.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// Default is the deadline of commands that have no reason to take longer.
const Default = 30 * time.Second

// Run runs a program and returns its standard output.
func Run(deadline time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	// A child that outlives the killed program would keep its pipes open.
	cmd.WaitDelay = 2 * time.Second
	err := cmd.Run()
	if err == nil {
		return out.String(), nil
	}
	line := name + " " + strings.Join(args, " ")
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("%s is not installed: run testbed/install.sh", name)
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s: no end after %s", line, deadline)
	}
	said := strings.TrimSpace(errs.String())
	if said == "" {
		said = strings.TrimSpace(out.String())
	}
	return out.String(), fmt.Errorf("%s: %w: %s", line, err, said)
}

// Attached runs a program that takes as long as it takes, with all it prints
// going to out.
func Attached(out io.Writer, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

// Poll calls check until it returns nil, and gives up at the deadline with
// what it last said. The pause between two calls grows from 50 ms to 1 s.
func Poll(deadline time.Duration, what string, check func() error) error {
	end := time.Now().Add(deadline)
	pause := 50 * time.Millisecond
	for {
		err := check()
		if err == nil {
			return nil
		}
		var final *Final
		if errors.As(err, &final) {
			return fmt.Errorf("%s: %w", what, err)
		}
		if time.Now().Add(pause).After(end) {
			return fmt.Errorf("%s: not after %s: %w", what, deadline, err)
		}
		time.Sleep(pause)
		pause = min(pause*3/2, time.Second)
	}
}

// Final is an error that more polling cannot mend.
type Final struct{ Err error }

func (f *Final) Error() string { return f.Err.Error() }
func (f *Final) Unwrap() error { return f.Err }
