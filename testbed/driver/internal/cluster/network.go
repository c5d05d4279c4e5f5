package cluster

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"tenantry.io/testbed/driver/internal/command"
)

// makeNetwork takes a slot and makes the network namespace with its veth pair
// and its routes. The namespace has no default route: nothing that runs in the
// cluster can send a packet past this machine.
func (c *Cluster) makeNetwork() error {
	release, err := lockMachine()
	if err != nil {
		return err
	}
	defer release()
	slot, err := freeSlot(c.firstSlot())
	if err != nil {
		return err
	}
	c.addresses = addressesOf(slot)
	if err := c.save(); err != nil {
		return err
	}

	in := func(args ...string) []string { return append([]string{"ip", "-netns", c.ID}, args...) }
	steps := [][]string{
		{"ip", "netns", "add", c.ID},
		{"ip", "link", "add", c.HostLink, "type", "veth", "peer", "name", c.NodeLink, "netns", c.ID},
		in("link", "set", "lo", "up"),
		in("addr", "add", c.NodeAddress+"/30", "dev", c.NodeLink),
		in("link", "set", c.NodeLink, "up"),
		{"ip", "addr", "add", c.HostAddress + "/30", "dev", c.HostLink},
		{"ip", "link", "set", c.HostLink, "up"},
		// Without these two, a packet of the root namespace to a pod or a
		// service would take the default route and leave the machine.
		{"ip", "route", "add", c.PodRange, "via", c.NodeAddress},
		{"ip", "route", "add", c.ServiceRange, "via", c.NodeAddress},
	}
	for _, r := range allRanges { // the way to the other clusters
		steps = append(steps, in("route", "add", r, "via", c.HostAddress))
	}
	// Services have no interface of their own; kube-proxy rewrites the
	// packets, but the kernel looks for a route first.
	steps = append(steps, in("route", "add", c.ServiceRange, "dev", c.NodeLink))
	// A pod's own route is more exact. This one answers for pods that are
	// gone; else their packets would go round and round over the veth pair.
	steps = append(steps, in("route", "add", "unreachable", c.PodRange))
	for _, spec := range c.forwardRules() {
		steps = append(steps, append([]string{"iptables", "-w", "10", "-I", "FORWARD"}, spec...))
	}
	for _, s := range steps {
		if _, err := command.Run(command.Default, s[0], s[1:]...); err != nil {
			return fmt.Errorf("network of %s: %w", c.Name, err)
		}
	}
	// Forwarding between clusters, for packets from our own link only.
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+c.HostLink+"/forwarding", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("network of %s: %w", c.Name, err)
	}
	_, err = command.Run(command.Default, "nsenter", "--net="+c.netnsPath(), "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	return err
}

// forwardRules let packets of the cluster into other clusters and nowhere
// else. The second is inserted above the first.
func (i identity) forwardRules() [][]string {
	return [][]string{
		{"-i", i.HostLink, "-j", "DROP"},
		{"-i", i.HostLink, "-o", LinkPrefix + "+", "-j", "ACCEPT"},
	}
}

// removeNetwork takes back what makeNetwork made, whole or in part.
func (i identity) removeNetwork() error {
	var errs []error
	for _, spec := range i.forwardRules() {
		check := append([]string{"-w", "10", "-C", "FORWARD"}, spec...)
		if _, err := command.Run(command.Default, "iptables", check...); err != nil {
			continue // there is no such rule
		}
		if _, err := command.Run(command.Default, "iptables", append([]string{"-w", "10", "-D", "FORWARD"}, spec...)...); err != nil {
			errs = append(errs, err)
		}
	}
	// The link first: a namespace lives on until its last process is gone.
	if exists("/sys/class/net/" + i.HostLink) {
		if _, err := command.Run(command.Default, "ip", "link", "delete", i.HostLink); err != nil {
			errs = append(errs, err)
		}
	}
	if exists(i.netnsPath()) {
		if _, err := command.Run(command.Default, "ip", "netns", "delete", i.ID); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// namespacePids lists the processes that are in the cluster's network
// namespace: its components, whatever the state files say.
func (i identity) namespacePids() []int {
	var ns syscall.Stat_t
	if err := syscall.Stat(i.netnsPath(), &ns); err != nil {
		return nil
	}
	var pids []int
	for _, pid := range allPids() {
		var st syscall.Stat_t
		if err := syscall.Stat("/proc/"+strconv.Itoa(pid)+"/ns/net", &st); err == nil && st.Ino == ns.Ino && st.Dev == ns.Dev {
			pids = append(pids, pid)
		}
	}
	return pids
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// allPids lists the processes of this machine.
func allPids() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(strings.TrimSpace(e.Name())); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
