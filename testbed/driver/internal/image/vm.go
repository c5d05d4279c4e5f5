package image

import (
	"archive/tar"
	"fmt"
)

// Who logs in to a VM stand-in; its sshd runs as this user too. The number is
// one that no account of a usual machine has.
const (
	VMUser = "deploy"
	VMUID  = 64022
	// VMKeys is the folder of the VM's keys, which belongs to that user.
	VMKeys = "etc/ssh/keys"
)

// VM makes the file system of a VM stand-in as a plain tar, and answers where
// the cache keeps it: Debian's sshd, Python for Ansible's modules, busybox.
func (b Builder) VM() (string, error) {
	r := recipe{[]string{"busybox-static", "python3", "libc-bin", "openssh-server"}, wantedForSSH, vm, "", nil}
	file, err := b.cached("vm", "", r, func(t *Tree, file string) error {
		layer, err := t.layer()
		if err != nil {
			return err
		}
		return replaceFile(file, layer)
	})
	if err != nil {
		return "", fmt.Errorf("the file system of a VM: %w", err)
	}
	return file, nil
}

func vm(t *Tree, debs *debian) error {
	if err := python(t, debs); err != nil {
		return err
	}
	t.File("etc/passwd", 0o644, fmt.Appendf(nil, "root:x:0:0:root:/root:/bin/sh\n%s:x:%d:%d::/home/%s:/bin/sh\n", VMUser, VMUID, VMUID, VMUser))
	t.File("etc/group", 0o644, fmt.Appendf(nil, "root:x:0:\n%s:x:%d:\n", VMUser, VMUID))
	t.Dir("dev", 0o755)
	// What the user may change. Keys are made when a VM starts: no two share one.
	for dir, mode := range map[string]int64{"home/" + VMUser: 0o700, "srv": 0o755, VMKeys: 0o700} {
		t.add(dir, tar.Header{Typeflag: tar.TypeDir, Mode: mode, Uid: VMUID, Gid: VMUID}, nil)
	}
	return nil
}
