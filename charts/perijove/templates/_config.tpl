{{/* Configuration of gateway and ingest, made of values, and their environment. */}}

{{- define "perijove.genesis" -}}
{{- get (dict "mainnet-beta" "mainnet" "testnet" "testnet" "devnet" "devnet") .Values.global.environment }}
{{- end }}

{{/* Whether there is a Redis, a database. Empty for no. */}}
{{- define "perijove.hasRedis" -}}
{{- if or .Values.valkey.enabled .Values.redis.url .Values.redis.existingSecret }}true{{ end }}
{{- end }}
{{- define "perijove.hasDatabase" -}}
{{- if or .Values.postgresql.enabled .Values.database.cnpg.enabled .Values.database.existingSecret }}true{{ end }}
{{- end }}
{{- define "perijove.hasSolanaAuth" -}}
{{- if or .Values.secrets.solanaRpcAuth .Values.secrets.hasSolanaRpcAuth }}true{{ end }}
{{- end }}

{{- define "perijove.hasJupiterKey" -}}
{{- if or .Values.secrets.jupiterApiKey .Values.secrets.hasJupiterApiKey }}true{{ end }}
{{- end }}

{{/* Jupiter's API of others. It knows mainnet's markets only; the host of version 6 has moved. Empty for none. */}}
{{- define "perijove.jupiterUrl" -}}
{{- if eq .Values.global.environment "mainnet-beta" }}
{{- regexReplaceAll "^https?://quote-api[.]jup[.]ag(/.*)?$" .Values.global.jupiterApiUrl "https://api.jup.ag" }}
{{- end }}
{{- end }}

{{/* Upstreams of Jupiter's API: the chart's own first. Empty for none. */}}
{{- define "perijove.jupiter.upstreams" -}}
{{- if .Values.jupiterApi.enabled }}
- id: jupiter-api
  kind: self-hosted
  url: "http://{{ include "perijove.jupiter.fullname" . }}:{{ .Values.jupiterApi.port }}"
{{- end }}
{{- with include "perijove.jupiterUrl" . }}
- id: jupiter
  url: {{ . | quote }}
  {{- if regexMatch "^https?://([^/]*[.])?jup[.]ag([:/]|$)" . }}
  kind: hosted
  {{- if include "perijove.hasJupiterKey" $ }}
  key: "${JUPITER_API_KEY}"
  {{- else }}
  tier: public
  {{- end }}
  {{- else }}
  kind: self-hosted
  {{- end }}
{{- end }}
{{- end }}

{{/* Whether the chart makes the Secret. Empty for no. */}}
{{- define "perijove.makesSecret" -}}
{{- if and (not .Values.secrets.existingSecret) (not .Values.externalSecrets.enabled) (or .Values.secrets.jupiterApiKey .Values.secrets.solanaRpcAuth) }}true{{ end }}
{{- end }}

{{- define "perijove.upstreams" -}}
{{- if .Values.apiGateway.upstreams }}
{{- toYaml .Values.apiGateway.upstreams }}
{{- else }}
{{- $total := .Values.apiGateway.circuitBreaker.timeout }}
{{- with .Values.global.solanaRpcUrl }}
- id: validator
  url: {{ . | quote }}
  tier: local
  {{- if include "perijove.hasSolanaAuth" $ }}
  headers: {authorization: "${SOLANA_RPC_AUTH}"}
  {{- end }}
  timeouts: {total: {{ $total }}}
{{- end }}
{{- with .Values.global.fallbackRpcUrl }}
- id: fallback
  url: {{ . | quote }}
  tier: public
  timeouts: {total: {{ $total }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "perijove.gateway.config" -}}
{{- $gateway := .Values.apiGateway }}
{{- $made := fromYaml (include "perijove.gateway.made" .) }}
{{- toYaml (mergeOverwrite $made (deepCopy $gateway.config)) }}
{{- end }}

{{/* The same gateway, which answers every quote with the best of several. */}}
{{- define "perijove.optimizer.config" -}}
{{- $config := fromYaml (include "perijove.gateway.config" .) }}
{{- $every := dict "jupiter" (dict "optimizer" (dict "enabled" true "path" "/swap/v1/quote")) }}
{{- if .Values.tracing.enabled }}{{ $_ := set $every "telemetry" (dict "otlp" (dict "service_name" "perijove-route-optimizer")) }}{{ end }}
{{- toYaml (mergeOverwrite $config $every (deepCopy .Values.routeOptimizer.config)) }}
{{- end }}

{{/* Whether there may be more than one gateway that spends the budgets of the same upstreams. Empty for no. */}}
{{- define "perijove.gateway.several" -}}
{{- $gateway := .Values.apiGateway }}
{{- $most := $gateway.replicaCount }}
{{- if include "perijove.scaled" $gateway }}{{ $most = $gateway.autoscaling.maxReplicas }}{{ end }}
{{- if or (kindIs "invalid" $most) (gt (int $most) 1) $gateway.blueGreen.enabled .Values.routeOptimizer.enabled }}true{{ end }}
{{- end }}

{{/* Whether their budgets are shared, as far as the chart decides. Empty for no. */}}
{{- define "perijove.sharesBudgets" -}}
{{- $own := fromJson (include "perijove.at" (dict "config" .Values.apiGateway.config "path" (list "cache" "redis") "kind" "map")) }}
{{- if and .Values.apiGateway.shareBudgets (include "perijove.gateway.several" .) (or (include "perijove.hasRedis" .) $own) }}true{{ end }}
{{- end }}

{{- define "perijove.gateway.made" -}}
{{- $gateway := .Values.apiGateway }}
listen:
  rpc: ["0.0.0.0:8899"]
admin:
  listen: "0.0.0.0:9090"
log:
  format: json
  level: {{ $gateway.logLevel | quote }}
cluster:
  genesis: {{ include "perijove.genesis" . }}
upstreams:
  {{- include "perijove.upstreams" . | nindent 2 }}
breaker:
  {{- if $gateway.circuitBreaker.enabled }}
  failures: {{ $gateway.circuitBreaker.failureThreshold }}
  {{- else }}
  failures: 10000
  ratio: 1.0
  min_calls: 1000000
  {{- end }}
  open: {{ $gateway.circuitBreaker.resetTimeout }}
limits:
  request_timeout: {{ $gateway.circuitBreaker.timeout }}
shutdown:
  delay: {{ $gateway.drain.delaySeconds }}s
  grace: {{ $gateway.drain.graceSeconds }}s
  linger: {{ $gateway.drain.lingerSeconds }}s
{{- if $gateway.rateLimiting.enabled }}
plans:
  - id: default
    requests_per_minute: {{ $gateway.rateLimiting.requestsPerMinute }}
    burst: {{ $gateway.rateLimiting.burstSize }}
anonymous_plan: default
{{- end }}
{{- with include "perijove.jupiter.upstreams" . }}
{{- $optimizer := $.Values.routeOptimizer }}
jupiter:
  upstreams:
    {{- . | nindent 4 }}
  optimizer:
    # Done by pods of its own, where there are some.
    enabled: {{ not $optimizer.enabled }}
    max_routes: {{ $optimizer.optimization.maxRoutes }}
    slippage_tolerance: {{ $optimizer.optimization.slippageTolerance }}
    priority_fee_multiplier: {{ $optimizer.optimization.priorityFeeMultiplier }}
    choice_ttl: {{ ternary $optimizer.cache.ttl 0 $optimizer.cache.enabled }}s
{{- end }}
cache:
  enabled: true
  memory: {{ $gateway.cache.memory }}
  {{- if include "perijove.hasRedis" . }}
  redis: {url: "${REDIS_URL}"}
  {{- end }}
{{- if include "perijove.sharesBudgets" . }}
budgets: {shared: true}
{{- end }}
{{- if .Values.priceOracle.enabled }}
price:
  enabled: true
  max_age: {{ .Values.priceOracle.maxAge }}
{{- end }}
{{- with .Values.tracing }}
{{- if .enabled }}
telemetry:
  otlp:
    endpoint: {{ .endpoint | quote }}
    ratio: {{ .ratio }}
    by_parent: {{ .byParent }}
    {{- with .headers }}
    headers:
      {{- range $header, $_ := . }}
      {{ $header }}: "${{ "{" }}{{ include "perijove.tracing.variable" $header }}}"
      {{- end }}
    {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
What the gateway's admin port asks of those who come to it, as JSON: `scheme`; `closed`, whether /metrics needs a token or a
certificate; `refuses`, whether whoever shows no certificate is refused in the handshake already.
*/}}
{{- define "perijove.admin" -}}
{{- $config := fromYaml (include "perijove.gateway.config" .) }}
{{- $admin := fromJson (include "perijove.at" (dict "config" $config "path" (list "admin") "kind" "map")) }}
{{- $tls := fromJson (include "perijove.at" (dict "config" $config "path" (list "admin" "tls") "kind" "map")) }}
{{- $asks := not (empty $tls.client_ca) }}
{{- $guarded := or $asks (not (empty $admin.token)) }}
{{- $scheme := ternary "HTTP" "HTTPS" (empty $tls) }}
{{- $optional := eq (default "" $tls.client_auth | toString) "optional" }}
{{- dict "scheme" $scheme "closed" (and $guarded (empty $admin.open_metrics)) "refuses" (and $asks (not $optional)) "asks" $asks | toJson }}
{{- end }}

{{/* The variable that holds the value of a header of the export. */}}
{{- define "perijove.tracing.variable" -}}
OTLP_HEADER_{{ . | upper | replace "-" "_" }}
{{- end }}

{{/* What traces are told of the pod, and the headers of their export. */}}
{{- define "perijove.env.tracing" -}}
{{- if .Values.tracing.enabled }}
{{- range $header, $key := .Values.tracing.headers }}
- name: {{ include "perijove.tracing.variable" $header }}
  valueFrom: {secretKeyRef: {name: {{ $.Values.tracing.existingSecret }}, key: {{ $key }}}}
{{- end }}
{{- $own := false }}
{{- range .Values.apiGateway.extraEnv }}{{ if eq .name "OTEL_RESOURCE_ATTRIBUTES" }}{{ $own = true }}{{ end }}{{ end }}
{{- if not $own }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name={{ .Release.Namespace }},k8s.pod.name=$(POD_NAME)
{{- end }}
{{- end }}
{{- end }}

{{/*
What a configuration has at a path of keys, as JSON; null where it has something else there. A wrong configuration is for
`check` to explain: (dict "config" … "path" (list "a" "b") "kind" "slice").
*/}}
{{- define "perijove.at" -}}
{{- $at := .config }}
{{- range .path }}{{ if kindIs "map" $at }}{{ $at = get $at . }}{{ else }}{{ $at = "" }}{{ end }}{{ end }}
{{- if kindIs .kind $at }}{{ toJson $at }}{{ else }}null{{ end }}
{{- end }}

{{/* What only a restart applies, of a gateway's configuration, given as text: a change here has to start pods anew. */}}
{{- define "perijove.gateway.restartKeys" -}}
{{- $config := fromYaml . }}
{{- $map := dict "config" $config "kind" "map" }}
{{- $selection := fromJson (include "perijove.at" (merge (dict "path" (list "selection")) $map)) }}
{{- $log := fromJson (include "perijove.at" (merge (dict "path" (list "log")) $map)) }}
{{- $otlp := fromJson (include "perijove.at" (merge (dict "path" (list "telemetry" "otlp")) $map)) }}
{{- dict "listen" $config.listen "admin" $config.admin "runtime" $config.runtime "shutdown" $config.shutdown "log" (dict "format" $log.format) "floors" $selection.floor_entries "otlp" (omit $otlp "ratio" "by_parent") | toJson }}
{{- end }}

{{- define "perijove.ingest.config" -}}
{{- $made := fromYaml (include "perijove.ingest.made" .) }}
{{- toYaml (mergeOverwrite $made (deepCopy .Values.ingest.config)) }}
{{- end }}

{{- define "perijove.ingest.made" -}}
{{- $kafka := .Values.ingest.kafka }}
http:
  listen: "0.0.0.0:9091"
log:
  format: json
  level: {{ .Values.ingest.logLevel | quote }}
kafka:
  brokers: {{ toJson $kafka.brokers }}
  security: {{ $kafka.security }}
  {{- if hasPrefix "sasl" $kafka.security }}
  mechanism: {{ $kafka.mechanism }}
  username: ${KAFKA_USERNAME}
  password: ${KAFKA_PASSWORD}
  {{- end }}
  {{- if $kafka.tlsSecret }}
  tls:
    ca: /etc/kafka-tls/ca.crt
    {{- if $kafka.clientCertificate }}
    certificate: /etc/kafka-tls/tls.crt
    key: /etc/kafka-tls/tls.key
    {{- end }}
  {{- end }}
  group:
    {{- with $kafka.group.prefix }}
    prefix: {{ . | quote }}
    {{- end }}
    app: {{ $kafka.group.app | quote }}
    instance: {{ $kafka.group.instance | quote }}
streams:
  {{- toYaml .Values.ingest.streams | nindent 2 }}
database:
  url: ${DATABASE_URL}
  retention: {{ .Values.database.retention }}
{{- if include "perijove.hasRedis" . }}
redis:
  url: ${REDIS_URL}
{{- end }}
shutdown:
  grace: {{ .Values.ingest.graceSeconds }}s
{{- end }}

{{/* The price comparison needs Redis and nothing else of it. */}}
{{- define "perijove.reconcile.config" -}}
log: {format: json, level: info}
redis: {url: "${REDIS_URL}"}
{{- end }}

{{/* REDIS_URL. */}}
{{- define "perijove.env.redis" -}}
{{- if .Values.valkey.enabled }}
- name: VALKEY_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ default (printf "%s-valkey" .Release.Name) .Values.valkey.existingSecret }}, key: password}}
- name: REDIS_URL
  value: redis://:$(VALKEY_PASSWORD)@{{ .Release.Name }}-valkey:6379/0
{{- else if .Values.redis.existingSecret }}
- name: REDIS_URL
  valueFrom: {secretKeyRef: {name: {{ .Values.redis.existingSecret }}, key: {{ .Values.redis.existingSecretKey }}}}
{{- else if .Values.redis.url }}
- name: REDIS_URL
  value: {{ .Values.redis.url | quote }}
{{- end }}
{{- end }}

{{/* DATABASE_URL. */}}
{{- define "perijove.env.database" -}}
{{- if .Values.postgresql.enabled }}
- name: POSTGRES_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ default (printf "%s-postgresql" .Release.Name) .Values.postgresql.existingSecret }}, key: password}}
- name: DATABASE_URL
  value: postgres://perijove:$(POSTGRES_PASSWORD)@{{ .Release.Name }}-postgresql:5432/perijove
{{- else if .Values.database.cnpg.enabled }}
- name: DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ include "perijove.fullname" . }}-db-app, key: uri}}
{{- else if .Values.database.existingSecret }}
- name: DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ .Values.database.existingSecret }}, key: {{ .Values.database.existingSecretKey }}}}
{{- end }}
{{- end }}

{{- define "perijove.gateway.env" -}}
{{- include "perijove.env.redis" . }}
{{- if and (include "perijove.hasSolanaAuth" .) (not .Values.apiGateway.upstreams) }}
- name: SOLANA_RPC_AUTH
  valueFrom: {secretKeyRef: {name: {{ include "perijove.secret" . }}, key: solana-rpc-auth}}
{{- end }}
{{- if and (include "perijove.hasJupiterKey" .) (regexMatch "[.]jup[.]ag" (include "perijove.jupiterUrl" .)) }}
- name: JUPITER_API_KEY
  valueFrom: {secretKeyRef: {name: {{ include "perijove.secret" . }}, key: jupiter-api-key}}
{{- end }}
{{- include "perijove.env.tracing" . }}
{{- with .Values.apiGateway.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "perijove.optimizer.env" -}}
{{- include "perijove.gateway.env" . }}
{{- end }}

{{- define "perijove.ingest.env" -}}
{{- include "perijove.env.redis" . }}
{{- include "perijove.env.database" . }}
{{- $kafka := .Values.ingest.kafka }}
{{- if hasPrefix "sasl" $kafka.security }}
- name: KAFKA_USERNAME
  valueFrom: {secretKeyRef: {name: {{ $kafka.existingSecret }}, key: {{ $kafka.usernameKey }}}}
- name: KAFKA_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $kafka.existingSecret }}, key: {{ $kafka.passwordKey }}}}
{{- end }}
{{- with .Values.ingest.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
An environment in which references to Secrets of this release, which need not be there yet, are stood in for. Called
with (dict "root" $ "env" (list …)). Secrets of the user's are referred to as they are: one that is missing is found.
*/}}
{{- define "perijove.checkEnv" -}}
{{- $root := .root }}
{{- $own := list (printf "%s-valkey" $root.Release.Name) (printf "%s-postgresql" $root.Release.Name) (printf "%s-db-app" (include "perijove.fullname" $root)) }}
{{- if not $root.Values.secrets.existingSecret }}{{ $own = append $own (include "perijove.secret" $root) }}{{ end }}
{{- $known := dict "DATABASE_URL" "postgres://user:password@database/name" }}
{{- range .env }}
{{- $secret := dig "valueFrom" "secretKeyRef" "name" "" . }}
{{- if has $secret $own }}
- {name: {{ .name }}, value: {{ default "stand-in" (get $known .name) | quote }}}
{{- else }}
- {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}
