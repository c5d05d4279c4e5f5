package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tenantry.io/testbed/driver/internal/command"
)

const cgroupMount = "/sys/fs/cgroup"

// hierarchies lists the roots of the cgroup trees: one with version 2, one for
// each controller with version 1.
func hierarchies() ([]string, error) {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	var roots []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 3 && (f[2] == "cgroup" || f[2] == "cgroup2") && strings.HasPrefix(f[1], cgroupMount) {
			roots = append(roots, f[1])
		}
	}
	if len(roots) == 0 {
		return nil, errors.New("no cgroup file system below " + cgroupMount)
	}
	return roots, nil
}

// makeCgroups makes the kubelets' root groups; a kubelet refuses to start when
// its root is missing in any tree.
func (c *Cluster) makeCgroups() error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		for n := 1; n <= c.Options.Nodes; n++ {
			for _, dir := range []string{filepath.Join(root, c.ID), filepath.Join(root, c.cgroupOf(n))} {
				if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
					return fmt.Errorf("cgroup: %w", err)
				}
				if err := fillCgroup(dir); err != nil {
					return fmt.Errorf("cgroup %s: %w", dir, err)
				}
			}
		}
	}
	return nil
}

// fillCgroup gives a new group what it does not inherit by itself.
func fillCgroup(dir string) error {
	// Version 1: a cpuset without processors and memory takes no process.
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if !exists(filepath.Join(dir, file)) || exists(filepath.Join(dir, "cgroup.controllers")) {
			continue
		}
		above, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), above, 0o644); err != nil {
			return err
		}
	}
	// Version 2: controllers are handed down one level at a time.
	control := filepath.Join(filepath.Dir(dir), "cgroup.subtree_control")
	controllers, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "cgroup.controllers"))
	if err != nil {
		return nil // version 1
	}
	for _, name := range strings.Fields(string(controllers)) {
		// One at a time, and a refusal is no failure: the kubelet says
		// which of them it needs.
		_ = os.WriteFile(control, []byte("+"+name), 0o644)
	}
	return nil
}

// cgroupPids lists the processes in the cluster's groups: its containers.
func (i identity) cgroupPids() []int {
	roots, err := hierarchies()
	if err != nil {
		return nil
	}
	seen := map[int]bool{}
	var pids []int
	for _, root := range roots {
		_ = filepath.WalkDir(filepath.Join(root, i.ID), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return nil // a group that vanishes while we look has no process
			}
			b, _ := os.ReadFile(path)
			for _, f := range strings.Fields(string(b)) {
				if pid, err := strconv.Atoi(f); err == nil && pid > 0 && !seen[pid] {
					seen[pid] = true
					pids = append(pids, pid)
				}
			}
			return nil
		})
	}
	return pids
}

// removeCgroups removes the cluster's groups, the deepest first. The kernel
// refuses for a moment after the last process of a group ended.
func (i identity) removeCgroups() error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	return command.Poll(10*time.Second, "removal of the cgroups "+i.ID, func() error {
		var errs []error
		for _, root := range roots {
			var dirs []string
			_ = filepath.WalkDir(filepath.Join(root, i.ID), func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
			for n := len(dirs) - 1; n >= 0; n-- {
				if err := syscall.Rmdir(dirs[n]); err != nil && !errors.Is(err, fs.ErrNotExist) {
					errs = append(errs, fmt.Errorf("%s: %w", dirs[n], err))
				}
			}
		}
		return errors.Join(errs...)
	})
}
