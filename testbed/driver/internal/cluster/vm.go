package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tenantry.io/testbed/driver/internal/command"
	"tenantry.io/testbed/driver/internal/image"
)

// A VM stand-in is an sshd in the cluster's network namespace whose file
// system is a folder of the cluster. To who logs in it is a small Debian
// machine with Python. It has no kernel, no /proc and no processes of its own.
// Everything of it runs as one user without rights.

const (
	vmPrefix    = "vm-"
	firstVMPort = 2222
	maxVMs      = 100
)

var validVM = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,22}[a-z0-9])?$`)

// VM is what `vm up` prints, and the content of a VM's file vm.json.
type VM struct {
	Name    string `json:"name"`
	Address string `json:"address"` // reached from pods and from the root namespace
	Port    int    `json:"port"`
	User    string `json:"user"`
	Root    string `json:"root"` // the folder that is the VM's file system
	// KeyFolder holds id_ed25519, the private key that may log in, and nothing
	// else: the content of a Secret.
	KeyFolder string `json:"keyFolder"`
	// KnownHosts is a file with the VM's host key, for ssh clients.
	KnownHosts string `json:"knownHosts"`
}

func (i identity) vmFile(name string) string { return i.path(vmPrefix+name, "vm.json") }

// VMUp makes a VM of a tar with its file system, and waits until it lets in.
func (c *Cluster) VMUp(name, tar string) (VM, error) {
	if !validVM.MatchString(name) {
		return VM{}, fmt.Errorf("VM name %q: use 1 to 24 of a-z, 0-9 and '-', with no '-' at the ends", name)
	}
	dir := c.path(vmPrefix + name)
	err := os.Mkdir(dir, 0o755) // whoever makes it owns the name
	if errors.Is(err, fs.ErrExist) {
		return VM{}, fmt.Errorf("VM %q of cluster %s exists already: `testbed vm down %s %s` removes it", name, c.Name, c.Name, name)
	}
	if err != nil {
		return VM{}, err
	}
	vm, err := c.makeVM(name, tar)
	if err != nil {
		return VM{}, errors.Join(err, c.VMDown(name))
	}
	return vm, nil
}

func (c *Cluster) makeVM(name, tar string) (VM, error) {
	vm := VM{
		Name: name, Address: c.NodeAddress, User: image.VMUser, Root: c.path(vmPrefix+name, "root"),
		KeyFolder: c.path(vmPrefix+name, "key"), KnownHosts: c.path(vmPrefix+name, "known_hosts"),
	}
	if err := c.takePort(&vm); err != nil {
		return vm, err
	}
	if err := errors.Join(os.Mkdir(vm.Root, 0o755), os.Mkdir(vm.KeyFolder, 0o700)); err != nil {
		return vm, err
	}
	if _, err := command.Run(2*time.Minute, "tar", "--numeric-owner", "-xpf", tar, "-C", vm.Root); err != nil {
		return vm, err
	}
	if err := vm.makeKeys(); err != nil {
		return vm, err
	}
	// Not PAM, no passwords, no other user, nothing forwarded; terminals would
	// need a /dev/pts.
	config := fmt.Sprintf(`ListenAddress %s:%d
HostKey /%[3]s/host
AuthorizedKeysFile /%[3]s/authorized_keys
AllowUsers %s
PasswordAuthentication no
KbdInteractiveAuthentication no
DisableForwarding yes
PermitTTY no
PidFile none
Subsystem sftp internal-sftp
`, vm.Address, vm.Port, image.VMKeys, vm.User)
	if err := writeText(filepath.Join(vm.Root, "etc/ssh/sshd_config"), config); err != nil {
		return vm, err
	}
	k := c.vmComponent(vm)
	if err := c.start(k); err != nil {
		return vm, err
	}
	c.Components = append(c.Components, k)
	return vm, c.waitFor(k.Name)
}

// takePort chooses a port that no VM of the cluster has, and writes vm.json.
func (c *Cluster) takePort(vm *VM) error {
	release, err := lockMachine()
	if err != nil {
		return err
	}
	defer release()
	others, err := c.vms()
	if err != nil {
		return err
	}
	taken := map[int]bool{}
	for _, o := range others {
		taken[o.Port] = true
	}
	for vm.Port = firstVMPort; taken[vm.Port]; vm.Port++ {
	}
	if vm.Port >= firstVMPort+maxVMs {
		return fmt.Errorf("cluster %s has %d VMs: remove some", c.Name, maxVMs)
	}
	return writeJSON(c.vmFile(vm.Name), vm)
}

// makeKeys makes a key pair for the host and one for who logs in. The private
// half of the second leaves the VM.
func (vm VM) makeKeys() error {
	for _, key := range []string{"host", "login"} {
		argv := vm.enter("/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", vm.Name, "-f", "/"+image.VMKeys+"/"+key)
		if _, err := command.Run(command.Default, argv[0], argv[1:]...); err != nil {
			return err
		}
	}
	inside := func(file string) string { return filepath.Join(vm.Root, image.VMKeys, file) }
	private := filepath.Join(vm.KeyFolder, "id_ed25519")
	err := errors.Join(
		os.Rename(inside("login.pub"), inside("authorized_keys")),
		os.Rename(inside("login"), private),
		// ssh refuses a key that belongs to another than who uses it.
		os.Chown(private, os.Getuid(), os.Getgid()),
	)
	if err != nil {
		return err
	}
	public, err := os.ReadFile(inside("host.pub"))
	if err != nil {
		return err
	}
	kind, rest, _ := strings.Cut(strings.TrimSpace(string(public)), " ")
	key, _, _ := strings.Cut(rest, " ")
	return writeText(vm.KnownHosts, fmt.Sprintf("[%s]:%d %s %s\n", vm.Address, vm.Port, kind, key))
}

// enter is the command line that runs a program in the VM's file system, as
// its user and with no way to more rights. The devices are mounts of a
// namespace that ends with its processes; device files would not work where
// the state folder's file system is mounted with nodev.
func (vm VM) enter(argv ...string) []string {
	user := strconv.Itoa(image.VMUID)
	script := `root=$1 user=$2; shift 2
for d in null zero random urandom; do : >>"$root/dev/$d"; mount --bind "/dev/$d" "$root/dev/$d"; done
exec setpriv --no-new-privs chroot --userspec="$user:$user" --groups="$user" "$root" "$@"`
	return append([]string{"env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "unshare", "--mount", "--propagation", "private",
		"sh", "-ec", script, "sh", vm.Root, user}, argv...)
}

func (c *Cluster) vmComponent(vm VM) component {
	return component{Name: vmPrefix + vm.Name, Argv: vm.enter("/usr/sbin/sshd", "-D", "-e")}
}

// vms reads the VMs of the cluster.
func (c *Cluster) vms() ([]VM, error) {
	files, err := filepath.Glob(c.vmFile("*"))
	if err != nil {
		return nil, err
	}
	var all []VM
	for _, f := range files {
		var vm VM
		if err := readJSON(f, &vm); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue // taken down meanwhile
			}
			return nil, err
		}
		all = append(all, vm)
	}
	return all, nil
}

// VMDown removes a VM and all that runs in it; also one that is half made.
func (c *Cluster) VMDown(name string) error {
	dir := c.path(vmPrefix + name)
	if !validVM.MatchString(name) || !exists(dir) {
		return fmt.Errorf("cluster %s has no VM %q", c.Name, name)
	}
	err := command.Poll(command.Default, "end of the processes of VM "+name, func() error {
		left := pidsWithRoot(filepath.Join(dir, "root"))
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone already: fine
		}
		if len(left) > 0 {
			return fmt.Errorf("still there: %v", left)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(removeIfThere(c.processFile(vmPrefix+name)), os.RemoveAll(dir))
}

// pidsWithRoot lists the processes whose root folder this is.
func pidsWithRoot(root string) []int {
	var want syscall.Stat_t
	if err := syscall.Stat(root, &want); err != nil {
		return nil
	}
	var pids []int
	for _, pid := range allPids() {
		var st syscall.Stat_t
		err := syscall.Stat("/proc/"+strconv.Itoa(pid)+"/root", &st)
		if err != nil || st.Ino != want.Ino || st.Dev != want.Dev {
			continue
		}
		if state, _, err := stat(pid); err == nil && state != "Z" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// vmAnswers asks a VM's sshd for its greeting.
func (c *Cluster) vmAnswers(name string) error {
	var vm VM
	if err := readJSON(c.vmFile(name), &vm); err != nil {
		return &command.Final{Err: err}
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(vm.Address, strconv.Itoa(vm.Port)), time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	greeting, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasPrefix(greeting, "SSH-2.0-") {
		err = fmt.Errorf("it greets with %q", greeting)
	}
	return err
}
