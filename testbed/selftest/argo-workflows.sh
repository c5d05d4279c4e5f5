# Argo Workflows: a workflow with a list found at run time succeeds, with
# results and logs; one with an exit code fails with it; the controller dies in
# the middle of one; the process in a pod is killed.

step "workflows: rights of the pods"
k one create namespace flow >&2
cat >"$work/argo-workflows/rights.yaml" <<'YAML'
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: step, namespace: flow}
rules:
- {apiGroups: [argoproj.io], resources: [workflowtaskresults], verbs: [create, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: step, namespace: flow}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: step}
subjects: [{kind: ServiceAccount, name: default, namespace: flow}]
YAML
k one apply -f "$work/argo-workflows/rights.yaml" >&2

# workflow NAME COMMAND: one step, and another for each element that it prints.
workflow() {
	cat <<YAML
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: $1, namespace: flow}
spec:
  entrypoint: all
  templates:
  - name: all
    steps:
    - [{name: find, template: find}]
    - [{name: each, template: each, arguments: {parameters: [{name: what, value: "{{item}}"}]}, withParam: "{{steps.find.outputs.result}}"}]
  - name: find
    container: {image: "local/tools:1", imagePullPolicy: Never, command: [sh, -c], args: ['$2']}
  - name: each
    inputs: {parameters: [{name: what}]}
    container: {image: "local/tools:1", imagePullPolicy: Never, command: [sh, -c], args: ['echo "this is {{inputs.parameters.what}}"']}
YAML
}
phase() { k one get workflow "$1" -n flow -o 'jsonpath={.status.phase}'; }
# node NAME TEMPLATE FIELD: of the pods' nodes of a workflow.
node() { k one get workflow "$1" -n flow -o "jsonpath={range .status.nodes.*}{.type}/{.templateName}={$3} {end}" | tr ' ' '\n' | sed -n "s,^Pod/$2=,,p" | sort | tr '\n' ' '; }
node_phase() { node "$1" "$2" .phase | tr -d " "; }
argo() { "$here/bin/argo-workflows/argo" --kubeconfig "$TESTBED_STATE/one/admin.kubeconfig" -n flow "$@"; }

step "workflows: a list found at run time, exit codes, results, logs"
workflow good 'echo [\"a\",\"b\"]' | k one create -f - >&2
until_is 120 Succeeded phase good
expect "exit codes" "$(node good each .outputs.exitCode)" "0 0 "
expect "the result" "$(node good find .outputs.result)" '["a","b"] '
expect "argo logs" "$(argo logs good --no-color | sed -n 's/.*: this is //p' | sort | tr '\n' ' ')" "a b "
expect "argo get" "$(argo get good | sed -n 's/^Status: *//p')" Succeeded

step "workflows: a failed one has its exit code"
workflow bad 'echo no; exit 3' | k one create -f - >&2
until_is 120 Failed phase bad
expect "exit code" "$(node bad find .outputs.exitCode)" "3 "
expect "steps after it" "$(node bad each .phase)" ""

step "workflows: the controller dies in the middle"
workflow long 'tb sleep 5s; echo [\"c\"]' | k one create -f - >&2
until_is 60 Running node_phase long find
"$testbed" kill one workflow-controller
if "$testbed" kill one workflow-controller 2>/dev/null; then fail "a second kill was taken"; fi
expect "pids" "$("$testbed" pids one | grep -A 2 '"workflow-controller"' | grep -c '"stopped"')" 1
"$testbed" start one workflow-controller
until_is 120 Succeeded phase long

step "workflows: the process in a pod is killed"
workflow hit 'tb sleep 10m' | k one create -f - >&2
until_is 60 Running node_phase hit find
pod_of() { k one get pods -n flow -l "workflows.argoproj.io/workflow=$1" -o 'jsonpath={.items[0].metadata.name}'; }
until_is 60 Running k one get pod "$(pod_of hit)" -n flow -o 'jsonpath={.status.phase}'
"$testbed" kill one "pod/flow/$(pod_of hit)/main"
until_is 120 Failed phase hit
expect "exit code" "$(k one get pod "$(pod_of hit)" -n flow -o 'jsonpath={.status.containerStatuses[?(@.name=="main")].state.terminated.exitCode}')" 137
k one delete workflow --all -n flow >&2
