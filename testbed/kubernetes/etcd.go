package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcdStartDeadline is how long the embedded server may take to elect itself.
const etcdStartDeadline = 60 * time.Second

// runEtcd runs a single-member etcd until SIGTERM or SIGINT.
//
// It never calls fsync: a test cluster's data need not outlive the machine,
// only the process, and fsync is most of what a small machine waits for. The
// page cache survives kill -9, so the tests that kill etcd lose nothing.
func runEtcd() int {
	flags := flag.NewFlagSet("etcd", flag.ExitOnError)
	dir := flags.String("data-dir", "", "folder for the data (required)")
	client := flags.String("client-url", "http://127.0.0.1:2379", "address for clients")
	peer := flags.String("peer-url", "http://127.0.0.1:2380", "address for peers; there are none, but etcd wants one")
	level := flags.String("log-level", "warn", "debug, info, warn, error")
	// ExitOnError: Parse never returns an error.
	_ = flags.Parse(os.Args[1:])
	if *dir == "" {
		fmt.Fprintln(os.Stderr, "etcd: --data-dir is missing: give the folder for the data")
		return 2
	}
	clientURL, err := url.Parse(*client)
	if err != nil {
		fmt.Fprintf(os.Stderr, "etcd: --client-url %q: %v\n", *client, err)
		return 2
	}
	peerURL, err := url.Parse(*peer)
	if err != nil {
		fmt.Fprintf(os.Stderr, "etcd: --peer-url %q: %v\n", *peer, err)
		return 2
	}

	cfg := embed.NewConfig()
	cfg.Dir = *dir
	cfg.ListenClientUrls = []url.URL{*clientURL}
	cfg.AdvertiseClientUrls = []url.URL{*clientURL}
	cfg.ListenPeerUrls = []url.URL{*peerURL}
	cfg.AdvertisePeerUrls = []url.URL{*peerURL}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.LogLevel = *level
	cfg.UnsafeNoFsync = true

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)

	server, err := embed.StartEtcd(cfg)
	if err != nil {
		fmt.Fprintf(os.Stderr, "etcd: cannot start in %s: %v\n", *dir, err)
		return 1
	}
	defer server.Close()
	select {
	case <-server.Server.ReadyNotify():
	case <-stop:
		return 0
	case <-time.After(etcdStartDeadline):
		fmt.Fprintf(os.Stderr, "etcd: not ready after %s in %s\n", etcdStartDeadline, *dir)
		return 1
	}
	select {
	case <-stop:
		return 0
	case err := <-server.Err():
		fmt.Fprintf(os.Stderr, "etcd: stopped: %v\n", err)
		return 1
	}
}
