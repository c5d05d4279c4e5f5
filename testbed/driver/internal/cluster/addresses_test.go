package cluster

import (
	"net/netip"
	"testing"
)

// Two slots share no address, and every slot is inside the ranges that the
// clusters route to each other.
func TestSlotsAreApart(t *testing.T) {
	all := make([]netip.Prefix, len(allRanges))
	for n, r := range allRanges {
		all[n] = netip.MustParsePrefix(r)
	}
	for slot := range slots {
		a := addressesOf(slot)
		own := []netip.Prefix{netip.MustParsePrefix(a.HostAddress + "/30"), netip.MustParsePrefix(a.PodRange), netip.MustParsePrefix(a.ServiceRange)}
		for n, p := range own {
			if !all[n].Overlaps(p) || all[n].Bits() > p.Bits() {
				t.Fatalf("slot %d: %s is outside %s", slot, p, all[n])
			}
		}
		if overlapsAny(addressesOf((slot+1)%slots), own) {
			t.Fatalf("slots %d and %d overlap", slot, slot+1)
		}
	}
}

func TestNodesShareNoPodAddress(t *testing.T) {
	a := addressesOf(7)
	seen := map[string]bool{}
	for n := 1; n <= MaxNodes; n++ {
		p := netip.MustParsePrefix(a.nodePods(n))
		if !netip.MustParsePrefix(a.PodRange).Contains(p.Addr()) || seen[p.String()] {
			t.Fatalf("node %d has %s of %s", n, p, a.PodRange)
		}
		seen[p.String()] = true
	}
}

func TestNames(t *testing.T) {
	one, err := newIdentity("/tmp/a", "one")
	if err != nil {
		t.Fatal(err)
	}
	other, err := newIdentity("/tmp/b", "one")
	if err != nil {
		t.Fatal(err)
	}
	if one.ID == other.ID || one.HostLink == other.HostLink {
		t.Errorf("the same name in two state folders gives the same id %s", one.ID)
	}
	if len(one.HostLink) > 15 {
		t.Errorf("%s is too long for a link", one.HostLink)
	}
	for _, bad := range []string{"", "-a", "a-", "A", "a/b", "..", "a_b", "aaaaaaaaaaaaaaaaaaaaaaaaa"} {
		if _, err := newIdentity("/tmp/a", bad); err == nil {
			t.Errorf("the name %q was taken", bad)
		}
	}
	for name, want := range map[string]string{"apiserver": "kube-apiserver", "kube-apiserver": "kube-apiserver", "kubelet-1": "kubelet", "containerd-2": "containerd-2", "x": ""} {
		if got := canonical(name); got != want {
			t.Errorf("canonical(%q) is %q, expected %q", name, got, want)
		}
	}
}
