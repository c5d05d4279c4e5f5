package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// writeFiles makes every file the components read: keys, kubeconfigs and the
// configuration of each node.
func (c *Cluster) writeFiles() error {
	for _, dir := range []string{"conf", "logs", "run", "etcd"} {
		if err := os.MkdirAll(c.path(dir), 0o700); err != nil {
			return err
		}
	}
	p, err := newPKI(c.path("pki"))
	if err != nil {
		return err
	}
	if _, err := newKey(c.path("pki", "service-account.key")); err != nil {
		return err
	}
	masters := []string{"system:masters"}
	err = errors.Join(
		p.issue("apiserver", "kube-apiserver", nil, c.NodeAddress, c.APIService, "127.0.0.1", "localhost", "kubernetes",
			"kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
		p.issue("apiserver-kubelet", "kube-apiserver-kubelet-client", masters),
		p.issue("admin", "testbed-admin", masters),
		p.issue("controller-manager", "system:kube-controller-manager", nil),
		p.issue("scheduler", "system:kube-scheduler", nil),
		p.issue("proxy", "system:kube-proxy", nil),
	)
	users := []string{"controller-manager", "scheduler", "proxy"}
	for n := 1; n <= c.Options.Nodes; n++ {
		user := fmt.Sprintf("kubelet-%d", n)
		users = append(users, user)
		err = errors.Join(err,
			// One pair for both sides: the kubelet as a client and as a server.
			p.issue(user, "system:node:"+c.nodeName(n), []string{"system:nodes"}, c.NodeAddress, c.nodeName(n)),
			c.writeNode(n))
	}
	for _, user := range users {
		err = errors.Join(err, p.kubeconfig(c.path("conf", user+".kubeconfig"), c.Server, c.Name, user))
	}
	return errors.Join(err, p.kubeconfig(c.Kubeconfig(), c.Server, c.Name, "admin"))
}

// writeNode makes the configuration of containerd, CNI and the kubelet.
func (c *Cluster) writeNode(n int) error {
	dir := c.runtimeDir(n)
	plugins, err := pluginFolder()
	if err != nil {
		return err
	}
	return errors.Join(
		writeText(filepath.Join(dir, "config.toml"), fmt.Sprintf(containerdText, dir, c.runtimeSock(n), plugins)),
		writeText(filepath.Join(dir, "cni", "10-testbed.conflist"), fmt.Sprintf(cniText, c.ID, n, c.nodePods(n), dir)),
		// Empty: pods inherit no name server, so no look-up leaves the machine.
		writeText(filepath.Join(c.kubeletDir(n), "resolv.conf"), ""),
		writeText(filepath.Join(c.kubeletDir(n), "config.yaml"), c.kubeletText(n)),
	)
}

// pluginFolder is where this machine has its CNI programs.
func pluginFolder() (string, error) {
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin"} {
		if exists(filepath.Join(dir, "ptp")) {
			return dir, nil
		}
	}
	return "", errors.New("no CNI programs in /usr/lib/cni or /opt/cni/bin: run testbed/install.sh")
}

// containerd: everything below the cluster's own folder, also what is in /run
// by default (pod namespaces, runc's state), so that two never meet.
// restrict_oom_score_adj: without CAP_SYS_RESOURCE runc cannot lower the score
// and fails with "can't get final child's PID from pipe: EOF".
const containerdText = `version = 2
root = "%[1]s/root"
state = "%[1]s/state"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.tracing"]

[grpc]
  address = "%[2]s"

[plugins."io.containerd.internal.v1.opt"]
  path = "%[1]s/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "local/pause:1"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  Root = "%[1]s/runc"
  SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "%[3]s"
  conf_dir = "%[1]s/cni"
`

// CNI: ptp and not bridge, because routed packets pass the services' rules
// without the kernel module br_netfilter, and nodes can share a namespace.
const cniText = `{
  "cniVersion": "0.4.0",
  "name": "%[1]s-%[2]d",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": false,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "%[3]s"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": "%[4]s/addresses"
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

// kubeletText is the kubelet's configuration. Each node has a port range of
// its own, because all nodes of a cluster share one network namespace.
func (c *Cluster) kubeletText(n int) string {
	var hard strings.Builder
	for _, e := range c.Options.EvictionHard {
		signal, quantity, _ := strings.Cut(e, "=")
		fmt.Fprintf(&hard, "  %s: %q\n", signal, quantity)
	}
	// The lease is renewed every quarter of its duration: five renewals fit
	// into the grace period of a node.
	lease := max(int(c.Options.NodeGrace/time.Second)*4/5, 4)
	return fmt.Sprintf(kubeletText,
		c.runtimeSock(n), c.cgroupOf(n), c.podLogs(n), filepath.Join(c.kubeletDir(n), "resolv.conf"),
		c.path("pki"), n, 10250+(n-1)*100, 10248+(n-1)*100, c.Options.MaxPods, lease,
		c.Options.ContainerLogMaxSize, hard.String())
}

const kubeletText = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://%[1]s
# cgroup v1 is what small machines still have; the kubelet refuses it unless told.
failCgroupV1: false
cgroupDriver: cgroupfs
# Two kubelets on one machine kill each other's pods and collect each other's
# logs, unless each has its own tree and its own folder.
cgroupRoot: /%[2]s
podLogsDir: %[3]s
enforceNodeAllocatable: []
failSwapOn: false
oomScoreAdj: 0
resolvConf: %[4]s
clusterDomain: cluster.local
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[5]s/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: %[5]s/kubelet-%[6]d.crt
tlsPrivateKeyFile: %[5]s/kubelet-%[6]d.key
port: %[7]d
healthzPort: %[8]d
maxPods: %[9]d
# Tests start many pods at once and wait for each.
kubeAPIQPS: 200
kubeAPIBurst: 400
eventRecordQPS: 0
podsPerCore: 0
serializeImagePulls: false
nodeLeaseDurationSeconds: %[10]d
nodeStatusUpdateFrequency: 4s
nodeStatusReportFrequency: 30s
volumeStatsAggPeriod: 10s
containerLogMaxSize: %[11]s
containerLogMonitorInterval: 3s
# Images come from archives; what is collected cannot be pulled again.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionPressureTransitionPeriod: 10s
evictionHard:
%[12]s`
