package image

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"
)

// The same content gives the same layer, whatever order it came in, and a
// folder comes before what is in it.
func TestLayerIsReproducible(t *testing.T) {
	one, two := NewTree(), NewTree()
	one.File("bin/a", 0o755, []byte("a"))
	one.File("opt/x/y", 0o644, []byte("y"))
	two.File("opt/x/y", 0o644, []byte("y"))
	two.File("usr/bin/a", 0o755, []byte("a")) // /bin is a link to it
	a, err := one.layer()
	if err != nil {
		t.Fatal(err)
	}
	b, err := two.layer()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("two trees with the same content differ")
	}
	var names []string
	for r := tar.NewReader(bytes.NewReader(a)); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		names = append(names, h.Name)
	}
	list := strings.Join(names, " ") + " "
	if strings.Index(list, "opt/x ") > strings.Index(list, "opt/x/y ") || !strings.Contains(list, "opt/x ") {
		t.Errorf("wrong order: %s", list)
	}
}
