package part

import (
	"fmt"
	"time"

	"tenantry.io/testbed/driver/internal/cluster"
	"tenantry.io/testbed/driver/internal/command"
)

// argoWorkflows runs the controller as a process of the cluster's namespace,
// with the rights of the service account that it has in an installation.
func argoWorkflows(a *adding) error {
	a.part.Namespace = "argo"
	if err := a.load("argoexec", "argoexec"); err != nil {
		return err
	}
	if err := a.apply(); err != nil {
		return err
	}
	kubeconfig, err := a.ServiceAccount("argo", "argo")
	if err != nil {
		return err
	}
	a.part.Values["argo"] = a.program("argo")
	a.part.Values["configMap"] = "workflow-controller-configmap"
	a.part.Values["executorImage"] = "local/argoexec:1"
	a.part.Values["health"] = "http://" + a.NodeAddress + ":6060/healthz"
	a.part.Values["metrics"] = "https://" + a.NodeAddress + ":9090/metrics"
	err = a.run(cluster.Process{
		Name: "workflow-controller",
		Argv: []string{a.program("workflow-controller"), "--kubeconfig=" + kubeconfig, "--namespace=argo",
			"--executor-image=local/argoexec:1", "--executor-image-pull-policy=Never"},
		Env: []string{"LEADER_ELECTION_DISABLE=true",
			// Ten seconds otherwise, for every level of a workflow.
			"DEFAULT_REQUEUE_TIME=1s"},
		Answers: a.part.Values["health"],
	})
	if err != nil {
		return err
	}
	return a.workflowRuns()
}

// workflowRuns waits for the end of a Workflow without a pod: the health
// address answers before the controller works.
func (a *adding) workflowRuns() error {
	a.Say("wait for a workflow")
	const name = "testbed-ready"
	if err := a.create("ready.yaml", fmt.Sprintf(readyWorkflow, name)); err != nil {
		return err
	}
	err := command.Poll(deadline, "a first workflow", func() error {
		phase, err := a.Kubectl(30*time.Second, "get", "workflow", name, "--namespace=argo", "--output=jsonpath={.status.phase} {.status.message}")
		if err == nil && phase != "Succeeded " {
			err = fmt.Errorf("its phase is %q", phase)
		}
		return err
	})
	if err != nil {
		return err
	}
	_, err = a.Kubectl(30*time.Second, "delete", "workflow", name, "--namespace=argo")
	return err
}

const readyWorkflow = `apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: %s, namespace: argo}
spec:
  entrypoint: nothing
  templates:
  - {name: nothing, suspend: {duration: "0"}}
`
