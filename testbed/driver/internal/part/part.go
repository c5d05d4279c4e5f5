// Package part adds to a running cluster what not every test needs: Argo
// Workflows, Argo Events with its message bus, Argo CD. Each is built of the
// module of its name below testbed/ and uses that module's own manifests.
package part

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tenantry.io/testbed/driver/internal/cluster"
	"tenantry.io/testbed/driver/internal/command"
	"tenantry.io/testbed/driver/internal/image"
)

// deadline is for one step, on a machine that also compiles.
const deadline = 2 * time.Minute

// A recipe says how a part is made.
type recipe struct {
	needs []string // parts that must be there before
	build func(a *adding) error
}

func recipes() map[string]recipe {
	return map[string]recipe{
		"argo-workflows": {nil, argoWorkflows},
		"nats":           {nil, natsServer},
		"argo-events":    {[]string{"nats"}, argoEvents},
		"argo-cd":        {nil, argoCD},
	}
}

// Names lists all parts.
func Names() []string {
	var names []string
	for name := range recipes() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Closure puts the parts that others need in front of them, each once.
func Closure(names ...string) ([]string, error) {
	var all []string
	for _, name := range names {
		r, ok := recipes()[name]
		if !ok {
			return nil, fmt.Errorf("no part %q; there are %s", name, strings.Join(Names(), ", "))
		}
		for _, n := range append(slices.Clone(r.needs), name) {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return all, nil
}

// Settings are what `add` is told.
type Settings struct {
	Bin    string        // build.sh's folder, in which each part has one
	Images image.Builder // for the parts that run as pods
	Args   map[string][]string
	Env    map[string][]string
	Say    cluster.Progress
}

// adding is one part on its way into a cluster.
type adding struct {
	*cluster.Cluster
	Settings
	part *cluster.Part
}

// Add puts one part into a cluster, and waits until it does its work.
func Add(c *cluster.Cluster, name string, s Settings) (cluster.Part, error) {
	r, ok := recipes()[name]
	if !ok {
		return cluster.Part{}, fmt.Errorf("no part %q; there are %s", name, strings.Join(Names(), ", "))
	}
	for _, n := range r.needs {
		if c.Part(n) == nil {
			return cluster.Part{}, fmt.Errorf("%s needs %s: `testbed add %s %s` first", name, n, c.Name, n)
		}
	}
	began := time.Now()
	s.Say("add %s", name)
	p, err := c.AddPart(name, func(p *cluster.Part) error {
		a := &adding{c, s, p}
		if err := r.build(a); err != nil {
			return err
		}
		return a.unused()
	})
	if err != nil {
		return p, fmt.Errorf("%s in cluster %s: %w", name, c.Name, err)
	}
	s.Say("%s is ready after %.1f s", name, time.Since(began).Seconds())
	return p, nil
}

// program is the path of a program of this part.
func (a *adding) program(name string) string { return filepath.Join(a.Bin, a.part.Name, name) }

// file is a path in the part's folder.
func (a *adding) file(e ...string) string {
	return filepath.Join(append([]string{a.PartDir(a.part.Name)}, e...)...)
}

// write makes a file in the part's folder.
func (a *adding) write(name, text string) (string, error) {
	path := a.file(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// load makes an image of a program of this part and gives it to every node.
func (a *adding) load(ref, program string) error {
	tar, err := a.Images.Program(ref, a.program(program))
	if err != nil {
		return err
	}
	a.Say("load %s", ref)
	return a.Load(tar)
}

// apply makes the objects of the part's own manifests, and waits until the API
// server serves their kinds. By the server's side: some definitions are longer
// than the annotation that the client would make of them.
func (a *adding) apply() error {
	a.Say("apply the manifests of %s", a.part.Name)
	folder := filepath.Join(a.Bin, a.part.Name, "manifests")
	err := command.Poll(deadline, "apply "+folder, func() error {
		_, err := a.Kubectl(deadline, "apply", "--server-side", "--force-conflicts", "-k", folder)
		return err
	})
	if err != nil {
		return err
	}
	// kubectl fails on a definition that is so new that it has no conditions.
	return command.Poll(deadline, "the definitions of "+a.part.Name, func() error {
		_, err := a.Kubectl(deadline, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
		return err
	})
}

// create makes objects of a text.
func (a *adding) create(name, text string) error {
	file, err := a.write(name, text)
	if err != nil {
		return err
	}
	// A kind that is Established may still be unknown for a moment.
	return command.Poll(deadline, "create "+name, func() error {
		_, err := a.Kubectl(deadline, "apply", "--server-side", "--force-conflicts", "-f", file)
		return err
	})
}

// run starts a process of the part with what the caller wants besides.
func (a *adding) run(k cluster.Process) error {
	a.Say("start %s", k.Name)
	k.Argv = append(k.Argv, a.Args[k.Name]...)
	k.Env = append(k.Env, a.Env[k.Name]...)
	return a.RunProcess(a.part, k)
}

// unused refuses settings for processes that the part does not have.
func (a *adding) unused() error {
	var errs []error
	for _, settings := range []map[string][]string{a.Args, a.Env} {
		for name := range settings {
			if !slices.ContainsFunc(a.part.Components, func(k cluster.Process) bool { return k.Name == name }) {
				errs = append(errs, fmt.Errorf("no process %q to give a flag or a variable to", name))
			}
		}
	}
	return errors.Join(errs...)
}

// Build runs build.sh for parts; what is up to date costs nothing.
func Build(bin string, out io.Writer, parts ...string) error {
	script := filepath.Join(filepath.Dir(bin), "build.sh")
	if _, err := os.Stat(script); err != nil {
		return nil // the programs were copied elsewhere without it
	}
	return command.Attached(out, script, parts...)
}
