{{/* Parts of NetworkPolicies. */}}

{{- define "perijove.policy.dns" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end }}

{{/* Pods of this release: (dict "root" $ "components" (list "x")). */}}
{{- define "perijove.policy.own" -}}
{{- range .components }}
- podSelector:
    matchLabels:
      {{- include "perijove.selector" (dict "root" $.root "component" .) | nindent 6 }}
{{- end }}
{{- end }}

{{/* What a component may call: (dict "root" $ "redis" true "database" true "ports" (list 443)). */}}
{{- define "perijove.policy.egress" -}}
{{- $values := .root.Values }}
{{- include "perijove.policy.dns" . }}
{{- with .ports }}
- ports:
    {{- range . }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}
{{- if and .redis (include "perijove.hasRedis" .root) }}
- ports:
    {{- range ternary (list 6379) $values.redis.ports $values.valkey.enabled }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- if $values.valkey.enabled }}
  to:
    - podSelector:
        matchLabels: {app.kubernetes.io/name: valkey, app.kubernetes.io/instance: {{ .root.Release.Name }}}
  {{- end }}
{{- end }}
{{- if and .database (include "perijove.hasDatabase" .root) }}
- ports:
    {{- range ternary (list 5432) $values.database.ports $values.postgresql.enabled }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- if $values.postgresql.enabled }}
  to:
    - podSelector:
        matchLabels: {app.kubernetes.io/name: postgresql, app.kubernetes.io/instance: {{ .root.Release.Name }}}
  {{- end }}
{{- end }}
{{- with $values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The port of a URL. */}}
{{- define "perijove.policy.port" -}}
{{- $port := regexReplaceAll "^[a-z]+://[^/?#]*:([0-9]+)([/?#].*)?$" . "${1}" }}
{{- if regexMatch "^[0-9]+$" $port }}{{ $port }}{{ else }}{{ ternary 443 80 (hasPrefix "https:" .) }}{{ end }}
{{- end }}

{{/* The way to the collector of traces, whoever named it: these values or the gateway's own configuration. */}}
{{- define "perijove.policy.collector" -}}
{{- $telemetry := default (dict) (fromYaml (include "perijove.gateway.config" .)).telemetry }}
{{- with (default (dict) $telemetry.otlp).endpoint }}
- ports:
    - {port: {{ include "perijove.policy.port" . }}, protocol: TCP}
  {{- with $.Values.networkPolicy.collector }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
