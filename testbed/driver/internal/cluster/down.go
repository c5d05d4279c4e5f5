package cluster

import (
	"errors"
	"fmt"
	"io/fs"
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
	sockets := id.shimSockets()
	err = errors.Join(err, id.unmountAll(), id.removeNetwork(), id.removeCgroups())
	for _, s := range sockets {
		err = errors.Join(err, removeIfThere(s))
	}
	err = errors.Join(err, id.removeTraces())
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

// removeTraces removes the files that CNI and the kubelet keep in folders
// which cannot be chosen.
func (i identity) removeTraces() error {
	var errs []error
	results, _ := filepath.Glob("/var/lib/cni/results/" + i.ID + "-*")
	for _, f := range results {
		errs = append(errs, removeIfThere(f))
	}
	links, _ := filepath.Glob("/var/log/containers/*")
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && strings.HasPrefix(to, i.Dir+"/") {
			errs = append(errs, removeIfThere(l))
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
