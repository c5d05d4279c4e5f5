// Command testbed starts and steers the Kubernetes clusters of the tests.
//
// Results go to standard output as JSON, progress and errors to standard
// error. Exit codes: 0 done, 1 failed, 2 called wrongly.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const usage = `usage: testbed COMMAND

  up NAME [FLAG...]         start a cluster; "testbed up -h" lists the flags
  add NAME PART             start a part that not every test needs, and build
                            it if need be: argo-workflows, nats, argo-events
                            (with nats), argo-cd; also "up NAME --with PART,…"
  events-ready NAME NAMESPACE
                            wait until the namespace's EventSources and Sensors
                            work: an event sent then comes through
  down NAME                 remove a cluster and all it left
  list                      the clusters of this state folder
  kubeconfig NAME           path of the administrator's kubeconfig
  load-image NAME TAR...    load image archives into every node
  build-images DIR [IMAGE...]
                            build the test images as archives; "ansible" and
                            "spark" only when they are named
  vm up NAME VM             a VM stand-in (an sshd with a file system of its
                            own) in the cluster's network
  vm down NAME VM           remove it; "down" removes all of them
  pids NAME                 the processes of a cluster
  stop NAME COMPONENT       end it in good order (SIGTERM), and wait
  kill NAME COMPONENT       end it at once (SIGKILL)
  start NAME COMPONENT      start it again, with the arguments of "up"
  freeze NAME COMPONENT     stop it in its tracks (SIGSTOP): it answers nothing
  thaw NAME COMPONENT       let it go on
  exec NAME -- CMD...       run a command in the cluster's network namespace
  kubectl NAME ARG...       run kubectl as the administrator

components: apiserver, controller-manager, scheduler, proxy, etcd, kubelet,
containerd; those of the second node are kubelet-2 and containerd-2; a VM's
sshd is vm-VM. Parts have components too: workflow-controller, nats,
argocd-redis, argocd-repo-server, argocd-application-controller, argocd-server.
A pod's container is pod/NAMESPACE/NAME[/CONTAINER] (not for start).

environment: TESTBED_STATE   folder of the clusters' state (default: in the
                             temporary folder)
             TESTBED_CACHE   folder that keeps what is slow to make
`

// errUsage is an error of the caller.
var errUsage = errors.New("called wrongly; see testbed help")

func main() {
	err := run(os.Args[1:])
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "testbed:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "testbed:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		args = []string{"help"}
	}
	rest := args[1:]
	switch args[0] {
	case "help", "-h", "--help":
		fmt.Print(usage)
		return nil
	case "up":
		return up(rest)
	case "add":
		return add(rest)
	case "events-ready":
		return eventsReady(rest)
	case "down":
		return down(rest)
	case "list":
		return list(rest)
	case "kubeconfig":
		return kubeconfig(rest)
	case "load-image":
		return loadImage(rest)
	case "build-images":
		return buildImages(rest)
	case "vm":
		return vm(rest)
	case "pids":
		return pids(rest)
	case "start", "stop", "kill", "freeze", "thaw":
		return steer(args[0], rest)
	case "exec":
		return execIn(rest)
	case "kubectl":
		return kubectl(rest)
	}
	return fmt.Errorf("no command %q: %w", args[0], errUsage)
}

// parse takes flags before and after the other arguments, and wants a number
// of those: least to most, or no limit if most is negative.
func parse(fs *flag.FlagSet, args []string, least, most int, what string) ([]string, error) {
	fs.SetOutput(io.Discard)
	var plain []string
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				fmt.Fprintf(os.Stderr, "usage: testbed %s %s [FLAG...]\n", fs.Name(), what)
				fs.SetOutput(os.Stderr)
				fs.PrintDefaults()
				return nil, err
			}
			return nil, fmt.Errorf("%s: %w: %w", fs.Name(), err, errUsage)
		}
		args = fs.Args()
		if len(args) == 0 {
			break
		}
		plain, args = append(plain, args[0]), args[1:]
	}
	if len(plain) < least || (most >= 0 && len(plain) > most) {
		return nil, fmt.Errorf("usage: testbed %s %s: %w", fs.Name(), what, errUsage)
	}
	return plain, nil
}

func flags(name string) *flag.FlagSet { return flag.NewFlagSet(name, flag.ContinueOnError) }

func printJSON(v any) error {
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "testbed: "+format+"\n", args...)
}

// binFolder is where this program is; build.sh puts the others beside it.
func binFolder() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", err
	}
	return filepath.Dir(self), nil
}

// listFlag collects the values of a flag that may be given several times.
type listFlag []string

func (l *listFlag) String() string     { return strings.Join(*l, ",") }
func (l *listFlag) Set(v string) error { *l = append(*l, v); return nil }
