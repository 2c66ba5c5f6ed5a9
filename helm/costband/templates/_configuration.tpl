{{/* The configurations, and what follows from them. */}}

{{/*
The central agent's. What it is by default stands here and not in values.yaml because Helm merges
maps: a default list of GPU pages would stay beside the sources that somebody writes.
*/}}
{{- define "costband.central.configuration" -}}
{{- if .Values.central.config }}
{{- toYaml .Values.central.config }}
{{- else -}}
gpu:
  - name: gpu-operator
    url: http://nvidia-dcgm-exporter.gpu-operator.svc:9400/metrics
{{- end }}
{{- end }}

{{- define "costband.node.configuration" -}}
{{- $gpu := dict "name" "node" }}
{{- if .Values.node.nvml.enabled }}
{{- $_ := set $gpu "nvml" (dict "hostname" "$(NODE_NAME)") }}
{{- else }}
{{- $_ := set $gpu "url" (include "costband.exporter.url" .) }}
{{- end }}
{{- include "costband.besideGpus" (dict "root" . "config" .Values.node.config "gpu" $gpu) }}
{{- end }}

{{- define "costband.sidecar.configuration" -}}
{{- $gpu := dict "name" "node" "url" (include "costband.exporter.url" .) }}
{{- include "costband.besideGpus" (dict "root" . "config" .Values.sidecar.config "gpu" $gpu) }}
{{- end }}

{{/* An agent beside its GPUs. Takes `root`, the `config` that somebody wrote, and `gpu` for one that has none. */}}
{{- define "costband.besideGpus" -}}
{{- $config := deepCopy .config }}
{{- if not $config.gpu }}
{{- with .root.Values.exporter.provider }}
{{- $_ := set $.gpu "provider" . }}
{{- end }}
{{- $_ := set $config "gpu" (list .gpu) }}
{{- end }}
{{- if not $config.central }}
{{- with include "costband.central.url" .root }}
{{- $_ := set $config "central" (dict "url" .) }}
{{- end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- define "costband.exporter.url" -}}
{{- if .Values.exporter.url }}
{{- .Values.exporter.url }}
{{- else if .Values.exporter.service.create }}
{{- printf "http://%s.%s.svc:%d/metrics" (include "costband.exporter.fullname" .) .Values.exporter.service.namespace (int .Values.exporter.service.port) }}
{{- else -}}
http://$(HOST_IP):9400/metrics
{{- end }}
{{- end }}

{{- define "costband.central.url" -}}
{{- if .Values.centralUrl }}
{{- .Values.centralUrl }}
{{- else if .Values.central.enabled }}
{{- printf "http://%s.%s.svc:%d" (include "costband.fullname" .) .Release.Namespace (int .Values.central.service.port) }}
{{- end }}
{{- end }}

{{/* Whether the chart writes the configuration of a mode, whose values it takes. */}}
{{- define "costband.writesConfiguration" -}}
{{- if not (or .existingConfigMap .existingSecret) }}true{{ end }}
{{- end }}

{{/*
What the central agent may do in the Kubernetes API, as YAML: `nodes`, `podNamespaces`, `lease`. A
cluster with a kubeconfig is asked with that one's identity.
*/}}
{{- define "costband.central.rights" -}}
{{- $nodes := .Values.central.rbac.nodes }}
{{- $namespaces := .Values.central.rbac.podNamespaces }}
{{- $clusters := .Values.central.config.kubernetes }}
{{- $own := dict }}
{{- range $clusters }}
{{- if not .kubeconfig }}
{{- $_ := set $own .cluster true }}
{{- if ne (toString .nodes) "false" }}
{{- $nodes = true }}
{{- end }}
{{- end }}
{{- end }}
{{- range .Values.central.config.gpu }}
{{- if .kubernetes }}
{{- $cluster := .cluster }}
{{- if and (not $cluster) (eq (len $clusters) 1) }}
{{- $cluster = (first $clusters).cluster }}
{{- end }}
{{- if hasKey $own (toString $cluster) }}
{{- $namespaces = append $namespaces .kubernetes.namespace }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml (dict "nodes" $nodes "podNamespaces" (uniq $namespaces) "lease" .Values.central.lease.enabled) }}
{{- end }}

{{- define "costband.central.leaseName" -}}
{{- default (include "costband.fullname" .) .Values.central.lease.name }}
{{- end }}

{{/* Variables from the downward API. Takes pairs of a name and a field's path. */}}
{{- define "costband.fromPod" -}}
{{- range . }}
- name: {{ first . }}
  valueFrom:
    fieldRef:
      fieldPath: {{ last . }}
{{- end }}
{{- end }}

{{/* The variable that says where a node agent's or a sidecar's ledger is, by `memory` or `emptyDir`. */}}
{{- define "costband.ledgerVariable" -}}
- name: COSTBAND__STORE__PATH
  value: {{ ternary ":memory:" "/var/lib/costband/costband.db" (eq . "memory") | quote }}
{{- end }}
