package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"tenantry.io/testbed/driver/internal/command"
	"tenantry.io/testbed/driver/internal/image"
)

// Progress receives one line for each step of `up` and `down`.
type Progress func(format string, args ...any)

// Up makes a cluster and waits until it takes pods. When it fails it removes
// what it made, except with Options.Keep.
func Up(name, kube, pause string, o Options, say Progress) (*Cluster, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("the test bed makes network namespaces and containers: run it as root")
	}
	if !exists(kube) {
		return nil, fmt.Errorf("%s is missing: run testbed/build.sh", kube)
	}
	root, err := StateRoot()
	if err != nil {
		return nil, err
	}
	id, err := newIdentity(root, name)
	if err != nil {
		return nil, err
	}
	c := &Cluster{identity: id, Kube: kube, Options: o}
	if err := c.claim(); err != nil {
		return nil, err
	}
	if err := c.bringUp(pause, say); err != nil {
		if o.Keep {
			return nil, fmt.Errorf("%w\n(kept as it is: %s; `testbed down %s` removes it)", err, c.Dir, name)
		}
		say("failed; taking down what was made")
		return nil, errors.Join(err, Down(name, say))
	}
	return c, nil
}

func (c *Cluster) bringUp(pause string, say Progress) error {
	began := time.Now()
	say("network namespace %s", c.ID)
	if err := c.makeNetwork(); err != nil {
		return err
	}
	c.Server = c.addresses.server()
	c.Components = c.components()
	if err := errors.Join(c.makeCgroups(), c.writeFiles(), image.Pause(pause, c.pauseArchive()), c.save()); err != nil {
		return err
	}
	// Clients wait for their server by themselves, so everything starts at
	// once; only containerd must have the pause image before the kubelet.
	for _, k := range c.Components {
		if k.Name == "kubelet" || ofNode.MatchString(k.Name) {
			continue
		}
		say("start %s", k.Name)
		if err := c.start(k); err != nil {
			return err
		}
	}
	raiseInotify(say)
	for n := 1; n <= c.Options.Nodes; n++ {
		if err := c.startNode(n, say); err != nil {
			return err
		}
	}
	say("wait for the API server %s", c.Server)
	if err := c.waitFor("kube-apiserver"); err != nil {
		return err
	}
	if err := c.loadTestImages(say); err != nil {
		return err
	}
	say("wait for %d node(s)", c.Options.Nodes)
	if err := c.waitUsable(); err != nil {
		return err
	}
	for _, k := range c.Components {
		if _, ok := c.running(k.Name); !ok {
			return fmt.Errorf("cluster %s: %s ended%s", c.Name, k.Name, c.logTail(k.Name))
		}
	}
	c.Ready = true
	say("ready after %.1f s", time.Since(began).Seconds())
	return c.save()
}

// startNode starts containerd and, with the pause image in it, the kubelet.
func (c *Cluster) startNode(n int, say Progress) error {
	runtime, err := c.find(perNode("containerd", n))
	if err != nil {
		return err
	}
	if _, running := c.running(runtime.Name); !running {
		if err := c.start(runtime); err != nil {
			return err
		}
	}
	if err := c.waitFor(runtime.Name); err != nil {
		return err
	}
	if err := c.load(n, c.pauseArchive()); err != nil {
		return err
	}
	kubelet, err := c.find(perNode("kubelet", n))
	if err != nil {
		return err
	}
	say("start %s", kubelet.Name)
	return c.start(kubelet)
}

// loadTestImages loads every archive of the image folder.
func (c *Cluster) loadTestImages(say Progress) error {
	if c.Options.Images == "" {
		return nil
	}
	tars, err := filepath.Glob(filepath.Join(c.Options.Images, "*.tar"))
	if err != nil {
		return err
	}
	for _, tar := range tars {
		say("load %s", filepath.Base(tar))
	}
	return c.Load(tars...)
}

// Load puts image archives into the container runtime of every node.
func (c *Cluster) Load(tars ...string) error {
	for n := 1; n <= c.Options.Nodes; n++ {
		for _, tar := range tars {
			if err := c.load(n, tar); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Cluster) load(n int, tar string) error {
	if !exists(tar) {
		return fmt.Errorf("image archive %s is missing", tar)
	}
	// A containerd that just started answers on its socket a moment before
	// all of its services do.
	return command.Poll(20*time.Second, "load "+tar+" into "+c.nodeName(n), func() error {
		_, err := command.Run(2*time.Minute, "ctr", "--address", c.runtimeSock(n), "--namespace", "k8s.io", "images", "import", tar)
		return err
	})
}
