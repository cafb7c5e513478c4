{{/* Contradictions that the schema cannot see: every message says what to do. */}}
{{- define "perijove.validate" -}}
{{- $v := .Values }}
{{- $gateway := $v.apiGateway }}
{{- if and $v.routeOptimizer.enabled (not (include "perijove.jupiter.upstreams" .)) (not (dig "jupiter" "upstreams" "" $gateway.config)) }}
{{- fail "routeOptimizer.enabled needs Jupiter's API to choose from: set jupiterApi.enabled, global.jupiterApiUrl (mainnet-beta only) or apiGateway.config.jupiter.upstreams" }}
{{- end }}
{{- if and $v.routeOptimizer.enabled (not $gateway.enabled) }}
{{- fail "routeOptimizer.enabled needs apiGateway.enabled: it is a second deployment of the gateway" }}
{{- end }}
{{- range $name := list "apiGateway" "ingest" }}
{{- $part := index $v $name }}
{{- if and $part.autoscaling.enabled $part.keda.enabled }}
{{- fail (printf "%s: autoscaling.enabled and keda.enabled exclude each other; set one of them to false" $name) }}
{{- end }}
{{- if and $part.autoscaling.enabled (not $part.autoscaling.targetCPUUtilizationPercentage) (not $part.autoscaling.targetMemoryUtilizationPercentage) (not $part.autoscaling.targetRequestsPerMinute) }}
{{- fail (printf "%s.autoscaling has no target: Kubernetes would take 80 %% of the CPU; set one, or autoscaling.enabled: false" $name) }}
{{- end }}
{{- if gt (int $part.autoscaling.minReplicas) (int $part.autoscaling.maxReplicas) }}
{{- fail (printf "%s.autoscaling: minReplicas is above maxReplicas" $name) }}
{{- end }}
{{- if and $part.blueGreen.preview (not $part.blueGreen.enabled) }}
{{- fail (printf "%s.blueGreen.preview needs %s.blueGreen.enabled" $name $name) }}
{{- end }}
{{- end }}
{{- /* Where Services, probes and policies send to. */}}
{{- range $place := list (list "apiGateway" "admin" "listen" "9090") (list "ingest" "http" "listen" "9091") }}
{{- $part := index $v (first $place) }}
{{- $listen := include "perijove.at" (dict "config" $part.config "path" (list (index $place 1) (index $place 2)) "kind" "string") }}
{{- if or (eq $listen "\"off\"") (and (regexMatch ":[0-9]+\"$" $listen) (not (hasSuffix (printf ":%s\"" (last $place)) $listen))) }}
{{- fail (printf "%s.config.%s.%s: pods are asked for health and metrics on port %s" (first $place) (index $place 1) (index $place 2) (last $place)) }}
{{- end }}
{{- end }}
{{- if $gateway.enabled }}
{{- if not (or $gateway.upstreams $v.global.solanaRpcUrl $v.global.fallbackRpcUrl $gateway.config.upstreams) }}
{{- fail "the gateway has no upstream: set global.solanaRpcUrl, global.fallbackRpcUrl or apiGateway.upstreams" }}
{{- end }}
{{- if and $gateway.upstreams (hasKey $gateway.config "upstreams") }}
{{- fail "apiGateway.upstreams has no effect beside apiGateway.config.upstreams, which a restored configuration has: change the upstreams there, or remove apiGateway.config.upstreams" }}
{{- end }}
{{- $timeout := $gateway.circuitBreaker.timeout }}
{{- $seconds := include "perijove.seconds" $timeout | atoi }}
{{- if lt (int $gateway.drain.graceSeconds) (int $seconds) }}
{{- fail (printf "apiGateway.drain.graceSeconds (%v) is below circuitBreaker.timeout (%s): a call could be cut when a pod ends" $gateway.drain.graceSeconds $timeout) }}
{{- end }}
{{- $cache := "" }}
{{- range $kind := list "string" "int64" "float64" }}
{{- $found := include "perijove.at" (dict "config" $gateway.config "path" (list "cache" "memory") "kind" $kind) | trimAll "\"" }}
{{- if regexMatch "[0-9]" $found }}{{ $cache = $found }}{{ end }}
{{- end }}
{{- $cache = $cache | default $gateway.cache.memory }}
{{- $limit := dig "limits" "memory" "" ($gateway.resources | default dict) }}
{{- $room := include "perijove.mebibytes" $limit }}
{{- $kept := include "perijove.mebibytes" $cache }}
{{- if and $room $kept (gt (mul 4 (int64 $kept)) (mul 3 (int64 $room))) }}
{{- fail (printf "cache.memory of the gateway (%v) is more than three quarters of apiGateway.resources.limits.memory (%v): pods would be killed once it has filled up; lower it, or raise the limit" $cache $limit) }}
{{- end }}
{{- $rpc := include "perijove.at" (dict "config" $gateway.config "path" (list "listen" "rpc") "kind" "slice") }}
{{- if and (ne $rpc "null") (not (contains ":8899\"" $rpc)) }}
{{- fail "apiGateway.config.listen.rpc: the Service sends to port 8899 of the pods; apiGateway.service.port is the one that callers see" }}
{{- end }}
{{- if ne (include "perijove.at" (dict "config" $gateway.config "path" (list "listen" "tls") "kind" "slice")) "null" }}
{{- fail "apiGateway.config.listen.tls: no Service and no NetworkPolicy of this chart leads to such a port; end TLS at the Ingress or Gateway (apiGateway.ingress, apiGateway.httpRoute)" }}
{{- end }}
{{- $grace := include "perijove.at" (dict "config" $gateway.config "path" (list "shutdown" "grace") "kind" "string") }}
{{- $longest := include "perijove.at" (dict "config" $gateway.config "path" (list "limits" "request_timeout") "kind" "string") }}
{{- if not (regexMatch "[0-9]" $longest) }}{{ $longest = $timeout }}{{ end }}
{{- if and (regexMatch "[0-9]" $grace) (lt (include "perijove.seconds" $grace | atoi) (include "perijove.seconds" $longest | atoi)) }}
{{- fail (printf "apiGateway.config.shutdown.grace (%s) is below the longest call (%s): a call could be cut when a pod ends" $grace $longest) }}
{{- end }}
{{- $admin := fromJson (include "perijove.admin" .) }}
{{- if $admin.refuses }}
{{- fail "apiGateway.config.admin.tls: the kubelet's probes show no certificate; set client_auth: optional, which leaves /health and /ready open" }}
{{- end }}
{{- $shows := or $gateway.scrape.authorization (and $gateway.scrape.tlsConfig $gateway.scrape.tlsConfig.keySecret) $gateway.scrape.basicAuth }}
{{- if and $admin.closed $v.monitoring.enabled $v.monitoring.prometheus.enabled (not $shows) }}
{{- fail "apiGateway.config.admin: Prometheus may not read /metrics; set apiGateway.config.admin.open_metrics, or say what it shows in apiGateway.scrape (authorization, or a certificate in tlsConfig)" }}
{{- end }}
{{- if gt (int $gateway.drain.lingerSeconds) (int $gateway.drain.graceSeconds) }}
{{- fail "apiGateway.drain.lingerSeconds is above graceSeconds" }}
{{- end }}
{{- if and $gateway.ingress.enabled (not $gateway.ingress.hosts) }}
{{- fail "apiGateway.ingress.enabled needs apiGateway.ingress.hosts" }}
{{- end }}
{{- if and $gateway.httpRoute.enabled (not $gateway.httpRoute.parentRefs) }}
{{- fail "apiGateway.httpRoute.enabled needs apiGateway.httpRoute.parentRefs" }}
{{- end }}
{{- end }}
{{- if and $v.valkey.enabled (or $v.redis.url $v.redis.existingSecret) }}
{{- fail "valkey.enabled and redis.url or redis.existingSecret exclude each other: there would be two Redis" }}
{{- end }}
{{- if gt (len (compact (list (ternary "a" "" $v.postgresql.enabled) (ternary "b" "" $v.database.cnpg.enabled) $v.database.existingSecret))) 1 }}
{{- fail "postgresql.enabled, database.cnpg.enabled and database.existingSecret exclude each other" }}
{{- end }}
{{- if $v.priceOracle.enabled }}
{{- if not (include "perijove.hasRedis" .) }}
{{- fail "priceOracle.enabled needs Redis: set redis.url, redis.existingSecret or valkey.enabled" }}
{{- end }}
{{- end }}
{{- if $v.ingest.enabled }}
{{- if not (include "perijove.hasDatabase" .) }}
{{- fail "ingest.enabled needs a database: set database.existingSecret, database.cnpg.enabled or postgresql.enabled" }}
{{- end }}
{{- if and (hasPrefix "sasl" $v.ingest.kafka.security) (not $v.ingest.kafka.existingSecret) }}
{{- fail "ingest.kafka.existingSecret is needed for sasl: make a Secret with the keys username and password" }}
{{- end }}
{{- if and (not (hasPrefix "sasl" $v.ingest.kafka.security)) (not $v.ingest.kafka.group.prefix) (not (dig "kafka" "group" "id" "" $v.ingest.config)) }}
{{- fail "ingest.kafka.group.prefix is needed where there is no user name to take for it" }}
{{- end }}
{{- if and $v.ingest.kafka.clientCertificate (not $v.ingest.kafka.tlsSecret) }}
{{- fail "ingest.kafka.clientCertificate needs ingest.kafka.tlsSecret" }}
{{- end }}
{{- end }}
{{- if and $v.backup.enabled (eq $v.backup.target "s3") (not $v.backup.s3.bucket) }}
{{- fail "backup.target s3 needs backup.s3.bucket" }}
{{- end }}
{{- if and $v.restore.enabled (not $v.backup.enabled) }}
{{- fail "restore.enabled needs backup.enabled, which says where backups are" }}
{{- end }}
{{- if and $v.restore.enabled (not (include "perijove.hasDatabase" .)) }}
{{- fail "restore.enabled needs a database" }}
{{- end }}
{{- if and $v.jupiterApi.enabled (not $v.jupiterApi.image.repository) }}
{{- fail "jupiterApi.image.repository is needed: there is no public image of the Jupiter API" }}
{{- end }}
{{- if and $v.jupiterApi.enabled (not $v.jupiterApi.image.tag) (not $v.jupiterApi.image.digest) }}
{{- fail "jupiterApi.image.tag or digest is needed" }}
{{- end }}
{{- if and $v.externalSecrets.enabled (not $v.externalSecrets.secretStoreRef.name) }}
{{- fail "externalSecrets.enabled needs externalSecrets.secretStoreRef.name" }}
{{- end }}
{{- if and $v.tracing.enabled (not $v.tracing.endpoint) }}
{{- fail "tracing.enabled needs tracing.endpoint: the collector, such as http://otel-collector.monitoring:4318" }}
{{- end }}
{{- if and $v.tracing.enabled $v.tracing.headers (not $v.tracing.existingSecret) }}
{{- fail "tracing.headers needs tracing.existingSecret: the Secret that holds their values" }}
{{- end }}
{{- range $name, $image := dict "apiGateway" $gateway.image "ingest" $v.ingest.image "jupiterApi" $v.jupiterApi.image "backup" $v.backup.image "backup.s3" $v.backup.s3.image }}
{{- if eq (toString $image.tag) "latest" }}
{{- fail (printf "%s.image.tag: latest is not reproducible; name a version or a digest" $name) }}
{{- end }}
{{- end }}
{{- end }}
