package cluster

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"tenantry.io/testbed/driver/internal/command"
)

// Each cluster gets one of 4096 slots, and with the slot its three ranges.
// Pods and services of two clusters never share an address, so that a pod of
// one cluster can talk to the API server of another.
const (
	slots      = 4096
	linkBase   = "10.240.0.0" // 4 addresses a slot: the veth pair
	podBase    = "10.64.0.0"  // 1024 addresses a slot: 256 for each node
	svcBase    = "10.144.0.0" // 256 addresses a slot
	LinkPrefix = "tb"
	// MaxNodes is how many times 256 addresses a slot has.
	MaxNodes = 4
)

// allRanges covers every slot of every cluster.
var allRanges = []string{"10.240.0.0/18", "10.64.0.0/10", "10.144.0.0/12"}

// addresses of one cluster, all derived from the slot.
type addresses struct {
	Slot         int    `json:"slot"`
	HostAddress  string `json:"hostAddress"` // the root namespace, as the cluster sees it
	NodeAddress  string `json:"nodeAddress"` // the cluster, as the root namespace sees it
	PodRange     string `json:"podRange"`
	ServiceRange string `json:"serviceRange"`
	APIService   string `json:"apiService"` // the address of the service "kubernetes"
}

func addressesOf(slot int) addresses {
	link := offset(linkBase, slot*4)
	return addresses{
		Slot:         slot,
		HostAddress:  offset(link, 1),
		NodeAddress:  offset(link, 2),
		PodRange:     offset(podBase, slot*1024) + "/22",
		ServiceRange: offset(svcBase, slot*256) + "/24",
		APIService:   offset(svcBase, slot*256+1),
	}
}

// nodePods is the part of the pod range that node n (from 1) hands out.
func (a addresses) nodePods(n int) string {
	return offset(podBase, a.Slot*1024+(n-1)*256) + "/24"
}

func (a addresses) server() string { return "https://" + a.NodeAddress + ":6443" }

// offset adds n to an IPv4 address that is a constant of this file.
func offset(base string, n int) string {
	b := netip.MustParseAddr(base).As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	v += uint32(n)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}).String()
}

// freeSlot finds the first slot, from the wanted one on, none of whose ranges
// overlaps a route of this machine.
func freeSlot(first int) (int, error) {
	out, err := command.Run(command.Default, "ip", "-4", "-json", "route", "show", "table", "all")
	if err != nil {
		return 0, err
	}
	var routes []struct {
		Dst string `json:"dst"`
	}
	if err := json.Unmarshal([]byte(out), &routes); err != nil {
		return 0, fmt.Errorf("ip route: cannot read its answer: %w", err)
	}
	var taken []netip.Prefix
	for _, r := range routes {
		if p, err := netip.ParsePrefix(r.Dst); err == nil {
			taken = append(taken, p)
		} else if a, err := netip.ParseAddr(r.Dst); err == nil {
			taken = append(taken, netip.PrefixFrom(a, a.BitLen()))
		} // the rest is "default", which every address overlaps
	}
	for i := range slots {
		slot := (first + i) % slots
		if !overlapsAny(addressesOf(slot), taken) {
			return slot, nil
		}
	}
	return 0, fmt.Errorf("no free address range: this machine routes all of %v elsewhere, or too many clusters run (testbed list)", allRanges)
}

func overlapsAny(a addresses, taken []netip.Prefix) bool {
	for _, own := range []string{a.HostAddress + "/30", a.PodRange, a.ServiceRange} {
		p := netip.MustParsePrefix(own)
		for _, t := range taken {
			if p.Overlaps(t) {
				return true
			}
		}
	}
	return false
}

// lockMachine keeps two `up` on one machine, also of two state folders, from
// taking the same slot. The lock ends with the process at the latest.
func lockMachine() (release func(), err error) {
	path := "/run/lock/tenantry-testbed.lock"
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("machine-wide lock: %w", err)
	}
	err = command.Poll(30*time.Second, "machine-wide lock "+path, func() error {
		return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
