package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"
)

// printLines prints "line 1 of COUNT" and so on. Each line is one write, so
// that a reader sees it at once and whole.
func printLines(args []string) error {
	plain, options, err := split(args, "stderr")
	if err != nil {
		return err
	}
	text, err := one(plain, "COUNT")
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	every, err := duration(options["every"])
	if err != nil {
		return err
	}
	out := os.Stdout
	if options["stderr"] != "" {
		out = os.Stderr
	}
	word := options["text"]
	if word == "" {
		word = "line"
	}
	// Without pauses, many lines a write: a million of them is a test, too.
	w := bufio.NewWriterSize(out, 64<<10)
	for n := 1; n <= count; n++ {
		fmt.Fprintf(w, "%s %d of %d\n", word, n, count)
		if every > 0 {
			if err := w.Flush(); err != nil {
				return err
			}
			time.Sleep(every)
		}
	}
	return w.Flush()
}

// bigLine prints one line of exactly that many bytes and a line feed.
func bigLine(args []string) error {
	text, err := one(args, "BYTES")
	if err != nil {
		return err
	}
	n, err := size(text)
	if err != nil {
		return err
	}
	line := bytes.Repeat([]byte("0123456789"), int(n/10)+1)[:n]
	_, err = os.Stdout.Write(append(line, '\n'))
	return err
}

// binary prints every byte value in turn: zero bytes, terminal escapes and
// what is no UTF-8 are all in it.
func binary(args []string) error {
	text, err := one(args, "BYTES")
	if err != nil {
		return err
	}
	n, err := size(text)
	if err != nil {
		return err
	}
	all := make([]byte, n)
	for i := range all {
		all[i] = byte(i)
	}
	_, err = os.Stdout.Write(all)
	return err
}

func env(args []string) error {
	prefix := strings.Join(args, "")
	all := os.Environ()
	sort.Strings(all)
	for _, e := range all {
		if strings.HasPrefix(e, prefix) {
			fmt.Println(e)
		}
	}
	return nil
}
