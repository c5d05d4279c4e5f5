package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"tenantry.io/testbed/driver/internal/command"
)

// startDeadline is for one component, on a machine that also compiles.
const startDeadline = 2 * time.Minute

// waitFor waits until a component does its work.
func (c *Cluster) waitFor(name string) error {
	var check func() error
	switch kind, _, _ := strings.Cut(name, "-"); {
	case name == "kube-apiserver":
		check = func() error { _, err := c.get("/readyz"); return err }
	case kind == "containerd":
		sock := c.runtimeSock(nodeNumber(name))
		check = func() error {
			conn, err := net.DialTimeout("unix", sock, time.Second)
			if err == nil {
				conn.Close()
			}
			return err
		}
	case c.answers(name) != "":
		check = func() error { return Asks(c.answers(name)) }
	case kind == "vm":
		check = func() error { return c.vmAnswers(strings.TrimPrefix(name, vmPrefix)) }
	default:
		// What the others do shows in the API only; here it is enough that
		// they did not end at once.
		time.Sleep(200 * time.Millisecond)
		check = func() error { return nil }
	}
	err := command.Poll(startDeadline, "start of "+name, func() error {
		if _, ok := c.running(name); !ok {
			return &command.Final{Err: errors.New("the process ended")}
		}
		return check()
	})
	if err != nil {
		return fmt.Errorf("cluster %s: %w%s", c.Name, err, c.logTail(name))
	}
	return nil
}

func nodeNumber(component string) int {
	if m := ofNode.FindStringSubmatch(component); m != nil {
		return int(m[2][0] - '0')
	}
	return 1
}

// waitUsable waits until a pod could be made and would be scheduled: every
// node Ready and without the taint of a new node, and the service account
// that pods of the namespace "default" use.
func (c *Cluster) waitUsable() error {
	for n := 1; n <= c.Options.Nodes; n++ {
		err := command.Poll(startDeadline, "node "+c.nodeName(n)+" ready", func() error { return c.nodeReady(n) })
		if err != nil {
			return fmt.Errorf("cluster %s: %w%s", c.Name, err, c.logTail(perNode("kubelet", n)))
		}
	}
	err := command.Poll(startDeadline, "service account default/default", func() error {
		_, err := c.get("/api/v1/namespaces/default/serviceaccounts/default")
		return err
	})
	if err != nil {
		return fmt.Errorf("cluster %s: %w%s", c.Name, err, c.logTail("kube-controller-manager"))
	}
	return nil
}

func (c *Cluster) nodeReady(n int) error {
	kubelet := perNode("kubelet", n)
	if _, ok := c.running(kubelet); !ok {
		return &command.Final{Err: fmt.Errorf("the process %s ended", kubelet)}
	}
	body, err := c.get("/api/v1/nodes/" + c.nodeName(n))
	if err != nil {
		return err
	}
	var node struct {
		Spec   struct{ Taints []struct{ Key string } }
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(body, &node); err != nil {
		return err
	}
	for _, t := range node.Spec.Taints {
		return fmt.Errorf("it has the taint %s", t.Key)
	}
	for _, k := range node.Status.Conditions {
		if k.Type == "Ready" {
			if k.Status == "True" {
				return nil
			}
			return errors.New(k.Message)
		}
	}
	return errors.New("it has no condition Ready yet")
}

// get asks the API server as the administrator.
func (c *Cluster) get(path string) ([]byte, error) {
	if c.client == nil {
		pair, err := tls.LoadX509KeyPair(c.path("pki", "admin.crt"), c.path("pki", "admin.key"))
		if err != nil {
			return nil, err
		}
		ca, err := os.ReadFile(c.path("pki", "ca.crt"))
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca)
		c.client = &http.Client{
			Timeout: 5 * time.Second,
			Transport: &http.Transport{
				Proxy:           nil, // never: the address is on this machine
				TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}},
			},
		}
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, c.Server+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s: %.300s", path, resp.Status, body)
	}
	return body, nil
}
