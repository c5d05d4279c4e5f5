package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tenantry.io/testbed/driver/internal/cluster"
	"tenantry.io/testbed/driver/internal/part"
)

func up(args []string) error {
	bin, err := binFolder()
	if err != nil {
		return err
	}
	o := cluster.Defaults()
	fs := flags("up")
	fs.IntVar(&o.Nodes, "nodes", o.Nodes, fmt.Sprintf("`number` of nodes, at most %d; they share the cluster's address", cluster.MaxNodes))
	fs.DurationVar(&o.NodeGrace, "node-monitor-grace-period", o.NodeGrace, "how long a silent node stays Ready")
	fs.DurationVar(&o.PodEviction, "pod-eviction", o.PodEviction, "how long pods stay on a node that is not Ready")
	fs.StringVar(&o.ContainerLogMaxSize, "container-log-max-size", o.ContainerLogMaxSize, "`size` at which the kubelet rotates a log")
	fs.IntVar(&o.MaxPods, "max-pods", o.MaxPods, "`number` of pods a node takes, at most 250")
	eviction := fs.String("eviction-hard", strings.Join(o.EvictionHard, ","), "the kubelet's `thresholds`, SIGNAL=QUANTITY,…; \"\" keeps its defaults")
	images := fs.String("images", filepath.Join(bin, "images"), "`folder` whose *.tar are loaded; \"\" for none")
	kube := fs.String("kube", filepath.Join(bin, "kube"), "the multi-call `binary` of Kubernetes")
	fs.BoolVar(&o.Keep, "keep", false, "leave everything in place if it fails")
	var more listFlag
	fs.Var(&more, "arg", "one more flag for a component, as in `kubelet=--v=4`; may be repeated")
	with := fs.String("with", "", "`parts` to start too, PART,…: "+strings.Join(part.Names(), ", "))
	plain, err := parse(fs, args, 1, 1, "NAME")
	if err != nil {
		return err
	}
	var parts []string
	if *with != "" {
		if parts, err = part.Closure(strings.Split(*with, ",")...); err != nil {
			return fmt.Errorf("--with: %w: %w", err, errUsage)
		}
		// Before the cluster starts: compilers beside it would slow it down.
		if err := part.Build(bin, os.Stderr, parts...); err != nil {
			return err
		}
	}
	o.EvictionHard = nil
	if *eviction != "" {
		o.EvictionHard = strings.Split(*eviction, ",")
	}
	for _, m := range more {
		component, arg, ok := strings.Cut(m, "=")
		if !ok {
			return fmt.Errorf("--arg %q: write COMPONENT=--FLAG=VALUE: %w", m, errUsage)
		}
		o.AddArg(component, arg)
	}
	o.Images = *images
	c, err := cluster.Up(plain[0], *kube, filepath.Join(bin, "pause"), o, say)
	if err != nil {
		return err
	}
	if err := addAll(c, parts); err != nil {
		if o.Keep {
			return err
		}
		say("failed; taking down what was made")
		return errors.Join(err, cluster.Down(plain[0], say))
	}
	return printJSON(c.Result())
}

func down(args []string) error {
	plain, err := parse(flags("down"), args, 1, 1, "NAME")
	if err != nil {
		return err
	}
	if err := cluster.Down(plain[0], say); err != nil {
		return err
	}
	say("cluster %s is gone", plain[0])
	return nil
}

func list(args []string) error {
	if _, err := parse(flags("list"), args, 0, 0, ""); err != nil {
		return err
	}
	all, err := cluster.List()
	if err != nil {
		return err
	}
	results := []cluster.Result{} // prints as [] and not as null
	for _, c := range all {
		results = append(results, c.Result())
	}
	return printJSON(results)
}

func kubeconfig(args []string) error {
	plain, err := parse(flags("kubeconfig"), args, 1, 1, "NAME")
	if err != nil {
		return err
	}
	c, err := cluster.Open(plain[0])
	if err != nil {
		return err
	}
	fmt.Println(c.Kubeconfig())
	return nil
}

func loadImage(args []string) error {
	plain, err := parse(flags("load-image"), args, 2, -1, "NAME TAR...")
	if err != nil {
		return err
	}
	c, err := cluster.Open(plain[0])
	if err != nil {
		return err
	}
	return c.Load(plain[1:]...)
}
