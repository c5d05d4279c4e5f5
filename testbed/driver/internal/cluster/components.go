package cluster

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A component is one process of the cluster. Its argument list is kept in the
// cluster's file, so that `start` runs exactly what `up` ran.
type component struct {
	Name string   `json:"name"`
	Argv []string `json:"argv"`
	// Env is added to the environment; of two lines for one name the last counts.
	Env []string `json:"env,omitempty"`
	// Answers is where it answers once it works, if that is all there is to
	// ask: http://… with 200, tcp://ADDRESS:PORT with a connection.
	Answers string `json:"answers,omitempty"`
}

// kinds, with the short names that the command line takes as well.
var kinds = map[string]string{
	"etcd": "", "kube-apiserver": "apiserver", "kube-controller-manager": "controller-manager",
	"kube-scheduler": "scheduler", "kube-proxy": "proxy", "containerd": "", "kubelet": "",
}

func componentNames() []string {
	return []string{"apiserver", "controller-manager", "scheduler", "proxy", "etcd", "kubelet", "containerd"}
}

func isComponent(kind string) bool { return longName(kind) != "" }

// longName is the program's name for a long or short one; "" if there is none.
func longName(name string) string {
	for long, short := range kinds {
		if name == long || (short != "" && name == short) {
			return long
		}
	}
	return ""
}

var ofNode = regexp.MustCompile(`^(kubelet|containerd)-([1-9])$`)

// canonical is the name of a component in the state file: kubelet and
// containerd of the first node have none of their own ("kubelet-1" is
// "kubelet"), those of the others end in the node's number.
func canonical(name string) string {
	if m := ofNode.FindStringSubmatch(name); m != nil {
		if m[2] == "1" {
			return m[1]
		}
		return name
	}
	if strings.HasPrefix(name, vmPrefix) {
		return name
	}
	return longName(name)
}

func perNode(kind string, n int) string {
	if n == 1 {
		return kind
	}
	return kind + "-" + strconv.Itoa(n)
}

// components lists all processes in the order in which they start. The first
// five belong to the cluster; the others to a node each.
func (c *Cluster) components() []component {
	o, pki := c.Options, func(f string) string { return c.path("pki", f) }
	conf := func(user string) string { return c.path("conf", user+".kubeconfig") }
	kube := func(name, kind string, args ...string) component {
		return component{Name: name, Argv: append(append([]string{c.Kube, kind}, args...), o.Args[kind]...)}
	}
	seconds := strconv.Itoa(int(o.PodEviction.Seconds()))
	list := []component{
		kube("etcd", "etcd", "--data-dir="+c.path("etcd")),
		kube("kube-apiserver", "kube-apiserver",
			"--etcd-servers=http://127.0.0.1:2379",
			"--secure-port=6443", "--bind-address=0.0.0.0",
			// Without it the API server advertises an address of its own
			// choice, and without the next one asks DNS for the node's name.
			"--advertise-address="+c.NodeAddress,
			"--kubelet-preferred-address-types=InternalIP",
			"--service-cluster-ip-range="+c.ServiceRange,
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			"--allow-privileged=true",
			"--client-ca-file="+pki("ca.crt"),
			"--tls-cert-file="+pki("apiserver.crt"), "--tls-private-key-file="+pki("apiserver.key"),
			"--kubelet-client-certificate="+pki("apiserver-kubelet.crt"), "--kubelet-client-key="+pki("apiserver-kubelet.key"),
			"--kubelet-certificate-authority="+pki("ca.crt"),
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-signing-key-file="+pki("service-account.key"),
			"--service-account-key-file="+pki("service-account.key"),
			"--default-not-ready-toleration-seconds="+seconds,
			"--default-unreachable-toleration-seconds="+seconds,
			// Without it, `testbed stop` takes a minute: the server waits for
			// open watches, which the client has no reason to end.
			"--shutdown-watch-termination-grace-period=2s",
			"--profiling=false"),
		kube("kube-controller-manager", "kube-controller-manager",
			"--kubeconfig="+conf("controller-manager"), "--bind-address=127.0.0.1", "--leader-elect=false",
			"--use-service-account-credentials=true",
			"--root-ca-file="+pki("ca.crt"),
			"--service-account-private-key-file="+pki("service-account.key"),
			"--cluster-signing-cert-file="+pki("ca.crt"), "--cluster-signing-key-file="+pki("ca.key"),
			"--node-monitor-period=2s", "--node-monitor-grace-period="+o.NodeGrace.String(),
			"--profiling=false"),
		kube("kube-scheduler", "kube-scheduler",
			"--kubeconfig="+conf("scheduler"), "--bind-address=127.0.0.1", "--leader-elect=false", "--profiling=false"),
		kube("kube-proxy", "kube-proxy",
			"--kubeconfig="+conf("proxy"), "--hostname-override="+c.nodeName(1), "--proxy-mode=iptables",
			"--cluster-cidr="+c.PodRange, "--bind-address=0.0.0.0", "--metrics-bind-address=127.0.0.1:10249",
			// These tables belong to the machine; a namespace may not size them.
			"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0"),
	}
	for n := 1; n <= o.Nodes; n++ {
		list = append(list,
			component{Name: perNode("containerd", n), Argv: append([]string{"containerd", "--config", filepath.Join(c.runtimeDir(n), "config.toml")}, o.Args["containerd"]...)},
			kube(perNode("kubelet", n), "kubelet",
				"--config="+filepath.Join(c.kubeletDir(n), "config.yaml"),
				"--kubeconfig="+conf(fmt.Sprintf("kubelet-%d", n)),
				"--root-dir="+c.kubeletDir(n),
				"--hostname-override="+c.nodeName(n),
				"--node-ip="+c.NodeAddress,
				"--node-labels=testbed.tenantry.io/cluster="+c.Name))
	}
	return list
}

// find looks a component up by any of its names.
func (c *Cluster) find(name string) (component, error) {
	wanted := canonical(name)
	var known []string
	for _, k := range c.Components {
		if k.Name == wanted || k.Name == name {
			return k, nil
		}
		known = append(known, k.Name)
	}
	return component{}, fmt.Errorf("cluster %s has no component %q; it has %s", c.Name, name, strings.Join(known, ", "))
}
