// Command kube is every Kubernetes component of the test bed in one binary:
// the first argument (or the name it is called by) chooses the component, and
// the rest goes to it unchanged.
//
// One binary instead of six, because the components share nearly all their
// code: it links once, and is a third of the size of the six together.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// components maps the name of a component to its main function. Each reads
// os.Args, as its original does, and returns the exit code.
var components = map[string]func() int{
	"etcd":                    runEtcd,
	"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() int { return cli.Run(controllermanager.NewControllerManagerCommand()) },
	"kube-scheduler":          func() int { return cli.Run(scheduler.NewSchedulerCommand()) },
	"kube-proxy":              func() int { return cli.Run(proxy.NewProxyCommand()) },
	// The kubelet's command sets up its own signal handling around this context.
	"kubelet": func() int { return cli.Run(kubelet.NewKubeletCommand(context.Background())) },
	"kubectl": func() int { return cli.Run(kubectl.NewDefaultKubectlCommand()) },
}

func main() {
	// Called by a component's name (a symbolic link) …
	if run, ok := components[filepath.Base(os.Args[0])]; ok {
		os.Exit(run())
	}
	// … or with the name as the first argument, which is then taken off.
	if len(os.Args) > 1 {
		if run, ok := components[os.Args[1]]; ok {
			os.Args = os.Args[1:]
			os.Exit(run())
		}
	}
	names := make([]string, 0, len(components))
	for name := range components {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintf(os.Stderr, "usage: kube COMPONENT [FLAG...]\ncomponents: %s\n", strings.Join(names, ", "))
	os.Exit(2)
}
