package part

import (
	"fmt"

	"tenantry.io/testbed/driver/internal/cluster"
)

// natsServer runs a message bus at the node's address. Argo Events speaks TLS
// to a bus of its own making only and wants it here too; others may do without.
func natsServer(a *adding) error {
	cert, key, ca, err := a.ServerCertificate("nats")
	if err != nil {
		return err
	}
	config, err := a.write("nats.conf", fmt.Sprintf(natsConfig, a.NodeAddress, a.file("store"), cert, key))
	if err != nil {
		return err
	}
	address := a.NodeAddress + ":4222"
	a.part.Values["url"] = "nats://" + address
	a.part.Values["caFile"] = ca
	a.part.Values["monitor"] = "http://" + a.NodeAddress + ":8222"
	return a.run(cluster.Process{
		Name:    "nats",
		Argv:    []string{a.program("nats-server"), "--config=" + config},
		Answers: a.part.Values["monitor"] + "/healthz?js-enabled-only=true",
	})
}

const natsConfig = `server_name: testbed
listen: "%[1]s:4222"
http: "%[1]s:8222"
jetstream {
  store_dir: "%[2]s"
  max_memory_store: 256MB
  max_file_store: 2GB
}
tls {
  cert_file: "%[3]s"
  key_file: "%[4]s"
}
allow_non_tls: true
`
