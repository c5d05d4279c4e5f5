package cluster

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tenantry.io/testbed/driver/internal/command"
)

// podPrefix begins the name by which a pod's process is steered.
const podPrefix = "pod/"

// IsPod tells whether a name means a pod: pod/NAMESPACE/NAME[/CONTAINER].
func IsPod(name string) bool { return strings.HasPrefix(name, podPrefix) }

// SignalPod sends a signal to the first process of a pod's container: a crash
// or a hang of what runs there, of which the API server is not told. The
// kubelet then does what the pod's restart policy says.
func (c *Cluster) SignalPod(name string, sig syscall.Signal, ends bool) error {
	part := strings.Split(strings.TrimPrefix(name, podPrefix), "/")
	if len(part) < 2 || len(part) > 3 {
		return fmt.Errorf("%q: write pod/NAMESPACE/NAME or pod/NAMESPACE/NAME/CONTAINER", name)
	}
	label := func(of, value string) string {
		return fmt.Sprintf("labels.\"io.kubernetes.%s\"==%q", of, value)
	}
	filter := []string{label("pod.namespace", part[0]), label("pod.name", part[1]), `labels."io.cri-containerd.kind"==container`}
	if len(part) == 3 {
		filter = append(filter, label("container.name", part[2]))
	}
	p, err := c.podProcess(name, strings.Join(filter, ","))
	if err != nil {
		return err
	}
	if err := syscall.Kill(p.Pid, sig); err != nil {
		return fmt.Errorf("%s in cluster %s (pid %d): %w", name, c.Name, p.Pid, err)
	}
	if !ends {
		return nil
	}
	return command.Poll(75*time.Second, fmt.Sprintf("end of %s in cluster %s (pid %d)", name, c.Name, p.Pid), func() error {
		if p.alive() {
			return errors.New("it still runs (`testbed kill` ends it at once)")
		}
		return nil
	})
}

// podProcess asks every node's containerd for the one running container that
// the filter finds.
func (c *Cluster) podProcess(name, filter string) (process, error) {
	var found []process
	for n := 1; n <= c.Options.Nodes; n++ {
		ctr := func(args ...string) (string, error) {
			return command.Run(command.Default, "ctr", append([]string{"--address", c.runtimeSock(n), "--namespace", "k8s.io"}, args...)...)
		}
		ids, err := ctr("containers", "list", "--quiet", filter)
		if err != nil {
			return process{}, err
		}
		tasks, err := ctr("tasks", "list")
		if err != nil {
			return process{}, err
		}
		for line := range strings.Lines(tasks) {
			// container pid state
			f := strings.Fields(line)
			if len(f) < 3 || f[2] != "RUNNING" || !strings.Contains(ids, f[0]) {
				continue
			}
			pid, err := strconv.Atoi(f[1])
			if err != nil {
				return process{}, fmt.Errorf("ctr tasks list: cannot read %q", line)
			}
			// One that just ended is not there to be found.
			if _, started, err := stat(pid); err == nil {
				found = append(found, process{pid, started})
			}
		}
	}
	if len(found) != 1 {
		return process{}, fmt.Errorf("cluster %s has %d running containers for %q, not one", c.Name, len(found), name)
	}
	return found[0], nil
}
