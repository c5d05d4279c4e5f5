package part

import (
	"slices"
	"testing"
)

func TestClosure(t *testing.T) {
	got, err := Closure("argo-events", "nats", "argo-workflows")
	if err != nil || !slices.Equal(got, []string{"nats", "argo-events", "argo-workflows"}) {
		t.Errorf("Closure gives %v, %v", got, err)
	}
	if _, err := Closure("argo"); err == nil {
		t.Error("a part that does not exist was taken")
	}
}

// The names that Argo Events 1.9.10 gave consumers in a running cluster.
func TestDurable(t *testing.T) {
	if got := durable("operations", "workflow", "requested"); got != "group-4082787986" {
		t.Errorf("the consumer is named %s", got)
	}
}

func TestWords(t *testing.T) {
	if got := words("(a-1 || b)&& !c"); !slices.Equal(got, []string{"a-1", "b", "c"}) {
		t.Errorf("the words are %v", got)
	}
}
