package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"tenantry.io/testbed/driver/internal/cluster"
	"tenantry.io/testbed/driver/internal/image"
)

func steer(verb string, args []string) error {
	plain, err := parse(flags(verb), args, 2, 2, "NAME COMPONENT")
	if err != nil {
		return err
	}
	c, err := cluster.Open(plain[0])
	if err != nil {
		return err
	}
	signal := c.Signal
	if cluster.IsPod(plain[1]) {
		if verb == "start" {
			return fmt.Errorf("start %s: the kubelet starts containers: %w", plain[1], errUsage)
		}
		signal = c.SignalPod
	}
	switch verb {
	case "start":
		err = c.Start(plain[1])
	case "stop":
		err = signal(plain[1], syscall.SIGTERM, true)
	case "kill":
		err = signal(plain[1], syscall.SIGKILL, true)
	case "freeze":
		err = signal(plain[1], syscall.SIGSTOP, false)
	case "thaw":
		err = signal(plain[1], syscall.SIGCONT, false)
	}
	if err == nil {
		say("%s %s of cluster %s: done", verb, plain[1], plain[0])
	}
	return err
}

func pids(args []string) error {
	plain, err := parse(flags("pids"), args, 1, 1, "NAME")
	if err != nil {
		return err
	}
	c, err := cluster.Open(plain[0])
	if err != nil {
		return err
	}
	return printJSON(c.Pids())
}

// execIn replaces this program by the command, so that its exit code, its
// signals and its terminal are the command's own.
func execIn(args []string) error {
	if len(args) < 2 || (args[1] == "--" && len(args) < 3) {
		return fmt.Errorf("usage: testbed exec NAME -- CMD...: %w", errUsage)
	}
	c, err := cluster.Open(args[0])
	if err != nil {
		return err
	}
	argv := args[1:]
	if argv[0] == "--" {
		argv = argv[1:]
	}
	return replace("nsenter", append([]string{"--net=" + c.Result().NetnsPath, "--"}, argv...)...)
}

func kubectl(args []string) error {
	if len(args) < 1 {
		return fmt.Errorf("usage: testbed kubectl NAME ARG...: %w", errUsage)
	}
	c, err := cluster.Open(args[0])
	if err != nil {
		return err
	}
	return replace(c.Kube, append([]string{"kubectl", "--kubeconfig", c.Kubeconfig()}, args[1:]...)...)
}

func replace(name string, args ...string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("%s is not installed: run testbed/install.sh", name)
	}
	return syscall.Exec(path, append([]string{name}, args...), os.Environ())
}

func buildImages(args []string) error {
	plain, err := parse(flags("build-images"), args, 1, -1, "DIR [IMAGE...]")
	if err != nil {
		return err
	}
	b, err := builder(plain[0])
	if err != nil {
		return err
	}
	return b.Build(plain[1:]...)
}

func builder(folder string) (image.Builder, error) {
	var none image.Builder
	bin, err := binFolder()
	if err != nil {
		return none, err
	}
	cache := os.Getenv("TESTBED_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return none, fmt.Errorf("no cache folder (%w): set TESTBED_CACHE", err)
		}
		cache = filepath.Join(user, "tenantry-testbed")
	}
	if cache, err = filepath.Abs(cache); err != nil {
		return none, err
	}
	return image.Builder{Folder: folder, Cache: cache, Bin: bin, Say: say}, nil
}
