package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tenantry.io/testbed/driver/internal/command"
)

// Down removes a cluster and everything it left on the machine. It needs no
// file of the cluster: also what a broken `up` left behind goes, and a second
// `down` finishes what a first one could not.
func Down(name string, say Progress) error {
	root, err := StateRoot()
	if err != nil {
		return err
	}
	id, err := newIdentity(root, name)
	if err != nil {
		return err
	}
	if !exists(id.Dir) && !exists(id.netnsPath()) {
		return fmt.Errorf("no cluster %q in %s: see `testbed list`", name, root)
	}
	say("end the processes")
	// All errors are collected: what can go goes, and the report names the rest.
	err = id.endProcesses()
	say("remove mounts, network, cgroups, files")
	err = errors.Join(err, id.unmountAll(), id.removeNetwork(), id.removeCgroups(), id.removeTraces())
	if err != nil {
		return fmt.Errorf("cluster %s is not wholly removed; `testbed down %s` may be repeated: %w", name, name, err)
	}
	return os.RemoveAll(id.Dir)
}

// endProcesses kills in an order in which nobody starts again what was killed:
// kubelets and the control plane (they are in the network namespace), then
// shims, then containers. Nothing is asked to end in good order, because
// nothing of it is needed any more.
func (i identity) endProcesses() error {
	what := "end of the processes of cluster " + i.Name
	return command.Poll(30*time.Second, what, func() error {
		var left []int
		for _, pids := range [][]int{i.namespacePids(), i.shimPids(), i.cgroupPids()} {
			for _, pid := range pids {
				if state, _, err := stat(pid); err != nil || state == "Z" {
					continue
				}
				left = append(left, pid)
				_ = syscall.Kill(pid, syscall.SIGKILL) // gone already: fine
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("still there: %v", left)
		}
		return nil
	})
}

// shimPids lists the containerd shims of this cluster's sockets. A shim is in
// no namespace and no group of the cluster, but its arguments name the socket.
func (i identity) shimPids() []int {
	var pids []int
	for _, pid := range allPids() {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err != nil {
			continue
		}
		argv := strings.Split(string(b), "\x00")
		if !strings.HasPrefix(filepath.Base(argv[0]), "containerd-shim") {
			continue
		}
		if at := slices.Index(argv, "-address"); at > 0 && at+1 < len(argv) && strings.HasPrefix(argv[at+1], i.Dir+"/") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// shimSockets reads where the shims listened: a folder that all containerds
// of a machine share, and that a killed shim does not tidy.
func (i identity) shimSockets() []string {
	files, _ := filepath.Glob(i.path("containerd-*", "state", "io.containerd.runtime.v2.task", "*", "*", "address"))
	var sockets []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if path, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "unix://"); err == nil && ok {
			sockets = append(sockets, path)
		}
	}
	return sockets
}

// unmountAll takes away every mount in the cluster's folder, the newest first.
func (i identity) unmountAll() error {
	return command.Poll(10*time.Second, "unmount below "+i.Dir, func() error {
		b, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return err
		}
		var points []string
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], i.Dir+"/") {
				points = append(points, unescape(f[4]))
			}
		}
		var errs []error
		for n := len(points) - 1; n >= 0; n-- {
			if err := syscall.Unmount(points[n], syscall.MNT_DETACH|0x8 /* UMOUNT_NOFOLLOW */); err != nil && !errors.Is(err, syscall.EINVAL) {
				errs = append(errs, fmt.Errorf("%s: %w", points[n], err))
			}
		}
		if len(errs) == 0 && len(points) > 0 {
			// Look again: the folder is deleted with all that is in it, and
			// a mount that is still there would be deleted with it.
			return errors.New("mounts were there")
		}
		return errors.Join(errs...)
	})
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// sharedFolders are those of the machine in which something is left; they go
// when the last cluster goes, if nobody else has anything in them.
var sharedFolders = []string{
	"/var/lib/cni/results", "/var/lib/cni", "/var/log/containers", "/run/containerd/s", "/run/containerd",
	devicePlugins, filepath.Dir(devicePlugins),
}

const devicePlugins = "/var/lib/kubelet/device-plugins"

// removeTraces removes the files that containerd, CNI and the kubelet keep in
// folders which cannot be chosen. It reads the cluster's folder to know them.
func (i identity) removeTraces() error {
	traces := i.shimSockets()
	results, _ := filepath.Glob("/var/lib/cni/results/" + i.ID + "-*")
	traces = append(traces, results...)
	sandboxes, _ := filepath.Glob(i.path("containerd-*", "root", "io.containerd.grpc.v1.cri", "sandboxes", "*"))
	for _, s := range sandboxes {
		// The loopback network has one name in all clusters.
		traces = append(traces, "/var/lib/cni/results/cni-loopback-"+filepath.Base(s)+"-lo")
	}
	links, _ := filepath.Glob("/var/log/containers/*")
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && strings.HasPrefix(to, i.Dir+"/") {
			traces = append(traces, l)
		}
	}
	var errs []error
	for _, t := range traces {
		errs = append(errs, removeIfThere(t))
	}
	// The kubelet's socket for device plugins has a fixed path, which the
	// kubelet that started last holds; the others have no use for it.
	if conn, err := net.DialTimeout("unix", devicePlugins+"/kubelet.sock", time.Second); err == nil {
		conn.Close()
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		errs = append(errs, removeIfThere(devicePlugins+"/kubelet.sock"))
	}
	// A running kubelet does not make its folder again.
	if others, _ := filepath.Glob("/run/netns/" + idPrefix + "*"); len(others) == 0 {
		for _, dir := range sharedFolders {
			_ = syscall.Rmdir(dir) // refused while anything is in it
		}
	}
	return errors.Join(errs...)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
