// Package cluster starts, steers and removes Kubernetes clusters whose parts
// are plain processes of this machine, each cluster in a network namespace,
// a cgroup and a folder of its own.
//
// All that is known of a cluster is in its folder; what `down` needs to find
// beyond it (processes, mounts, cgroups) is found by the names in identity.
package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sort"
)

// Cluster is the content of a cluster's file cluster.json.
type Cluster struct {
	identity
	addresses
	Server     string      `json:"server"`
	Kube       string      `json:"kube"` // the multi-call binary
	Options    Options     `json:"options"`
	Components []component `json:"components"`
	// Ready is set as the last act of `up`.
	Ready bool `json:"ready"`

	client *http.Client
	parts  []Part
}

// Open reads a cluster that `up` made, also one that it left half done.
func Open(name string) (*Cluster, error) {
	root, err := StateRoot()
	if err != nil {
		return nil, err
	}
	id, err := newIdentity(root, name)
	if err != nil {
		return nil, err
	}
	c := &Cluster{identity: id}
	err = readJSON(c.file(), c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no cluster %q in %s: see `testbed list`, or start it with `testbed up %s`", name, root, name)
	}
	if err != nil {
		return nil, err
	}
	vms, err := c.vms()
	if err != nil {
		return nil, err
	}
	for _, vm := range vms {
		c.Components = append(c.Components, c.vmComponent(vm))
	}
	if c.parts, err = c.readParts(); err != nil {
		return nil, err
	}
	for _, p := range c.parts {
		c.Components = append(c.Components, p.Components...)
	}
	return c, nil
}

// List opens every cluster of the state folder.
func List() ([]*Cluster, error) {
	root, err := StateRoot()
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(root, "*", "cluster.json"))
	if err != nil {
		return nil, err
	}
	sort.Strings(files)
	var all []*Cluster
	for _, f := range files {
		c, err := Open(filepath.Base(filepath.Dir(f)))
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func (c *Cluster) file() string { return c.path("cluster.json") }
func (c *Cluster) save() error  { return writeJSON(c.file(), c) }

func (c *Cluster) pauseArchive() string { return c.path("pause.tar") }

// Result is what `up` prints and `list` prints for each cluster.
type Result struct {
	Name         string       `json:"name"`
	Ready        bool         `json:"ready"`
	Kubeconfig   string       `json:"kubeconfig"`
	Server       string       `json:"server"`
	StateDir     string       `json:"stateDir"`
	Netns        string       `json:"netns"`
	NetnsPath    string       `json:"netnsPath"`
	HostAddress  string       `json:"hostAddress"`
	NodeAddress  string       `json:"nodeAddress"`
	PodRange     string       `json:"podRange"`
	ServiceRange string       `json:"serviceRange"`
	Logs         string       `json:"logs"`
	Nodes        []NodeResult `json:"nodes"`
	Parts        []Part       `json:"parts,omitempty"`
}

// NodeResult is one node in a Result.
type NodeResult struct {
	Name       string `json:"name"`
	Containerd string `json:"containerd"` // the socket
	PodLogs    string `json:"podLogs"`
	Kubelet    string `json:"kubelet"` // the kubelet's root folder
}

// Result tells what a caller needs to use the cluster.
func (c *Cluster) Result() Result {
	r := Result{
		Name: c.Name, Ready: c.Ready, Kubeconfig: c.Kubeconfig(), Server: c.Server, StateDir: c.Dir,
		Netns: c.ID, NetnsPath: c.netnsPath(), HostAddress: c.HostAddress, NodeAddress: c.NodeAddress,
		PodRange: c.PodRange, ServiceRange: c.ServiceRange, Logs: c.path("logs"), Parts: c.parts,
	}
	for n := 1; n <= c.Options.Nodes; n++ {
		r.Nodes = append(r.Nodes, NodeResult{
			Name: c.nodeName(n), Containerd: c.runtimeSock(n), PodLogs: c.podLogs(n), Kubelet: c.kubeletDir(n),
		})
	}
	return r
}

// claim makes the cluster's folder; whoever makes it owns the name.
func (c *Cluster) claim() error {
	if err := os.MkdirAll(filepath.Dir(c.Dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(c.Dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cluster %q exists already (%s): take it down with `testbed down %s`, or choose another name", c.Name, c.Dir, c.Name)
	}
	if err != nil {
		return err
	}
	return c.save()
}
