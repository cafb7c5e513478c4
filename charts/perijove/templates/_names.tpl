{{/* Names, labels, images: what every object has. */}}

{{- define "perijove.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "perijove.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "perijove.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "perijove.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What selectors select by, and nothing that changes. Called with (dict "root" $ "component" "x"). */}}
{{- define "perijove.selector" -}}
app.kubernetes.io/name: {{ include "perijove.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .colour }}
perijove.io/colour: {{ . }}
{{- end }}
{{- end }}

{{- define "perijove.labels" -}}
{{ include "perijove.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: perijove
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ tpl (toYaml .) $.root }}
{{- end }}
{{- end }}

{{/* metadata of an object: (dict "root" $ "component" "x" "name" "y" "annotations" (dict)). */}}
{{- define "perijove.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "perijove.labels" . | nindent 2 }}
{{- $annotations := merge (dict) (default (dict) .annotations) .root.Values.commonAnnotations }}
{{- with $annotations }}
annotations:
  {{- tpl (toYaml .) $.root | nindent 2 }}
{{- end }}
{{- end }}

{{/* (dict "root" $ "image" .Values.x.image "over" (dict "tag" … "digest" …)). The digest wins over the tag. */}}
{{- define "perijove.image" -}}
{{- $over := default (dict) .over -}}
{{- $registry := default .root.Values.global.imageRegistry .image.registry -}}
{{- $digest := .image.digest -}}
{{- if or $over.tag $over.digest }}{{ $digest = $over.digest }}{{ end -}}
{{- $tag := default (default .root.Chart.AppVersion .image.tag) $over.tag -}}
{{- with $registry }}{{ . }}/{{ end }}{{ .image.repository }}
{{- if $digest }}@{{ $digest }}{{ else }}:{{ $tag }}{{ end }}
{{- end }}

{{- define "perijove.serviceAccountName" -}}
{{- if .Values.serviceAccount.name }}{{ .Values.serviceAccount.name }}
{{- else if .Values.serviceAccount.create }}{{ include "perijove.fullname" . }}
{{- else }}default{{ end }}
{{- end }}

{{- define "perijove.component.gateway" -}}api-gateway{{- end }}
{{- define "perijove.gateway.fullname" -}}{{ include "perijove.fullname" . }}-api-gateway{{- end }}
{{- define "perijove.optimizer.fullname" -}}{{ include "perijove.fullname" . }}-route-optimizer{{- end }}
{{- define "perijove.ingest.fullname" -}}{{ include "perijove.fullname" . }}-ingest{{- end }}
{{- define "perijove.jupiter.fullname" -}}{{ include "perijove.fullname" . }}-jupiter-api{{- end }}
{{- define "perijove.secret" -}}
{{- default (printf "%s-secrets" (include "perijove.fullname" .)) .Values.secrets.existingSecret }}
{{- end }}
