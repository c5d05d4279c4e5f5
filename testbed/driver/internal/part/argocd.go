package part

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"tenantry.io/testbed/driver/internal/cluster"
	"tenantry.io/testbed/driver/internal/command"
)

// argoCD runs redis, repo-server, application controller and server as
// processes of the cluster's namespace: repositories are then folders of this
// machine (file:///…/x.git).
func argoCD(a *adding) error {
	a.part.Namespace = "argocd"
	for _, program := range []string{"git", "redis-server"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not installed: run testbed/install.sh argo-cd", program)
		}
	}
	if err := a.apply(); err != nil {
		return err
	}
	controller, err := a.ServiceAccount("argocd", "argocd-application-controller")
	if err != nil {
		return err
	}
	server, err := a.ServiceAccount("argocd", "argocd-server")
	if err != nil {
		return err
	}
	if err := a.argoCDProcesses(controller, server); err != nil {
		return err
	}
	v := a.part.Values
	v["argocd"] = a.program("argocd")
	v["server"] = a.NodeAddress + ":8080"
	v["user"] = "admin"
	v["config"] = a.file("cli")
	// The server makes both when it starts for the first time.
	a.Say("wait for the project and the password of Argo CD")
	return command.Poll(deadline, "what Argo CD makes at its start", func() error {
		if _, err := a.Kubectl(30*time.Second, "get", "appproject", "default", "--namespace=argocd"); err != nil {
			return err
		}
		encoded, err := a.Kubectl(30*time.Second, "get", "secret", "argocd-initial-admin-secret", "--namespace=argocd", "--output=jsonpath={.data.password}")
		if err != nil {
			return err
		}
		password, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && len(password) == 0 {
			err = errors.New("the password is empty")
		}
		v["password"] = string(password)
		return err
	})
}

func (a *adding) argoCDProcesses(controller, server string) error {
	env := []string{
		"PATH=" + a.program("scripts") + ":" + os.Getenv("PATH"),
		// https://kubernetes.default.svc is then what KUBECONFIG says.
		"ARGOCD_FAKE_IN_CLUSTER=true",
		"ARGOCD_GPG_ENABLED=false",
		// No settings of the person at this machine.
		"GIT_CONFIG_NOSYSTEM=true",
	}
	for name, at := range map[string]string{
		"HOME": "home", "TMPDIR": "tmp", "ARGOCD_SSH_DATA_PATH": "ssh", "ARGOCD_TLS_DATA_PATH": "tls", "ARGOCD_GPG_DATA_PATH": "gpg",
		"ARGOCD_GNUPGHOME": "gnupg", "ARGOCD_PLUGINSOCKFILEPATH": "plugins", "ARGOCD_APP_CONF_PATH": "conf",
	} {
		if err := os.MkdirAll(a.file(at), 0o700); err != nil {
			return err
		}
		env = append(env, name+"="+a.file(at))
	}
	if _, err := a.write("ssh/ssh_known_hosts", ""); err != nil {
		return err
	}
	env = append(env, "ARGOCD_ASK_PASS_SOCK="+a.file("ask.sock"))
	redis, repos := a.NodeAddress+":6379", a.NodeAddress+":8081"
	component := func(name, kubeconfig, answers string, args ...string) cluster.Process {
		own := []string{"ARGOCD_BINARY_NAME=" + name}
		if kubeconfig != "" {
			own = append(own, "KUBECONFIG="+kubeconfig)
			args = append(args, "--kubeconfig="+kubeconfig, "--namespace=argocd", "--repo-server="+repos, "--repo-server-plaintext")
		}
		return cluster.Process{
			Name: name, Argv: append([]string{a.program("argocd"), "--redis=" + redis, "--logformat=text"}, args...),
			Env: append(own, env...), Answers: "http://" + a.NodeAddress + answers,
		}
	}
	for _, k := range []cluster.Process{
		{
			Name: "argocd-redis", Answers: "tcp://" + redis,
			// Nothing is kept, as in an installation.
			Argv: []string{"redis-server", "--bind", a.NodeAddress, "--port", "6379", "--protected-mode", "no", "--save", "", "--appendonly", "no", "--dir", a.file("tmp")},
		},
		component("argocd-repo-server", "", ":8084/healthz", "--address="+a.NodeAddress, "--metrics-address="+a.NodeAddress, "--disable-tls", "--client-ca-path="),
		component("argocd-application-controller", controller, ":8082/healthz"),
		component("argocd-server", server, ":8080/healthz", "--insecure", "--address="+a.NodeAddress, "--port=8080", "--metrics-address="+a.NodeAddress),
	} {
		if err := a.run(k); err != nil {
			return err
		}
	}
	return nil
}
