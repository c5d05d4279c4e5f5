{{/* The image of discovery and bridges. */}}
{{- define "tenantry.image" -}}
{{ .Values.image.name }}:{{ .Values.image.tag }}
{{- end }}

{{- define "tenantry.labels" -}}
app.kubernetes.io/part-of: tenantry
{{- end }}

{{/* Flags that say what counts in this cluster. */}}
{{- define "tenantry.flags" -}}
{{- range .Values.domains }}
- --domain={{ . }}
{{- end }}
{{- range .Values.flags }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{/* Which region this is, and which one the event asked: what comes past the Sensor is refused as well. */}}
{{- define "tenantry.region" -}}
{{- with .Values.region }}
- --region={{ . }}
- --for-region={{ "{{workflow.parameters.region}}" }}
{{- end }}
{{- end }}

{{/* How discovery and bridges ask the manager, if there is one. */}}
{{- define "tenantry.manager" -}}
{{- with .Values.manager }}{{ if .url -}}
{{- $_ := required "region: the name of this region, as the manager has it" $.Values.region -}}
- --manager={{ .url }}
- --manager-token-file=/var/run/secrets/tenantry/token
- --round={{ "{{workflow.parameters.round}}" }}
- --workflow={{ "{{workflow.namespace}}/{{workflow.name}}" }}
{{- if .caSecret }}
- --manager-ca-file=/var/run/secrets/tenantry/ca.crt
{{- end }}
{{- end }}{{ end }}
{{- end }}

{{/* A token of the Pod's service account for the manager alone, and the manager's authority. */}}
{{- define "tenantry.volumes" -}}
{{- with .Values.manager }}{{ if .url -}}
- name: manager
  projected:
    sources:
      - serviceAccountToken: {path: token, audience: {{ .audience | quote }}, expirationSeconds: 3600}
      {{- with .caSecret }}
      - secret: {name: {{ . | quote }}, items: [{key: ca.crt, path: ca.crt}]}
      {{- end }}
{{ end }}{{ end -}}
- {name: tmp, emptyDir: {sizeLimit: 8Mi}}
{{- end }}

{{/* Nothing may write into the image; /tmp is all that a step needs. */}}
{{- define "tenantry.container" -}}
image: {{ include "tenantry.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [/tenantry-bridge]
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
  runAsNonRoot: true
  runAsUser: 65532
  seccompProfile: {type: RuntimeDefault}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  {{- if .Values.manager.url }}
  - {name: manager, mountPath: /var/run/secrets/tenantry, readOnly: true}
  {{- end }}
{{- end }}

{{- define "tenantry.environment" -}}
{name: environment, path: /tenantry/environment, raw: {data: {{ "{{workflow.parameters.environment}}" | quote }}}}
{{- end }}

{{/*
For the loss of a step's own Pod: -1 is Argo's word for no exit code, 0 with a failure is that of a Pod whose end is not known,
the last one is the program's. 137 and 143 are a killed process: the bridge's, unless it left a message that says that the hook was.
A hook is repeated by tenant.retries, never by Argo. No maxDuration: Argo counts it from the first try's start, so a step that had run longer would
not be started again at all. The limit is for what can never be started; a step may wait for a person for days, while nodes come
and go.
*/}}
{{- define "tenantry.lost" -}}
limit: {{ .limit | quote }}
retryPolicy: Always
expression: >-
  lastRetry.status == "Error" || asInt(lastRetry.exitCode) in [-1, 0, {{ .code }}] ||
  (asInt(lastRetry.exitCode) in [137, 143] && !(lastRetry.message contains "tenantry: "))
backoff: {duration: "2", factor: "2", cap: "60"}
{{- end }}

{{/*
What an event is: "requested", a CloudEvent of our type, structured (all of it in the body) or binary (its attributes in headers),
with all that a Workflow needs; "elsewhere", the same for another region on this bus, whose Sensor takes it; else "refused". The
script's answer is its last expression.
*/}}
{{- define "tenantry.verdict" -}}
local wanted, here = "io.tenantry.operation.requested.v1", {{ .Values.region | quote }}
local function verdict()
  local body, header = event.body, event.header or {}
  if type(body) ~= "table" then return "refused" end
  local data = body
  if body.specversion then
    if body.type ~= wanted then return "refused" end
    data = body.data
  else
    local types = header["Ce-Type"]
    if type(types) ~= "table" or types[1] ~= wanted then return "refused" end
  end
  local whole = type(data) == "table" and type(data.operation) == "string" and type(data.operationId) == "string"
    and type(data.environment) == "table" and string.match(data.operationId, "^[0-9a-f-]+$") ~= nil
    and string.match(data.operation, "^[a-z0-9.-]+$") ~= nil
  if not whole then return "refused" end
  -- A Workflow with another one could not be read by Argo.
  local first = data.priority
  local orders = first == nil or (type(first) == "number" and first % 1 == 0 and math.abs(first) <= 1000000)
  if not orders then return "refused" end
  local metadata = data.environment.metadata
  local region = data.region or (type(metadata) == "table" and metadata.region)
  if here ~= "" and region ~= here then return "elsewhere" end
  return "requested"
end
{{- end }}

{{/* A Go template of the Sensor over the event's data, wherever it is. */}}
{{- define "tenantry.of" -}}
{{ printf "{{ $d := ternary .Input.body.data .Input.body (hasKey .Input.body \"specversion\") }}%s" . }}
{{- end }}

{{/* A value that is a label's: an event that was written by hand may have any. */}}
{{- define "tenantry.label" -}}
{{ printf "{{ regexReplaceAll \"[^A-Za-z0-9._-]+\" (toString (default \"\" %s)) \"-\" | trunc 63 | trimAll \"-._\" }}" . }}
{{- end }}

{{/*
Keeps what became no Workflow: kubectl -n tenantry-argo get configmaps -l tenantry.io/dead-letter. Only the body: among the
headers is the sender's token.
*/}}
{{- define "tenantry.dead" -}}
template:
  name: {{ .dependency }}-dead-letter
  conditions: {{ .dependency }}
  k8s:
    operation: patch
    source:
      resource:
        apiVersion: v1
        kind: ConfigMap
        metadata:
          name: dead-letter-
          namespace: {{ .root.Values.namespace }}
          labels: {tenantry.io/dead-letter: {{ .dependency }}}
        data: {body: ""}
    parameters:
      - src: {dependencyName: {{ .dependency }}, contextKey: id}
        dest: metadata.name
        operation: append
      - src: {dependencyName: {{ .dependency }}, dataTemplate: {{ "{{ .Input.body | toJson }}" | squote }}}
        dest: data.body
atLeastOnce: true
retryStrategy: {{ toJson .root.Values.sensor.retries }}
{{- end }}

{{/* What every Workflow of an event has. */}}
{{- define "tenantry.workflow" -}}
entrypoint: operation
serviceAccountName: tenantry-bridge
priority: {{ .Values.workflow.priority }}
# The bridges must leave places for the hooks that they wait for.
parallelism: {{ .Values.workflow.parallelism | int }}
# Longer than the bus keeps messages: the Workflow's name is what makes an event that comes twice run once.
ttlStrategy: {secondsAfterCompletion: {{ .Values.workflow.secondsAfterCompletion | int }}}
# The Pods of an operation that failed stay as long as its Workflow.
podGC: {strategy: OnWorkflowSuccess, deleteDelayDuration: {{ .Values.workflow.podsStayFor }}}
# No activeDeadlineSeconds: `tenant.timeout` ends a hook.
podMetadata:
  labels:
    {{- include "tenantry.labels" . | nindent 4 }}
    tenantry.io/operation: {{ "{{workflow.parameters.operation-id}}" | quote }}
arguments:
  parameters:
    - name: operation
    - name: operation-id
    # In base64: a value that looks like one of Argo's expressions must reach the hook as it was written.
    - name: environment
    # Which Workflow of the operation this is: above 1 it runs what an earlier one left.
    - {name: round, value: "1"}
    - {name: region, value: ""}
    # The Workflow's own is known to a step only where the Workflow itself names it, not by its template.
    - {name: priority, value: {{ .Values.workflow.priority | quote }}}
{{- end }}

{{/* Discovery; its last flags are the caller's. */}}
{{- define "tenantry.discovery" -}}
# 6: the API server did not answer.
retryStrategy:
  {{- include "tenantry.lost" (dict "code" 6 "limit" 100) | nindent 2 }}
container:
  {{- include "tenantry.container" .root | nindent 2 }}
  args:
    - discovery
    {{- with .root.Values.namespaces }}
    - --namespace={{ join "," . }}
    {{- else }}
    - --all-namespaces
    {{- end }}
    - --operation={{ "{{workflow.parameters.operation}}" }}
    - --environment-file=/tenantry/environment
    - --base64
    {{- range .flags }}
    - {{ . }}
    {{- end }}
    {{- with include "tenantry.manager" .root }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with include "tenantry.region" .root }}
    {{- . | trim | nindent 4 }}
    {{- end }}
    {{- include "tenantry.flags" .root | trim | nindent 4 }}
    {{- range .root.Values.discoveryFlags }}
    - {{ . | quote }}
    {{- end }}
  resources:
    requests: {cpu: 5m, memory: 16Mi}
    limits: {memory: 64Mi}
volumes:
  {{- include "tenantry.volumes" .root | nindent 2 }}
{{- end }}
