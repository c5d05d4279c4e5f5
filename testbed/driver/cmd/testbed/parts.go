package main

import (
	"fmt"
	"os"
	"strings"

	"tenantry.io/testbed/driver/internal/cluster"
	"tenantry.io/testbed/driver/internal/part"
)

// add puts parts into a running cluster.
func add(args []string) error {
	fs := flags("add")
	var argLines, envLines listFlag
	fs.Var(&argLines, "arg", "one more flag for a process, as in `workflow-controller=--qps=50`; may be repeated")
	fs.Var(&envLines, "env", "one more variable for a process, as in `workflow-controller=DEFAULT_REQUEUE_TIME=10s`; may be repeated")
	plain, err := parse(fs, args, 2, 2, "NAME PART")
	if err != nil {
		return err
	}
	c, err := cluster.Open(plain[0])
	if err != nil {
		return err
	}
	settings, err := partSettings(argLines, envLines)
	if err != nil {
		return err
	}
	names, err := part.Closure(plain[1])
	if err != nil {
		return fmt.Errorf("%w: %w", err, errUsage)
	}
	if err := part.Build(settings.Bin, os.Stderr, names...); err != nil {
		return err
	}
	// The last one is what was asked for; one that it needs may be there.
	for _, name := range names[:len(names)-1] {
		if c.Part(name) == nil {
			plain := settings
			plain.Args, plain.Env = nil, nil
			if _, err := part.Add(c, name, plain); err != nil {
				return err
			}
		}
	}
	p, err := part.Add(c, names[len(names)-1], settings)
	if err != nil {
		return err
	}
	return printJSON(p)
}

func eventsReady(args []string) error {
	plain, err := parse(flags("events-ready"), args, 2, 2, "NAME NAMESPACE")
	if err != nil {
		return err
	}
	c, err := cluster.Open(plain[0])
	if err != nil {
		return err
	}
	return part.EventsReady(c, plain[1])
}

// addAll is `up --with`.
func addAll(c *cluster.Cluster, names []string) error {
	if len(names) == 0 {
		return nil
	}
	settings, err := partSettings(nil, nil)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := part.Add(c, name, settings); err != nil {
			return err
		}
	}
	return nil
}

func partSettings(args, env []string) (part.Settings, error) {
	var none part.Settings
	bin, err := binFolder()
	if err != nil {
		return none, err
	}
	images, err := builder("")
	if err != nil {
		return none, err
	}
	s := part.Settings{Bin: bin, Images: images, Say: say}
	if s.Args, err = byProcess("arg", args); err != nil {
		return none, err
	}
	s.Env, err = byProcess("env", env)
	return s, err
}

func byProcess(name string, lines []string) (map[string][]string, error) {
	all := map[string][]string{}
	for _, line := range lines {
		process, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("--%s %q: write PROCESS=VALUE: %w", name, line, errUsage)
		}
		all[process] = append(all[process], value)
	}
	return all, nil
}
