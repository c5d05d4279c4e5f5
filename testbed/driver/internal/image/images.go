package image

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"tenantry.io/testbed/driver/internal/command"
)

// version is part of every cached image's key: raise it when this package
// changes what an image holds.
const version = "1"

// A Builder makes the test images.
type Builder struct {
	Folder string // where the archives go
	Cache  string // keeps packages and finished images by their content's key
	Bin    string // where our own programs tb and pause are
	Say    func(format string, args ...any)
}

// A recipe says what is in an image.
type recipe struct {
	packages []string
	wanted   *regexp.Regexp // those of the packages' closure that go in too
	assemble func(*Tree, *debian) error
	inputs   string // what decides the content besides packages and tb
	env      []string
}

// always are the images of the normal build.
var always = []string{"tools", "python"}

// onDemand take longer and are made when a test asks for them.
var onDemand = []string{"ansible", "spark"}

func (b Builder) recipes() map[string]recipe {
	return map[string]recipe{
		"tools":   {[]string{"busybox-static"}, wantedForPython, tools, "", nil},
		"python":  {[]string{"busybox-static", "python3", "python3-yaml", "sqlite3"}, wantedForPython, python, "", nil},
		"spark":   {[]string{"busybox-static", "python3", "python3-yaml", "openjdk-17-jre-headless", "bash"}, wantedForSpark, b.spark, sparkLock, []string{"LANG=C.UTF-8"}},
		"ansible": {[]string{"busybox-static", "python3", "libc-bin", "openssh-client"}, wantedForSSH, b.ansible, ansibleLock, []string{"LANG=C.UTF-8"}},
	}
}

// Build makes NAME.tar for each name; without names, those of the normal build.
func (b Builder) Build(names ...string) error {
	tb, err := os.ReadFile(filepath.Join(b.Bin, "tb"))
	if err != nil {
		return fmt.Errorf("the program tb: %w: run testbed/build.sh", err)
	}
	var errs []error
	if len(names) == 0 {
		names = always
		errs = append(errs, Pause(filepath.Join(b.Bin, "pause"), filepath.Join(b.Folder, "pause.tar")))
	}
	recipes := b.recipes()
	for _, name := range names {
		r, ok := recipes[name]
		if !ok {
			return fmt.Errorf("no image %q; there are %s", name, strings.Join(append(slices.Clone(always), onDemand...), ", "))
		}
		errs = append(errs, b.image(name, tb, r))
	}
	return errors.Join(errs...)
}

// image makes NAME.tar, or takes it from the cache.
func (b Builder) image(name string, tb []byte, r recipe) error {
	kept, err := b.cached(name, string(tb), r, func(t *Tree, file string) error {
		t.File("usr/bin/tb", 0o755, tb)
		return t.Write(file, "local/"+name+":1", Config{Env: append([]string{searchPath, "PYTHONDONTWRITEBYTECODE=1"}, r.env...), Cmd: []string{"/bin/sh"}})
	})
	if err != nil {
		return fmt.Errorf("image %s: %w", name, err)
	}
	body, err := os.ReadFile(kept)
	if err != nil {
		return err
	}
	final := filepath.Join(b.Folder, name+".tar")
	if same, err := os.ReadFile(final); err == nil && bytes.Equal(same, body) {
		b.Say("%s: up to date", name)
		return nil
	}
	return replaceFile(final, body)
}

// cached gives the cache's file of a tree: one that was made of the same
// package versions, the same other inputs and the same version of this file,
// or a new one.
func (b Builder) cached(name, program string, r recipe, write func(t *Tree, file string) error) (string, error) {
	debs, err := resolve(filepath.Join(b.Cache, "packages"), r.wanted, r.packages...)
	if err != nil {
		return "", err
	}
	key := digest([]byte(version + digest([]byte(program)) + strings.Join(debs.files, " ") + strings.Join(debs.sums, " ") + r.inputs + strings.Join(r.env, " ")))[:16]
	kept := filepath.Join(b.Cache, "images", name+"-"+key+".tar")
	release, err := b.lock()
	if err != nil {
		return "", err
	}
	defer release()
	if _, err := os.Stat(kept); err == nil {
		b.Say("%s: from the cache", name)
		return kept, nil
	}
	b.Say("%s: build of %d packages", name, len(debs.files))
	tree := NewTree()
	err = debs.download()
	if err == nil {
		err = r.assemble(tree, debs)
	}
	if err == nil {
		err = busybox(tree, debs)
	}
	if err == nil {
		err = write(tree, kept)
	}
	return kept, err
}

// lock lets one build at a time work in the cache: tests ask for the same image
// at the same moment, and the second shall find what the first one made. The
// lock ends with the process at the latest.
func (b Builder) lock() (release func(), err error) {
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(b.Cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = command.Poll(10*time.Minute, "another build that works in "+b.Cache, func() error {
		return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func tools(t *Tree, debs *debian) error {
	return debs.unpack(t, func(name string) bool { return name == "usr/bin/busybox" })
}

// python leaves out what no script of a test reads; that is two thirds.
func python(t *Tree, debs *debian) error {
	drop := []string{"usr/share/doc", "usr/share/man", "usr/share/lintian", "usr/share/locale", "usr/share/applications",
		"usr/share/pixmaps", "usr/share/bug", "usr/share/binfmts", "usr/share/debhelper", "usr/share/perl5", "usr/share/initramfs-tools"}
	parts := []string{"/gconv/", "/lib2to3/", "/ensurepip/", "/idlelib/", "/tkinter/", "/pydoc_data/", "/turtledemo/", "/distutils/", "/__pycache__/", "/engines-3/", "/test/"}
	return debs.unpack(t, func(name string) bool {
		for _, d := range drop {
			if name == d || strings.HasPrefix(name, d+"/") {
				return false
			}
		}
		for _, p := range parts {
			if strings.Contains(name+"/", p) {
				return false
			}
		}
		return true
	})
}

// busybox adds a link for each of its programs that the tree has not.
func busybox(t *Tree, debs *debian) error {
	e, ok := t.entries["usr/bin/busybox"]
	if !ok {
		return fmt.Errorf("%s has no bin/busybox", debs.folder)
	}
	dir, err := os.MkdirTemp("", "testbed-busybox-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// It looks at the name it is called by.
	program := filepath.Join(dir, "busybox")
	if err := os.WriteFile(program, e.body, 0o700); err != nil {
		return err
	}
	// Static: it runs here too, and knows its list best.
	list, err := command.Run(10*time.Second, program, "--list-full")
	if err != nil {
		return err
	}
	for _, applet := range strings.Fields(list) {
		switch filepath.Base(applet) {
		case "wget", "busybox":
			continue // Debian's static wget ends in a segmentation fault; `tb get` is there
		}
		if !t.Has(applet) {
			t.Link(applet, "/bin/busybox")
		}
	}
	return nil
}
