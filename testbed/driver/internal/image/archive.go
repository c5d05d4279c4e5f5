// Package image builds container images as archives, without a container
// engine: a file tree in memory, written as one layer of a docker archive,
// which containerd, Docker and podman all import.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
)

// Tree is the file system of an image. Paths have no leading slash.
type Tree struct{ entries map[string]entry }

type entry struct {
	header tar.Header
	body   []byte
}

// NewTree has what every program may expect to find.
func NewTree() *Tree {
	t := &Tree{entries: map[string]entry{}}
	// A merged /usr, as Debian has it.
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		t.Link(dir, "usr/"+dir)
		t.Dir("usr/"+dir, 0o755)
	}
	t.Dir("tmp", 0o1777)
	t.Dir("var/tmp", 0o1777)
	t.Dir("root", 0o700)
	t.File("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n"))
	t.File("etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n"))
	return t
}

// place is where a path ends up: /bin/x is /usr/bin/x.
func place(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	top, rest, below := strings.Cut(name, "/")
	switch top {
	case "bin", "sbin", "lib", "lib64":
		if below {
			return "usr/" + top + "/" + rest
		}
	}
	return name
}

func (t *Tree) add(name string, h tar.Header, body []byte) {
	name = place(name)
	if name == "" {
		return
	}
	if old, ok := t.entries[name]; ok && h.Typeflag == tar.TypeDir && old.header.Typeflag != tar.TypeReg {
		return // a folder never replaces a folder or the link to one
	}
	if dir := path.Dir(name); dir != "." {
		if _, ok := t.entries[dir]; !ok {
			t.Dir(dir, 0o755)
		}
	}
	// Only what counts: the same input gives the same bytes, and so the same
	// digest, on every machine and day.
	t.entries[name] = entry{tar.Header{
		Typeflag: h.Typeflag, Name: name, Linkname: h.Linkname, Mode: h.Mode, Size: int64(len(body)),
		Uid: h.Uid, Gid: h.Gid, Format: tar.FormatPAX,
	}, body}
}

// File, Dir and Link add one entry each, owned by root.
func (t *Tree) File(name string, mode int64, body []byte) {
	t.add(name, tar.Header{Typeflag: tar.TypeReg, Mode: mode}, body)
}

// Dir adds a folder.
func (t *Tree) Dir(name string, mode int64) {
	t.add(name, tar.Header{Typeflag: tar.TypeDir, Mode: mode}, nil)
}

// Link adds a symbolic link.
func (t *Tree) Link(name, to string) {
	t.add(name, tar.Header{Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: to}, nil)
}

// Has tells whether a path is there.
func (t *Tree) Has(name string) bool { _, ok := t.entries[place(name)]; return ok }

// Unpack adds what a tar stream holds and keep wants.
func (t *Tree) Unpack(r io.Reader, keep func(name string) bool) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if !keep(place(h.Name)) {
			continue
		}
		switch h.Typeflag {
		case tar.TypeLink: // a hard link becomes a copy
			e, ok := t.entries[place(h.Linkname)]
			if !ok {
				return fmt.Errorf("%s: hard link to %s, which is not there", h.Name, h.Linkname)
			}
			t.add(h.Name, e.header, e.body)
		case tar.TypeReg, tar.TypeDir, tar.TypeSymlink:
			body, err := io.ReadAll(tr)
			if err != nil {
				return err
			}
			t.add(h.Name, *h, body)
		}
	}
}

// layer writes the tree as a tar, sorted, so that folders come first.
func (t *Tree) layer() ([]byte, error) {
	names := make([]string, 0, len(t.entries))
	for name := range t.entries {
		names = append(names, name)
	}
	sort.Strings(names)
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, name := range names {
		e := t.entries[name]
		if err := w.WriteHeader(&e.header); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if _, err := w.Write(e.body); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return buf.Bytes(), w.Close()
}

// Config is the part of an image's configuration that we use.
type Config struct {
	Env        []string
	Entrypoint []string `json:",omitempty"`
	Cmd        []string `json:",omitempty"`
}

// Write makes the archive of an image with the name ref.
func (t *Tree) Write(file, ref string, config Config) error {
	layer, err := t.layer()
	if err != nil {
		return fmt.Errorf("image %s: %w", ref, err)
	}
	diff := digest(layer)
	conf, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "created": "1970-01-01T00:00:00Z",
		"config":  config,
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + diff}},
		"history": []any{map[string]string{"created": "1970-01-01T00:00:00Z", "created_by": "testbed"}},
	})
	if err != nil {
		return err
	}
	confName := digest(conf) + ".json"
	manifest, err := json.Marshal([]any{map[string]any{
		"Config": confName, "RepoTags": []string{ref}, "Layers": []string{diff + ".tar"},
	}})
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range []struct {
		name string
		body []byte
	}{{confName, conf}, {diff + ".tar", layer}, {"manifest.json", manifest}} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o644, Size: int64(len(f.body))}); err != nil {
			return err
		}
		if _, err := w.Write(f.body); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return replaceFile(file, buf.Bytes())
}

// replaceFile never leaves half a file under the final name.
func replaceFile(file string, body []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	tmp := file + ".new"
	if err := os.WriteFile(tmp, body, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
