package part

import "time"

// argoEvents runs the controller as a pod, as an installation does: it reads
// its configuration from a fixed path.
func argoEvents(a *adding) error {
	a.part.Namespace = "argo-events"
	if err := a.load("argo-events", "argo-events"); err != nil {
		return err
	}
	if err := a.apply(); err != nil {
		return err
	}
	a.part.Values["controller"] = "deployment/controller-manager"
	a.part.Values["image"] = "local/argo-events:1"
	a.Say("wait for the controller of Argo Events")
	_, err := a.Kubectl(deadline+10*time.Second, "rollout", "status", "deployment/controller-manager", "--namespace=argo-events", "--timeout="+deadline.String())
	return err
}
