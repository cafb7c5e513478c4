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
    {{- $ports := list "6379" }}
    {{- if not $values.valkey.enabled }}
    {{- $ports = list (include "perijove.policy.port" $values.redis.url) }}
    {{- range $values.redis.ports }}{{ $ports = append $ports (toString .) }}{{ end }}
    {{- end }}
    {{- range $ports | compact | uniq }}
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

{{/* The port of a URL. Empty for what is none, or names a variable in place of a host or a port. */}}
{{- define "perijove.policy.port" -}}
{{- $url := toString . }}
{{- $authority := regexReplaceAll "^[a-z]+://([^/?#@]*@)?" $url "" | regexFind "^[^/?#]*" }}
{{- $default := get (dict "https" "443" "wss" "443" "redis" "6379" "rediss" "6379" "http" "80" "ws" "80") (regexFind "^[a-z]+" $url) }}
{{- if and (contains "://" $url) (not (contains "$" $authority)) }}
{{- default $default (regexFind ":[0-9]+$" $authority | trimPrefix ":") }}
{{- end }}
{{- end }}

{{/* Ports of what a gateway's configuration names outside of the release, and of the values' list: a JSON list. */}}
{{- define "perijove.policy.gatewayPorts" -}}
{{- $ports := list }}
{{- range .root.Values.networkPolicy.upstreamPorts }}{{ $ports = append $ports (toString .) }}{{ end }}
{{- range fromJsonArray (include "perijove.at" (dict "config" .config "path" (list "upstreams") "kind" "slice")) }}
{{- if kindIs "map" . }}
{{- $url := toString .url }}
{{- $ports = append $ports (include "perijove.policy.port" $url) }}
{{- if .ws_url }}
{{- $ports = append $ports (include "perijove.policy.port" .ws_url) }}
{{- else if regexMatch "^[a-z]+://[^/?#$]*:[0-9]+([/?#]|$)" $url }}
{{- /* Where clients look for subscriptions. */}}
{{- $ports = append $ports (include "perijove.policy.port" $url | atoi | add1 | toString) }}
{{- end }}
{{- end }}
{{- end }}
{{- $own := printf "http://%s:" (include "perijove.jupiter.fullname" .root) }}
{{- range fromJsonArray (include "perijove.at" (dict "config" .config "path" (list "jupiter" "upstreams") "kind" "slice")) }}
{{- if and (kindIs "map" .) (not (hasPrefix $own (toString .url))) }}{{ $ports = append $ports (include "perijove.policy.port" .url) }}{{ end }}
{{- end }}
{{- $redis := fromJson (include "perijove.at" (dict "config" .config "path" (list "cache" "redis") "kind" "map")) }}
{{- $urls := ternary $redis.urls (list) (kindIs "slice" $redis.urls) }}
{{- range append $urls $redis.url }}{{ $ports = append $ports (include "perijove.policy.port" .) }}{{ end }}
{{- $ports | compact | uniq | toJson }}
{{- end }}

{{/* Ports of the brokers that the configuration of ingest names, and of the values' list: a JSON list. */}}
{{- define "perijove.policy.ingestPorts" -}}
{{- $ports := list }}
{{- range .Values.ingest.kafka.ports }}{{ $ports = append $ports (toString .) }}{{ end }}
{{- $config := fromYaml (include "perijove.ingest.config" .) }}
{{- range fromJsonArray (include "perijove.at" (dict "config" $config "path" (list "kafka" "brokers") "kind" "slice")) }}
{{- $ports = append $ports (regexFind "[0-9]+$" (toString .)) }}
{{- end }}
{{- $ports | compact | uniq | toJson }}
{{- end }}

{{/* The way to the collector of traces, whoever named it: (dict "root" $ "config" …). */}}
{{- define "perijove.policy.collector" -}}
{{- $otlp := fromJson (include "perijove.at" (dict "config" .config "path" (list "telemetry" "otlp") "kind" "map")) }}
{{- with include "perijove.policy.port" $otlp.endpoint }}
- ports:
    - {port: {{ . }}, protocol: TCP}
  {{- with $.root.Values.networkPolicy.collector }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
