// Command tb is what the test images do: each verb is a behaviour that a test
// wants of a hook. It is static and needs nothing of its image.
package main

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
	"time"
)

type verb struct {
	use string
	run func(args []string) error
}

// exitCode ends the program with that code and no message.
type exitCode int

func (e exitCode) Error() string { return "exit " + strconv.Itoa(int(e)) }

var verbs = map[string]verb{
	"sleep":       {"DURATION                     sleep; SIGTERM ends it with 143", sleep},
	"exit":        {"CODE                         end with this code", exit},
	"print":       {"COUNT [--every D] [--stderr] [--text T]   print numbered lines", printLines},
	"big-line":    {"BYTES                        print one line of this length", bigLine},
	"binary":      {"BYTES                        print bytes that are no text", binary},
	"eat":         {"SIZE [--hold D]              take memory (64Mi, 1Gi), touch it, hold it", eat},
	"fill":        {"PATH SIZE [--hold D]         write a file of this size", fill},
	"ignore-term": {"DURATION                     sleep; say SIGTERM and go on", ignoreTerm},
	"witness":     {"FILE [--name N] [--sleep D] [--until FILE] [--beat D] [--exit CODE]   append a start and an end record", witness},
	"output":      {"KEY=VALUE...                 write the hook's output file", output},
	"env":         {"[PREFIX]                     print the environment, sorted", env},
	"get":         {"URL [--ca FILE] [--token FILE]   print what it answers", get},
	"serve":       {"ADDRESS [--text T]           answer every request", serve},
}

func main() {
	if len(os.Args) > 1 {
		if v, ok := verbs[os.Args[1]]; ok {
			finish(v.run(os.Args[2:]))
			return
		}
	}
	names := make([]string, 0, len(verbs))
	for n := range verbs {
		names = append(names, n)
	}
	sort.Strings(names)
	fmt.Fprintln(os.Stderr, "usage: tb VERB ARG...")
	for _, n := range names {
		fmt.Fprintf(os.Stderr, "  %-11s %s\n", n, verbs[n].use)
	}
	os.Exit(2)
}

func finish(err error) {
	var code exitCode
	switch {
	case err == nil:
	case errors.As(err, &code):
		os.Exit(int(code))
	default:
		fmt.Fprintf(os.Stderr, "tb %s: %v\n", os.Args[1], err)
		os.Exit(2)
	}
}

// split separates "--name value" options, which may stand anywhere, from the
// other arguments. Options named in flags have no value.
func split(args []string, flags ...string) (plain []string, options map[string]string, err error) {
	options = map[string]string{}
	for n := 0; n < len(args); n++ {
		a := args[n]
		if len(a) < 3 || a[:2] != "--" {
			plain = append(plain, a)
			continue
		}
		name := a[2:]
		isFlag := false
		for _, f := range flags {
			isFlag = isFlag || f == name
		}
		if isFlag {
			options[name] = "true"
			continue
		}
		if n++; n == len(args) {
			return nil, nil, fmt.Errorf("%s needs a value", a)
		}
		options[name] = args[n]
	}
	return plain, options, nil
}

// one is for verbs with exactly one argument.
func one(args []string, what string) (string, error) {
	if len(args) != 1 {
		return "", fmt.Errorf("wants one argument: %s", what)
	}
	return args[0], nil
}

// duration reads "2s", and "2" as seconds, as the sleep of a shell does.
func duration(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		return time.Duration(seconds * float64(time.Second)), nil
	}
	return time.ParseDuration(s)
}

// size reads bytes with Kubernetes' binary suffixes.
func size(s string) (int64, error) {
	factor := int64(1)
	for suffix, f := range map[string]int64{"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30} {
		if len(s) > 2 && s[len(s)-2:] == suffix {
			s, factor = s[:len(s)-2], f
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("size %q: write a number, with Ki, Mi or Gi if you like", s)
	}
	return n * factor, nil
}
