{{/*
costband beside a workload, for the pods of another chart that depends on this one:

  initContainers:
    {{- include "costband.sidecar.initContainer" .Subcharts.costband | nindent 8 }}
  volumes:
    {{- include "costband.sidecar.volumes" .Subcharts.costband | nindent 8 }}

Both take this chart's own scope. Nothing here is a probe: nothing that costband does makes the pod
unready, restarts it or holds its start.
*/}}

{{/* A native sidecar, for `initContainers`: it starts before the workload and ends after it. */}}
{{- define "costband.sidecar.initContainer" -}}
{{- if semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version }}
{{- fail (printf "Kubernetes %s runs an init container to its end: include costband.sidecar.container below `containers` instead" .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- include "costband.sidecar.body" (dict "root" . "restartPolicy" "Always") }}
{{- end }}

{{/* An ordinary container, for `containers`, where Kubernetes is older than 1.29. */}}
{{- define "costband.sidecar.container" -}}
{{- include "costband.sidecar.body" (dict "root" .) }}
{{- end }}

{{- define "costband.sidecar.body" -}}
{{- $values := .root.Values.sidecar }}
{{- if not $values.enabled }}
{{- fail (printf "the pod has costband's sidecar without its configuration: set %s.sidecar.enabled to true" .root.Chart.Name) }}
{{- end }}
{{- $own := list (list "NODE_NAME" "spec.nodeName") (list "HOST_IP" "status.hostIP") (list "POD_NAMESPACE" "metadata.namespace") (list "POD_NAME" "metadata.name") }}
{{- $variables := include "costband.fromPod" $own | fromYamlArray }}
{{- range $name, $value := dict "COSTBAND__ROLE" "sidecar" "COSTBAND__NODE" "$(NODE_NAME)" "COSTBAND__POD__NAMESPACE" "$(POD_NAMESPACE)" "COSTBAND__POD__NAME" "$(POD_NAME)" }}
{{- $variables = append $variables (dict "name" $name "value" $value) }}
{{- end }}
{{- $variables = concat $variables (include "costband.ledgerVariable" $values.ledger | fromYamlArray) -}}
- name: costband
  {{- with .restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- include "costband.container" (dict "root" .root "values" $values "portName" "costband" "variables" $variables "folder" (eq $values.ledger "emptyDir")) | nindent 2 }}
{{- end }}

{{/* The volumes that the container mounts, for `volumes`. */}}
{{- define "costband.sidecar.volumes" -}}
{{- include "costband.volumes" (dict "values" .Values.sidecar "name" (include "costband.sidecar.fullname" .)) }}
{{- if eq .Values.sidecar.ledger "emptyDir" }}
- name: costband-ledger
  emptyDir: {}
{{- end }}
{{- end }}

{{/* What changes with the configuration, for an annotation of a pod that a change of it shall replace. */}}
{{- define "costband.sidecar.checksum" -}}
{{- include "costband.sidecar.configuration" . | sha256sum }}
{{- end }}
