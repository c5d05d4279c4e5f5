package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tenantry.io/testbed/driver/internal/command"
)

// process is the record of a started component. The start time makes it safe
// to use the pid later: a pid comes back, a pid with its start time does not.
type process struct {
	Pid     int    `json:"pid"`
	Started string `json:"started"` // field 22 of /proc/PID/stat
}

// Status is one row of `testbed pids`.
type Status struct {
	Pid   int    `json:"pid"`
	State string `json:"state"` // running, frozen, stopped
	Log   string `json:"log"`
}

func (c *Cluster) processFile(name string) string { return c.path("run", name+".json") }

// start runs a component in the cluster's network namespace, detached from
// this process, with its output appended to its log.
func (c *Cluster) start(k component) error {
	if p, ok := c.running(k.Name); ok {
		return fmt.Errorf("%s of cluster %s runs already (pid %d)", k.Name, c.Name, p.Pid)
	}
	log, err := os.OpenFile(c.logFile(k.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Fprintf(log, "=== testbed starts %s at %s\n", k.Name, time.Now().Format(time.RFC3339Nano))
	// nsenter and not `ip netns exec`, which hides the cgroup mounts. It
	// replaces itself by the component, so the pid is the component's.
	cmd := exec.Command("nsenter", append([]string{"--net=" + c.netnsPath(), "--"}, k.Argv...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = c.Dir
	cmd.Env = append(componentEnv(), k.Env...)
	// A session of its own: a Ctrl-C at the terminal of `up` is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s of cluster %s: %w", k.Name, c.Name, err)
	}
	// Collects it if it ends while this program still runs; else it would
	// stay a zombie and look alive to a caller that only asks for the pid.
	go func() { _ = cmd.Wait() }()
	_, started, err := stat(cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("%s of cluster %s ended at once; its log: %s", k.Name, c.Name, c.logFile(k.Name))
	}
	return writeJSON(c.processFile(k.Name), process{cmd.Process.Pid, started})
}

// componentEnv is this program's environment without what would make a
// component talk to anything but the cluster.
func componentEnv() []string {
	var env []string
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		switch strings.ToUpper(name) {
		case "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "KUBECONFIG", "NOTIFY_SOCKET":
			continue
		}
		env = append(env, e)
	}
	return env
}

// stat reads the state letter and the start time of a process.
func stat(pid int) (state, started string, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", "", err
	}
	// The second field is the program's name, which may hold spaces.
	_, rest, ok := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return "", "", fmt.Errorf("/proc/%d/stat: cannot read %q", pid, b)
	}
	return fields[0], fields[19], nil
}

// running tells whether the recorded process of a component is still there.
func (c *Cluster) running(name string) (process, bool) {
	var p process
	if err := readJSON(c.processFile(name), &p); err != nil {
		return p, false
	}
	return p, p.alive()
}

func (p process) alive() bool {
	state, started, err := stat(p.Pid)
	return err == nil && started == p.Started && state != "Z" && state != "X"
}

// Start starts a component that was stopped or killed, or that died.
func (c *Cluster) Start(name string) error {
	k, err := c.find(name)
	if err != nil {
		return err
	}
	if err := c.start(k); err != nil {
		return err
	}
	return c.waitFor(k.Name)
}

// Signal sends a signal to a component and, where that is meant to end it,
// waits for the end.
func (c *Cluster) Signal(name string, sig syscall.Signal, ends bool) error {
	k, err := c.find(name)
	if err != nil {
		return err
	}
	p, ok := c.running(k.Name)
	if !ok {
		return fmt.Errorf("%s of cluster %s does not run; start it with `testbed start %s %s`", k.Name, c.Name, c.Name, name)
	}
	if err := syscall.Kill(p.Pid, sig); err != nil {
		return fmt.Errorf("%s of cluster %s (pid %d): %w", k.Name, c.Name, p.Pid, err)
	}
	if !ends {
		return nil
	}
	// The API server first lets its open watches end.
	return command.Poll(75*time.Second, fmt.Sprintf("end of %s of cluster %s (pid %d)", k.Name, c.Name, p.Pid), func() error {
		if p.alive() {
			return errors.New("it still runs (`testbed kill` ends it at once)")
		}
		return nil
	})
}

// Pids tells the state of every component.
func (c *Cluster) Pids() map[string]Status {
	all := map[string]Status{}
	for _, k := range c.Components {
		s := Status{State: "stopped", Log: c.logFile(k.Name)}
		if p, ok := c.running(k.Name); ok {
			s.Pid, s.State = p.Pid, "running"
			if state, _, err := stat(p.Pid); err == nil && state == "T" {
				s.State = "frozen"
			}
		}
		all[k.Name] = s
	}
	return all
}

// logTail is the end of a component's log, for an error message.
func (c *Cluster) logTail(name string) string {
	b, err := os.ReadFile(c.logFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	if len(lines) > 12 {
		lines = lines[len(lines)-12:]
	}
	return fmt.Sprintf("\n--- the end of %s:\n%s", c.logFile(name), strings.Join(lines, "\n"))
}
