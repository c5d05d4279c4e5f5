package cluster

import (
	"os"
	"strconv"
	"strings"
)

// A kubelet takes about twenty inotify instances, and one more for every log
// that is followed; the usual limit of 128 per user is used up by a few
// clusters. A kubelet without one answers a followed log with its own words.
const (
	inotifyInstances = 1024
	inotifyLimit     = "/proc/sys/fs/inotify/max_user_instances"
)

// raiseInotify raises the machine's limit where it is lower, and says what to
// do where that is not allowed. It is not lowered again: others may rely on it.
func raiseInotify(say Progress) {
	text, err := os.ReadFile(inotifyLimit)
	if err != nil {
		return
	}
	now, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || now >= inotifyInstances {
		return
	}
	if err := os.WriteFile(inotifyLimit, []byte(strconv.Itoa(inotifyInstances)), 0o644); err != nil {
		say("inotify instances are limited to %d, and cannot be raised here (%v): set fs.inotify.max_user_instances=%d", now, err, inotifyInstances)
	}
}
