package image

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"tenantry.io/testbed/driver/internal/command"
)

// The packages of a closure that go into an image. The rest of what Debian
// names (perl, dpkg, Kerberos behind NIS, …) is for installing and for parts of
// Python that no hook of a test uses.
const (
	pythonPackages = `python3[-.].*|python3|libpython3.*|sqlite3|zlib1g|` +
		`lib(c6|gcc-s1|bz2-1\.0|crypt1|expat1|ffi\d+|lzma5|ncursesw6|readline\d+|sqlite3-0|ssl3|tinfo6|uuid1|yaml-0-2|zstd1)(t64)?`
	// A Java runtime without windows, fonts and sound; Spark's programs are bash scripts.
	sparkPackages = `openjdk-17-jre-headless|bash|libstdc\+\+6`
	// ssh and sshd are linked with Kerberos, security keys, NIS and systemd.
	sshPackages = `openssh-client|lib(audit1|bsd0|cap2|cap-ng0|cbor0\.\d+|com-err2|edit2|fido2-1|gcrypt20|gpg-error0|gssapi-krb5-2|k5crypto3|` +
		`keyutils1|krb5-3|krb5support0|lz4-1|md0|nsl2|pam0g|pcre2-8-0|selinux1|systemd0|tirpc3|udev1|wrap0)(t64)?`
)

var (
	wantedForPython = regexp.MustCompile(`^(` + pythonPackages + `)$`)
	wantedForSpark  = regexp.MustCompile(`^(` + pythonPackages + `|` + sparkPackages + `)$`)
	wantedForSSH    = regexp.MustCompile(`^(` + pythonPackages + `|` + sshPackages + `)$`)
)

// debian is a set of Debian packages in the versions that apt would install.
type debian struct {
	folder string
	files  []string // names in folder
	sums   []string // SHA-256 of each
}

// resolve asks apt for the wanted part of the closure of the packages, without
// downloading.
func resolve(folder string, wanted *regexp.Regexp, packages ...string) (*debian, error) {
	out, err := command.Run(command.Default, "apt-cache", append([]string{"depends", "--recurse", "--important"}, packages...)...)
	if err != nil {
		return nil, fmt.Errorf("%w (the images are made of Debian packages; build them on Debian, after apt-get update)", err)
	}
	var names []string
	for line := range strings.Lines(out) {
		name := strings.TrimRight(line, "\n")
		// Other lines are indented, or virtual packages in brackets.
		if slices.Contains(packages, name) || wanted.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	out, err = command.Run(command.Default, "apt-get", append([]string{"download", "--print-uris"}, names...)...)
	if err != nil {
		return nil, fmt.Errorf("%w (are apt's lists there? apt-get update)", err)
	}
	d := &debian{folder: folder}
	for line := range strings.Lines(out) {
		// 'address' file-name size SHA256:sum
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(f[3], "SHA256:") {
			return nil, fmt.Errorf("apt-get download --print-uris: cannot read %q", line)
		}
		d.files = append(d.files, f[1])
		d.sums = append(d.sums, strings.TrimPrefix(f[3], "SHA256:"))
	}
	if len(d.files) != len(names) {
		return nil, fmt.Errorf("apt knows %d of %d packages %v: apt-get update", len(d.files), len(names), names)
	}
	return d, nil
}

// download fetches the packages that are not in the folder yet.
func (d *debian) download() error {
	if err := os.MkdirAll(d.folder, 0o755); err != nil {
		return err
	}
	var missing []string
	for n, f := range d.files {
		if b, err := os.ReadFile(filepath.Join(d.folder, f)); err != nil || digest(b) != d.sums[n] {
			name, _, _ := strings.Cut(f, "_")
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	// apt-get writes into the working folder; as root it would drop its
	// rights first and then miss the right to write there.
	script := `cd "$1" && shift && exec apt-get -q -o APT::Sandbox::User=root -o Acquire::Retries=3 download "$@"`
	_, err := command.Run(5*time.Minute, "sh", append([]string{"-c", script, "sh", d.folder}, missing...)...)
	return err
}

// unpack adds the packages' files to a tree.
func (d *debian) unpack(t *Tree, keep func(string) bool) error {
	for n, f := range d.files {
		file := filepath.Join(d.folder, f)
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if digest(b) != d.sums[n] {
			return fmt.Errorf("%s: wrong checksum: delete it and try again", file)
		}
		if err := unpackDeb(t, file, keep); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func unpackDeb(t *Tree, file string, keep func(string) bool) error {
	cmd := exec.Command("dpkg-deb", "--fsys-tarfile", file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	unpacked := t.Unpack(out, keep)
	if unpacked != nil {
		_ = cmd.Process.Kill() // it may wait for us to read on
	}
	if err := cmd.Wait(); err != nil && unpacked == nil {
		return err
	}
	return unpacked
}
