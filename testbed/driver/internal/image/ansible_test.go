package image

import (
	"archive/zip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func wheel(t *testing.T, files ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x-1-py3-none-any.whl")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	for _, file := range files {
		part, err := w.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "/") {
			continue
		}
		if _, err := part.Write([]byte(file)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAWheelGoesWherePythonLooks(t *testing.T) {
	tree := NewTree()
	if err := unpackWheel(tree, wheel(t, "x/", "x/__init__.py", "x-1.dist-info/METADATA", "ansible_test/y.py")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"x/__init__.py": true, "x-1.dist-info/METADATA": true, "ansible_test/y.py": false} {
		if tree.Has(distPackages+name) != want {
			t.Errorf("%s is there: %v", name, !want)
		}
	}
}

func TestAWheelThatWouldBeInstalledWronglyIsRefused(t *testing.T) {
	for _, file := range []string{"x-1.data/scripts/x", "../x.py", "/x.py"} {
		if err := unpackWheel(NewTree(), wheel(t, file)); err == nil {
			t.Errorf("%s was taken", file)
		}
	}
}

// pip refuses a list in which only some lines have a checksum, but not one in
// which a platform's is forgotten.
func TestEveryLineOfTheLockHasAVersionAndItsChecksums(t *testing.T) {
	line := regexp.MustCompile(`^[a-z0-9-]+==[0-9.]+( --hash=sha256:[0-9a-f]{64}){1,2}$`)
	compiled := regexp.MustCompile(`^(cffi|cryptography|markupsafe|pyyaml)==`)
	joined := strings.ReplaceAll(ansibleLock, "\\\n", "")
	count := 0
	for l := range strings.Lines(joined) {
		l = strings.Join(strings.Fields(l), " ")
		if strings.HasPrefix(l, "#") {
			continue
		}
		count++
		hashes := strings.Count(l, "--hash=")
		if !line.MatchString(l) || (compiled.MatchString(l) != (hashes == 2)) {
			t.Errorf("%s", l)
		}
	}
	if count < 5 {
		t.Errorf("only %d packages", count)
	}
}
