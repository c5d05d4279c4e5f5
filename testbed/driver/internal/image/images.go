package image

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tenantry.io/testbed/driver/internal/command"
)

// recipe is part of every cached image's key: raise it when this file changes
// what an image holds.
const recipe = "1"

// A Builder makes the test images.
type Builder struct {
	Folder string // where the archives go
	Cache  string // keeps packages and finished images by their content's key
	Bin    string // where our own programs tb and pause are
	Say    func(format string, args ...any)
}

// Build makes all images: pause.tar, tools.tar and python.tar.
func (b Builder) Build() error {
	tb, err := os.ReadFile(filepath.Join(b.Bin, "tb"))
	if err != nil {
		return fmt.Errorf("the program tb: %w: run testbed/build.sh", err)
	}
	return errors.Join(
		Pause(filepath.Join(b.Bin, "pause"), filepath.Join(b.Folder, "pause.tar")),
		b.cached("tools", tb, tools, "busybox-static"),
		b.cached("python", tb, python, "busybox-static", "python3", "python3-yaml", "sqlite3"),
	)
}

// cached makes NAME.tar, or takes it from the cache if one was made of the
// same package versions, the same tb and the same recipe.
func (b Builder) cached(name string, tb []byte, assemble func(*Tree, *debian) error, packages ...string) error {
	debs, err := resolve(filepath.Join(b.Cache, "packages"), packages...)
	if err != nil {
		return fmt.Errorf("image %s: %w", name, err)
	}
	key := digest([]byte(recipe + digest(tb) + strings.Join(debs.files, " ") + strings.Join(debs.sums, " ")))[:16]
	final, kept := filepath.Join(b.Folder, name+".tar"), filepath.Join(b.Cache, "images", name+"-"+key+".tar")
	if body, err := os.ReadFile(kept); err == nil {
		if same, err := os.ReadFile(final); err == nil && bytes.Equal(same, body) {
			b.Say("%s: up to date", name)
			return nil
		}
		b.Say("%s: from the cache", name)
		return replaceFile(final, body)
	}
	b.Say("%s: build of %d packages", name, len(debs.files))
	tree := NewTree()
	tree.File("usr/bin/tb", 0o755, tb)
	err = debs.download()
	if err == nil {
		err = assemble(tree, debs)
	}
	if err == nil {
		err = busybox(tree, debs)
	}
	if err == nil {
		err = tree.Write(kept, "local/"+name+":1", Config{Env: []string{searchPath, "PYTHONDONTWRITEBYTECODE=1"}, Cmd: []string{"/bin/sh"}})
	}
	if err != nil {
		return fmt.Errorf("image %s: %w", name, err)
	}
	body, err := os.ReadFile(kept)
	if err != nil {
		return err
	}
	return replaceFile(final, body)
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
