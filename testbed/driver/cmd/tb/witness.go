package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A record is one line of a witness file. Tests read the file to see what
// really ran, when, and whether two runs overlapped; no report is trusted.
type record struct {
	Event     string    `json:"event"` // start, beat, end, term
	At        time.Time `json:"at"`
	Name      string    `json:"name"`
	Pod       string    `json:"pod"`
	Pid       int       `json:"pid"`
	Run       string    `json:"run"` // joins the start and the end of one run
	Exit      *int      `json:"exit,omitempty"`
	Operation string    `json:"operation,omitempty"`
	Batch     string    `json:"batch,omitempty"`
	Env       string    `json:"environment,omitempty"`
	Step      string    `json:"step,omitempty"`
	Attempt   string    `json:"attempt,omitempty"`
}

// witness appends a start record, works, and appends an end record. Work lasts
// a while (--sleep) or until a file is there (--until), which a test makes when
// it has seen enough: no test depends on how fast the machine is. A run that was
// killed has a start and no end (with --beat a record from time to time says until
// when it was at work); one that got SIGTERM has a record "term".
func witness(args []string) error {
	plain, options, err := split(args)
	if err != nil {
		return err
	}
	file, err := one(plain, "FILE")
	if err != nil {
		return err
	}
	work, err := duration(options["sleep"])
	if err != nil {
		return err
	}
	beat, err := duration(options["beat"])
	if err != nil {
		return err
	}
	var beats <-chan time.Time
	if beat > 0 {
		beats = time.Tick(beat)
	}
	code := 0
	if text := options["exit"]; text != "" {
		if code, err = strconv.Atoi(text); err != nil {
			return err
		}
	}
	// Before the first record: a SIGTERM that comes early is not lost.
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)

	pod, _ := os.Hostname()
	began := time.Now()
	r := record{
		Name: options["name"], Pod: pod, Pid: os.Getpid(),
		Run:       pod + "/" + strconv.FormatInt(began.UnixNano(), 36),
		Operation: os.Getenv("LIFECYCLE_OPERATION_ID"),
		Batch:     os.Getenv("LIFECYCLE_BATCH_OPERATION_ID"),
		Env:       os.Getenv("LIFECYCLE_TENANT_ENV_ID"),
		Step:      os.Getenv("LIFECYCLE_STEP"),
		Attempt:   os.Getenv("LIFECYCLE_ATTEMPT"),
	}
	if err := appendRecord(file, r, "start", nil); err != nil {
		return err
	}
	over := done(work, options["until"])
	for working := true; working; {
		select {
		case <-over:
			working = false
		case <-beats:
			if err := appendRecord(file, r, "beat", nil); err != nil {
				return err
			}
		case <-term:
			if err := appendRecord(file, r, "term", nil); err != nil {
				return err
			}
			return codeTerm
		}
	}
	if err := appendRecord(file, r, "end", &code); err != nil {
		return err
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}

// done is closed after the time, once the file is there too; no file is waited
// for if none is named.
func done(work time.Duration, file string) <-chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		time.Sleep(work)
		for file != "" {
			if _, err := os.Stat(file); err == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return over
}

// appendRecord writes one line with one write to a file opened with O_APPEND:
// lines of runs side by side never mix.
func appendRecord(file string, r record, event string, code *int) error {
	r.Event, r.At, r.Exit = event, time.Now().UTC(), code
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		f.Close()
		return err
	}
	fmt.Printf("%s\n", line) // the log has it as well
	return f.Close()
}

// output writes the hook's result: a JSON object of strings.
func output(args []string) error {
	all := map[string]string{}
	for _, a := range args {
		key, value, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("%q: write KEY=VALUE", a)
		}
		all[key] = value
	}
	file := os.Getenv("LIFECYCLE_OUTPUT_FILE")
	if file == "" {
		file = "/dev/termination-log"
	}
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o666)
}
