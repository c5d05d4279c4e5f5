package cluster

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// maxSocketPath is what the kernel takes for a unix socket's path.
const maxSocketPath = 107

// idPrefix begins the name of every cluster's network namespace and cgroup.
const idPrefix = "tb-"

var validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,22}[a-z0-9])?$`)

// StateRoot is the folder that holds one folder for each cluster.
func StateRoot() (string, error) {
	root := os.Getenv("TESTBED_STATE")
	if root == "" {
		root = filepath.Join(os.TempDir(), "tenantry-testbed")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return "", fmt.Errorf("TESTBED_STATE: %w", err)
	}
	return root, nil
}

// identity is everything whose name must differ between two clusters on one
// machine, also between clusters of the same name in two state folders.
type identity struct {
	Name string `json:"name"`
	// Dir holds every file of the cluster.
	Dir string `json:"stateDir"`
	// ID names the network namespace, the cgroup and the CNI network.
	ID string `json:"id"`
	// HostLink and NodeLink are the two ends of the veth pair.
	HostLink string `json:"hostLink"`
	NodeLink string `json:"nodeLink"`
}

func newIdentity(root, name string) (identity, error) {
	if !validName.MatchString(name) {
		return identity{}, fmt.Errorf("cluster name %q: use 1 to 24 of a-z, 0-9 and '-', with no '-' at the ends", name)
	}
	dir := filepath.Join(root, name)
	// Below it the longest socket path is the kubelet's, for its plugins.
	if longest := filepath.Join(dir, "kubelet-9/device-plugins/kubelet.sock"); len(longest) > maxSocketPath {
		return identity{}, fmt.Errorf("state folder %s: too long by %d characters for unix sockets; set TESTBED_STATE to a shorter one",
			root, len(longest)-maxSocketPath)
	}
	h := hex.EncodeToString(hash(dir)[:4])
	return identity{
		Name:     name,
		Dir:      dir,
		ID:       idPrefix + h,
		HostLink: LinkPrefix + h + "h", // an interface name has at most 15 characters
		NodeLink: LinkPrefix + h + "n",
	}, nil
}

func hash(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// firstSlot is the slot of address ranges that a cluster tries first.
func (i identity) firstSlot() int {
	return int(binary.BigEndian.Uint32(hash("slot "+i.Dir))) & (slots - 1)
}

func (i identity) netnsPath() string        { return "/run/netns/" + i.ID }
func (i identity) path(e ...string) string  { return filepath.Join(append([]string{i.Dir}, e...)...) }
func (i identity) Kubeconfig() string       { return i.path("admin.kubeconfig") }
func (i identity) logFile(c string) string  { return i.path("logs", c+".log") }
func (i identity) cgroupOf(n int) string    { return fmt.Sprintf("%s/node-%d", i.ID, n) }
func (i identity) nodeName(n int) string    { return fmt.Sprintf("%s-%d", i.Name, n) }
func (i identity) podLogs(n int) string     { return i.path(fmt.Sprintf("pod-logs-%d", n)) }
func (i identity) kubeletDir(n int) string  { return i.path(fmt.Sprintf("kubelet-%d", n)) }
func (i identity) runtimeDir(n int) string  { return i.path(fmt.Sprintf("containerd-%d", n)) }
func (i identity) runtimeSock(n int) string { return i.path(fmt.Sprintf("containerd-%d", n), "c.sock") }
