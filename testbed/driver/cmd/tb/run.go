package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// codeTerm is what a shell reports for a program that SIGTERM ended.
const codeTerm = exitCode(128 + int(syscall.SIGTERM))

func sleep(args []string) error {
	text, err := one(args, "DURATION")
	if err != nil {
		return err
	}
	d, err := duration(text)
	if err != nil {
		return err
	}
	return pause(d)
}

// pause sleeps. A process 1 ignores the signals that it does not handle, so
// SIGTERM is handled; it ends the program with 143.
func pause(d time.Duration) error {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(term)
	select {
	case <-time.After(d):
		return nil
	case <-term:
		return codeTerm
	}
}

func ignoreTerm(args []string) error {
	text, err := one(args, "DURATION")
	if err != nil {
		return err
	}
	d, err := duration(text)
	if err != nil {
		return err
	}
	term := make(chan os.Signal, 8)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGINT)
	end := time.After(d)
	for {
		select {
		case <-end:
			return nil
		case s := <-term:
			fmt.Printf("ignored: %v\n", s)
		}
	}
}

func exit(args []string) error {
	text, err := one(args, "CODE")
	if err != nil {
		return err
	}
	code, err := strconv.Atoi(text)
	if err != nil || code < 0 || code > 255 {
		return fmt.Errorf("code %q: 0 to 255", text)
	}
	if code == 0 {
		return nil
	}
	return exitCode(code)
}

// eat takes memory in steps, so that a limit is met on the way, and touches
// every page, so that it counts.
func eat(args []string) error {
	plain, options, err := split(args)
	if err != nil {
		return err
	}
	text, err := one(plain, "SIZE")
	if err != nil {
		return err
	}
	total, err := size(text)
	if err != nil {
		return err
	}
	hold, err := duration(options["hold"])
	if err != nil {
		return err
	}
	const step = 4 << 20
	var kept [][]byte
	for got := int64(0); got < total; got += step {
		b := make([]byte, min(step, total-got))
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
	fmt.Printf("took %d bytes\n", total)
	err = pause(hold)
	runtime.KeepAlive(kept)
	return err
}

func fill(args []string) error {
	plain, options, err := split(args)
	if err != nil {
		return err
	}
	if len(plain) != 2 {
		return errors.New("wants two arguments: PATH SIZE")
	}
	total, err := size(plain[1])
	if err != nil {
		return err
	}
	hold, err := duration(options["hold"])
	if err != nil {
		return err
	}
	f, err := os.Create(plain[0])
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i) // not zeros, which some file systems do not store
	}
	for left := total; left > 0; {
		n, err := f.Write(block[:min(left, int64(len(block)))])
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	if err := f.Close(); err != nil {
		return err
	}
	fmt.Printf("wrote %d bytes to %s\n", total, plain[0])
	return pause(hold)
}
