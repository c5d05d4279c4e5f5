package cluster

import (
	"fmt"
	"strings"
	"time"
)

// Options are the settings of one cluster. The defaults are for tests: a node
// that dies is noticed, and its pods are evicted, within about 30 seconds
// instead of Kubernetes' six minutes.
type Options struct {
	Nodes int `json:"nodes"`
	// NodeGrace is how long a silent node stays Ready.
	NodeGrace time.Duration `json:"nodeGrace"`
	// PodEviction is how long a pod stays on a node that is not Ready.
	PodEviction time.Duration `json:"podEviction"`
	// EvictionHard are the kubelet's thresholds, SIGNAL=QUANTITY.
	EvictionHard []string `json:"evictionHard"`
	// ContainerLogMaxSize is where the kubelet rotates a container's log.
	ContainerLogMaxSize string `json:"containerLogMaxSize"`
	MaxPods             int    `json:"maxPods"`
	// Args are more flags, by component ("kube-apiserver" → "--v=4").
	Args map[string][]string `json:"args,omitempty"`
	// Images is the folder whose *.tar are loaded; empty for none.
	Images string `json:"images,omitempty"`
	// Keep leaves everything in place when `up` fails, to look at it.
	Keep bool `json:"-"`
}

// Defaults are the options of `up` without flags.
func Defaults() Options {
	return Options{
		Nodes:       1,
		NodeGrace:   20 * time.Second,
		PodEviction: 10 * time.Second,
		// Low, because the disk is shared with whatever else this machine
		// does: a full disk shall not evict the pods of a test.
		EvictionHard:        []string{"memory.available=100Mi", "nodefs.available=500Mi", "imagefs.available=500Mi", "nodefs.inodesFree=1%"},
		ContainerLogMaxSize: "10Mi",
		MaxPods:             250,
		Args:                map[string][]string{},
	}
}

func (o Options) check() error {
	if o.Nodes < 1 || o.Nodes > MaxNodes {
		return fmt.Errorf("--nodes %d: 1 to %d are possible", o.Nodes, MaxNodes)
	}
	if o.NodeGrace < 10*time.Second {
		return fmt.Errorf("--node-monitor-grace-period %s: at least 10s, or a busy machine looks like a dead node", o.NodeGrace)
	}
	if o.PodEviction < 0 {
		return fmt.Errorf("--pod-eviction %s: must not be negative", o.PodEviction)
	}
	for _, e := range o.EvictionHard {
		if signal, quantity, ok := strings.Cut(e, "="); !ok || signal == "" || quantity == "" {
			return fmt.Errorf("--eviction-hard %q: write SIGNAL=QUANTITY, as in memory.available=100Mi", e)
		}
	}
	for component := range o.Args {
		if !isComponent(component) {
			return fmt.Errorf("--arg %s=…: no such component; there are %s", component, strings.Join(componentNames(), ", "))
		}
	}
	return nil
}

// AddArg adds a flag for a component, which may have its short name.
func (o *Options) AddArg(component, arg string) {
	if long := longName(component); long != "" {
		component = long
	}
	o.Args[component] = append(o.Args[component], arg)
}
