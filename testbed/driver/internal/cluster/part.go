package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"tenantry.io/testbed/driver/internal/command"
)

// A Part is more than Kubernetes in a cluster: a message bus, a workflow
// engine. Package part knows what they are; here is what they have in common:
// processes in the cluster's namespace, which are steered as its own, and a
// folder. The file part.json in it is also what `add` prints.
type Part struct {
	Name string `json:"name"`
	// Namespace is where its objects are in the cluster; some have none.
	Namespace string `json:"namespace,omitempty"`
	// Values are what a test needs to know: addresses, programs, files.
	Values     map[string]string `json:"values"`
	Components []Process         `json:"components"`
	// Ready is set as the last act of `add`.
	Ready bool `json:"ready"`
}

// A Process is one process of a part.
type Process = component

const partPrefix = "part-"

// PartDir is the folder of a part's files.
func (i identity) PartDir(name string) string  { return i.path(partPrefix + name) }
func (i identity) partFile(name string) string { return i.path(partPrefix+name, "part.json") }

// AddPart makes the part's folder and lets build fill it; when that fails, the
// processes that it started end. Objects in the cluster stay as they are: to
// make them again changes nothing.
func (c *Cluster) AddPart(name string, build func(p *Part) error) (Part, error) {
	p := Part{Name: name, Values: map[string]string{}, Components: []Process{}}
	if !c.Ready {
		return p, fmt.Errorf("cluster %s is not up: see `testbed list`", c.Name)
	}
	err := os.Mkdir(c.PartDir(name), 0o755) // whoever makes it owns the name
	if errors.Is(err, fs.ErrExist) {
		return p, fmt.Errorf("cluster %s has %s already", c.Name, name)
	}
	if err != nil {
		return p, err
	}
	if err := build(&p); err != nil {
		return p, errors.Join(err, c.removePart(p))
	}
	p.Ready = true
	if err := writeJSON(c.partFile(name), p); err != nil {
		return p, err
	}
	c.parts = append(c.parts, p)
	return p, nil
}

// RunProcess starts a process of a part and waits until it answers. From
// before the start on it is in the part's file: `down` and `pids` see it.
func (c *Cluster) RunProcess(p *Part, k Process) error {
	p.Components = append(p.Components, k)
	c.Components = append(c.Components, k)
	if err := writeJSON(c.partFile(p.Name), p); err != nil {
		return err
	}
	if err := c.start(k); err != nil {
		return err
	}
	return c.waitFor(k.Name)
}

func (c *Cluster) removePart(p Part) error {
	var errs []error
	for _, k := range p.Components {
		if running, ok := c.running(k.Name); ok {
			_ = syscall.Kill(running.Pid, syscall.SIGKILL) // gone already: fine
			errs = append(errs, command.Poll(command.Default, "end of "+k.Name, func() error {
				if running.alive() {
					return errors.New("it still runs")
				}
				return nil
			}))
		}
		errs = append(errs, removeIfThere(c.processFile(k.Name)))
	}
	return errors.Join(append(errs, os.RemoveAll(c.PartDir(p.Name)))...)
}

// Part tells what a part that the cluster has wrote down; nil without it.
func (c *Cluster) Part(name string) *Part {
	for n := range c.parts {
		if c.parts[n].Name == name && c.parts[n].Ready {
			return &c.parts[n]
		}
	}
	return nil
}

func (c *Cluster) readParts() ([]Part, error) {
	files, err := filepath.Glob(c.partFile("*"))
	if err != nil {
		return nil, err
	}
	var all []Part
	for _, f := range files {
		var p Part
		if err := readJSON(f, &p); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue // `add` failed meanwhile
			}
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// Kubectl runs kubectl as the administrator.
func (c *Cluster) Kubectl(deadline time.Duration, args ...string) (string, error) {
	return command.Run(deadline, c.Kube, append([]string{"kubectl", "--kubeconfig", c.Kubeconfig()}, args...)...)
}

// ServiceAccount writes a kubeconfig with which a process outside has exactly
// the rights that it would have as a pod of this service account.
func (c *Cluster) ServiceAccount(namespace, name string) (string, error) {
	p, err := openPKI(c.path("pki"))
	if err != nil {
		return "", err
	}
	file := "account-" + namespace + "-" + name
	user := "system:serviceaccount:" + namespace + ":" + name
	if err := p.issue(file, user, []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}); err != nil {
		return "", err
	}
	path := c.path("conf", file+".kubeconfig")
	return path, p.kubeconfig(path, c.Server, c.Name, file)
}

// ServerCertificate makes a pair for a server at the node's address, and tells
// the files: certificate, key, authority.
func (c *Cluster) ServerCertificate(name string) (cert, key, ca string, err error) {
	p, err := openPKI(c.path("pki"))
	if err != nil {
		return "", "", "", err
	}
	err = p.issue(name, name, nil, c.NodeAddress, "127.0.0.1")
	return c.path("pki", name+".crt"), c.path("pki", name+".key"), c.path("pki", "ca.crt"), err
}

// answers is where a component of a part says that it works.
func (c *Cluster) answers(name string) string {
	k, err := c.find(name)
	if err != nil {
		return ""
	}
	return k.Answers
}

var plainClient = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}

// Asks looks whether something answers at an address.
func Asks(address string) error {
	if place, ok := strings.CutPrefix(address, "tcp://"); ok {
		conn, err := net.DialTimeout("tcp", place, time.Second)
		if err == nil {
			conn.Close()
		}
		return err
	}
	_, err := Get(address)
	return err
}

// Get reads from an HTTP address of the cluster.
func Get(address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address, nil)
	if err != nil {
		return nil, &command.Final{Err: err}
	}
	resp, err := plainClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %.300s", address, resp.Status, body)
	}
	return body, err
}
