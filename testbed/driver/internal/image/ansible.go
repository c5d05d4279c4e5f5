package image

import (
	"archive/zip"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"tenantry.io/testbed/driver/internal/command"
)

// ansibleLock names the wheels of local/ansible:1 with their checksums.
//
//go:embed ansible.txt
var ansibleLock string

// distPackages is where Debian's Python looks for packages that are not its
// own.
const distPackages = "usr/lib/python3/dist-packages/"

// ansible is Debian's Python and ssh, and ansible-core from Python's registry.
func (b Builder) ansible(t *Tree, debs *debian) error {
	wheels, err := b.wheels("ansible", ansibleLock)
	if err != nil {
		return err
	}
	if err := python(t, debs); err != nil {
		return err
	}
	for _, wheel := range wheels {
		if err := unpackWheel(t, wheel); err != nil {
			return fmt.Errorf("%s: %w", wheel, err)
		}
	}
	for _, tool := range []string{"playbook", "inventory", "doc", "config"} {
		t.File("usr/bin/ansible-"+tool, 0o755, entryPoint("ansible.cli."+tool))
	}
	t.File("usr/bin/ansible", 0o755, entryPoint("ansible.cli.adhoc"))
	return nil
}

// entryPoint is what pip would write for a console script.
func entryPoint(module string) []byte {
	return fmt.Appendf(nil, "#!/usr/bin/python3\nimport sys\nfrom %s import main\nsys.exit(main())\n", module)
}

// wheels downloads what a lock file names, whole or not at all, and keeps it.
func (b Builder) wheels(name, lock string) ([]string, error) {
	arch, ok := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("the wheels of %s are not locked for %s", name, runtime.GOARCH)
	}
	folder := filepath.Join(b.Cache, "packages", name+"-"+digest([]byte(lock + arch))[:16])
	if !exists(folder) {
		if err := downloadWheels(folder, lock, arch); err != nil {
			return nil, fmt.Errorf("the wheels of %s: %w", name, err)
		}
	}
	wheels, err := filepath.Glob(filepath.Join(folder, "*.whl"))
	if err == nil && len(wheels) == 0 {
		err = fmt.Errorf("%s holds no wheels: delete it and try again", folder)
	}
	return wheels, err
}

// downloadWheels lets pip fetch and check; the platform is given, because the
// image's Python is not this machine's.
func downloadWheels(folder, lock, arch string) error {
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(folder), ".wheels-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	list := filepath.Join(work, "lock.txt")
	if err := os.WriteFile(list, []byte(lock), 0o644); err != nil {
		return err
	}
	args := []string{"download", "--quiet", "--require-hashes", "--no-deps", "--only-binary=:all:",
		// PySpark is there as source only.
		"--no-binary=pyspark", "--python-version=3.11", "--implementation=cp", "--dest=" + work, "--requirement=" + list}
	for _, glibc := range []string{"manylinux2014", "manylinux_2_17", "manylinux_2_28"} {
		args = append(args, "--platform="+glibc+"_"+arch)
	}
	if _, err := command.Run(5*time.Minute, "pip3", args...); err != nil {
		return err
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	// Another build may have been faster; what it made is the same.
	if err := os.Rename(work, folder); err != nil && !exists(folder) {
		return err
	}
	return nil
}

// unpackWheel installs a wheel: a zip whose files go where Python looks. It
// refuses the parts of the format that our wheels have no use for.
func unpackWheel(t *Tree, file string) error {
	r, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, f := range r.File {
		top, rest, _ := strings.Cut(f.Name, "/")
		place := distPackages + f.Name
		switch {
		case strings.HasSuffix(f.Name, "/") || top == "ansible_test":
			continue // folders come by themselves; tests of Ansible itself
		case strings.HasSuffix(top, ".data") && strings.HasPrefix(rest, "data/") && filepath.IsLocal(f.Name):
			place = "usr/" + strings.TrimPrefix(rest, "data/") // below sys.prefix
		case strings.HasSuffix(top, ".data"):
			return errors.New("a wheel with a data folder: teach unpackWheel where its parts go")
		case !filepath.IsLocal(f.Name):
			return fmt.Errorf("the path %q leads out of the wheel", f.Name)
		}
		body, err := readZipped(f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		t.File(place, 0o644, body)
	}
	return nil
}

func readZipped(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
