package part

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"tenantry.io/testbed/driver/internal/cluster"
	"tenantry.io/testbed/driver/internal/command"
)

// EventsReady waits until an event that is sent now comes through: every
// webhook of the namespace's EventSources answers at its service, and every
// trigger of its Sensors asks the bus for messages. Both pods are Ready before
// that, and a consumer that is made later never sees what was sent before.
func EventsReady(c *cluster.Cluster, namespace string) error {
	bus := c.Part("nats")
	if bus == nil || c.Part("argo-events") == nil {
		return fmt.Errorf("cluster %s has no argo-events: `testbed add %s argo-events`", c.Name, c.Name)
	}
	return command.Poll(deadline, "event sources and sensors of "+namespace, func() error {
		err := webhooksAnswer(c, namespace)
		if err != nil {
			return err
		}
		return sensorsListen(c, namespace, bus.Values["monitor"])
	})
}

func objects(c *cluster.Cluster, namespace, kind string, into any) error {
	out, err := c.Kubectl(30*time.Second, "get", kind, "--namespace="+namespace, "--output=json")
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), into)
}

func webhooksAnswer(c *cluster.Cluster, namespace string) error {
	var sources struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct {
				Webhook map[string]struct{ Port string }
			}
		}
	}
	if err := objects(c, namespace, "eventsources", &sources); err != nil {
		return err
	}
	for _, s := range sources.Items {
		for event, hook := range s.Spec.Webhook {
			address, err := c.Kubectl(30*time.Second, "get", "service", s.Metadata.Name+"-eventsource-svc", "--namespace="+namespace, "--output=jsonpath={.spec.clusterIP}")
			if err != nil {
				return err
			}
			if err := cluster.Asks("http://" + address + ":" + hook.Port + "/health"); err != nil {
				return fmt.Errorf("webhook %s of %s: %w", event, s.Metadata.Name, err)
			}
		}
	}
	return nil
}

func sensorsListen(c *cluster.Cluster, namespace, monitor string) error {
	var sensors struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct {
				Dependencies []struct{ Name string }
				Triggers     []struct {
					Template struct{ Name, Conditions string }
				}
			}
		}
	}
	if err := objects(c, namespace, "sensors", &sensors); err != nil {
		return err
	}
	listening, err := consumers(monitor)
	if err != nil {
		return err
	}
	for _, s := range sensors.Items {
		for _, t := range s.Spec.Triggers {
			for _, d := range s.Spec.Dependencies {
				if t.Template.Conditions != "" && !slices.Contains(words(t.Template.Conditions), d.Name) {
					continue
				}
				if !slices.Contains(listening, durable(s.Metadata.Name, t.Template.Name, d.Name)) {
					return fmt.Errorf("trigger %s of sensor %s does not ask the bus for %s", t.Template.Name, s.Metadata.Name, d.Name)
				}
			}
		}
	}
	return nil
}

// words splits an expression of dependencies' names.
func words(expression string) []string {
	return strings.FieldsFunc(expression, func(r rune) bool { return strings.ContainsRune(" ()&|!\t\n", r) })
}

// durable is the name that Argo Events gives a consumer.
func durable(sensor, trigger, dependency string) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s-%s-%s", sensor, trigger, dependency) // never fails
	return fmt.Sprintf("group-%d", h.Sum32())
}

// consumers lists the bus's consumers for which somebody waits at this moment:
// a sensor asks again as soon as an answer is in, and at the latest each second.
func consumers(monitor string) ([]string, error) {
	body, err := cluster.Get(monitor + "/jsz?accounts=true&streams=true&consumers=true")
	if err != nil {
		return nil, err
	}
	var jetStream struct {
		Accounts []struct {
			Streams []struct {
				Consumers []struct {
					Name    string `json:"name"`
					Waiting int    `json:"num_waiting"`
				} `json:"consumer_detail"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.Unmarshal(body, &jetStream); err != nil {
		return nil, err
	}
	var names []string
	for _, account := range jetStream.Accounts {
		for _, stream := range account.Streams {
			for _, k := range stream.Consumers {
				if k.Waiting > 0 {
					names = append(names, k.Name)
				}
			}
		}
	}
	return names, nil
}
