# Argo Events: an event sent to a webhook goes over the bus to a sensor, which
# makes a Workflow with the event's name; also when the sensor's process dies
# and when the bus was away; the same event twice makes one.

[ -d "$TESTBED_STATE/one/part-argo-workflows" ] || "$testbed" add one argo-workflows >&2
command -v curl >/dev/null || fail "curl is missing, which sends the events"

step "events: bus, event source, sensor"
k one create namespace events >&2
bus=$("$testbed" list | sed -n 's/.*"url": "\(nats:.*\)".*/\1/p')
cat >"$work/argo-events/all.yaml" <<YAML
apiVersion: v1
kind: ServiceAccount
metadata: {name: sensor, namespace: events}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: sensor, namespace: events}
rules:
- {apiGroups: [argoproj.io], resources: [workflows], verbs: [create, get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: sensor, namespace: events}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: sensor}
subjects: [{kind: ServiceAccount, name: sensor, namespace: events}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: step, namespace: events}
rules:
- {apiGroups: [argoproj.io], resources: [workflowtaskresults], verbs: [create, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: step, namespace: events}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: step}
subjects: [{kind: ServiceAccount, name: default, namespace: events}]
---
apiVersion: argoproj.io/v1alpha1
kind: EventBus
metadata: {name: default, namespace: events}
spec:
  jetstreamExotic:
    url: $bus
    streamConfig: |
      maxMsgs: 1000
      maxAge: 1h
      maxBytes: -1
      replicas: 1
      duplicates: 300s
      retention: 0
      discard: 0
---
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: operations, namespace: events}
spec:
  service: {ports: [{port: 12000, targetPort: 12000}]}
  webhook:
    requested: {port: "12000", endpoint: /operations, method: POST}
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: operations, namespace: events}
spec:
  template: {serviceAccountName: sensor}
  dependencies:
  - {name: requested, eventSourceName: operations, eventName: requested}
  triggers:
  - atLeastOnce: true
    retryStrategy: {steps: 3, duration: 1s}
    template:
      name: workflow
      k8s:
        operation: create
        source:
          resource:
            apiVersion: argoproj.io/v1alpha1
            kind: Workflow
            metadata: {name: by-the-event, namespace: events}
            spec:
              entrypoint: say
              arguments: {parameters: [{name: text, value: by-the-event}]}
              templates:
              - name: say
                container: {image: "local/tools:1", imagePullPolicy: Never, command: [echo, "{{workflow.parameters.text}}"]}
        parameters:
        - {src: {dependencyName: requested, dataKey: body.id}, dest: metadata.name}
        - {src: {dependencyName: requested, dataKey: body.data.text}, dest: spec.arguments.parameters.0.value}
YAML
k one apply -f "$work/argo-events/all.yaml" >&2
"$testbed" events-ready one events

# event ID: prints the status of the answer to a CloudEvent.
event() {
	curl --silent --show-error --noproxy '*' --output /dev/null --write-out '%{http_code}' --header 'Content-Type: application/cloudevents+json' \
		--data "{\"specversion\":\"1.0\",\"id\":\"$1\",\"source\":\"/selftest\",\"type\":\"said\",\"data\":{\"text\":\"words of $1\"}}" \
		"http://$(k one get service operations-eventsource-svc -n events -o 'jsonpath={.spec.clusterIP}'):12000/operations"
}
event_phase() { k one get workflow "$1" -n events -o 'jsonpath={.status.phase}'; }
workflows_made() { k one get workflows -n events -o name | wc -l; }
event_pod() { k one get pods -n events -l "$1=operations" --field-selector status.phase=Running -o 'jsonpath={.items[0].metadata.name}'; }

step "events: an event makes a workflow of its name"
expect "the answer" "$(event first)" 200
until_is 120 Succeeded event_phase first
expect "what the workflow says" "$(k one logs -n events -l workflows.argoproj.io/workflow=first -c main | grep words)" "words of first"

step "events: the same event again makes none"
expect "the answer" "$(event first)" 200
expect "the answer" "$(event second)" 200
until_is 120 Succeeded event_phase second
expect "workflows" "$(workflows_made)" 2

step "events: the sensor's process dies"
"$testbed" kill one "pod/events/$(event_pod sensor-name)"
expect "the answer" "$(event third)" 200
until_is 120 Succeeded event_phase third

step "events: the bus is away for a while"
"$testbed" kill one nats
expect "the answer without a bus" "$(event lost)" 500
"$testbed" start one nats
until_is 120 200 event fourth
until_is 120 Succeeded event_phase fourth
"$testbed" events-ready one events
if k one get workflow lost -n events >/dev/null 2>&1; then fail "a refused event made a workflow"; fi
