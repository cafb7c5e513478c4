{{/* Parts of pods: security, places, probes, scaling. */}}

{{/* Pod security, restricted: (dict "root" $ "user" 65532). */}}
{{- define "perijove.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .user }}
fsGroup: {{ .user }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "perijove.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* What every pod of the chart begins with: (dict "root" $ "user" 65532). */}}
{{- define "perijove.podBase" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "perijove.podSecurity" . | nindent 2 }}
{{- end }}

{{/* Where pods may be: (dict "root" $ "component" "x" "colour" "" "values" .Values.x). */}}
{{- define "perijove.places" -}}
{{- $values := .values }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if ne $values.antiAffinity "none" }}
affinity:
  podAntiAffinity:
    {{- if eq $values.antiAffinity "hard" }}
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        {{- /* Older ones drop the field, whose feature gate is off there. */}}
        {{- if semverCompare ">=1.31.0-0" .root.Capabilities.KubeVersion.Version }}
        # Apart from those of its own revision: else a rollout would wait for a free node.
        matchLabelKeys: [pod-template-hash]
        {{- end }}
        labelSelector:
          matchLabels:
            {{- include "perijove.selector" . | nindent 12 }}
    {{- else }}
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "perijove.selector" . | nindent 14 }}
    {{- end }}
{{- end }}
{{- if ne (default "none" $values.zoneSpread) "none" }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: {{ $values.zoneSpread }}
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "perijove.selector" . | nindent 8 }}
{{- end }}
{{- end }}

{{/* The three probes on an admin port: (dict "probes" … "port" "admin" "scheme" "HTTP"). */}}
{{- define "perijove.probes" -}}
{{- $scheme := "" }}
{{- if eq (default "HTTP" .scheme) "HTTPS" }}{{ $scheme = ", scheme: HTTPS" }}{{ end }}
startupProbe:
  httpGet: {path: /health, port: {{ .port }}{{ $scheme }}}
  {{- toYaml .probes.startup | nindent 2 }}
livenessProbe:
  httpGet: {path: /health, port: {{ .port }}{{ $scheme }}}
  {{- toYaml .probes.liveness | nindent 2 }}
readinessProbe:
  httpGet: {path: /ready, port: {{ .port }}{{ $scheme }}}
  {{- toYaml .probes.readiness | nindent 2 }}
{{- end }}

{{/* A duration such as 1m30s in whole seconds. */}}
{{- define "perijove.seconds" -}}
{{- $millis := 0 }}
{{- range regexFindAll "[0-9]+(ms|s|m|h)" (toString .) -1 }}
{{- $unit := get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) (regexFind "[a-z]+" .) }}
{{- $millis = add $millis (mul (regexFind "[0-9]+" . | atoi) $unit) }}
{{- end }}
{{- div (add $millis 999) 1000 }}
{{- end }}

{{/* MiB, rounded up, of a size of Kubernetes or of the gateway's configuration: "4Gi", "256MiB", 1048576. */}}
{{- define "perijove.mebibytes" -}}
{{- /* As JSON: a large number of a values file would be written with an exponent. */}}
{{- $text := toJson . | trimAll "\"" }}
{{- if regexMatch "^[0-9.]+[A-Za-z]*$" $text }}
{{- $unit := regexFind "[A-Za-z]*$" $text | trimSuffix "B" | trimSuffix "b" }}
{{- $bytes := get (dict "" 1 "k" 1000 "K" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776) $unit }}
{{- $number := regexFind "^[0-9.]+" $text }}
{{- if and $bytes $number }}{{ divf (mulf $number $bytes) 1048576 | ceil | int64 }}{{ end }}
{{- end }}
{{- end }}

{{/*
Seconds that a pod is given to end, beyond what the program takes by its configuration, so that nothing is killed that
could have ended by itself: (dict "config" … "more" 5).
*/}}
{{- define "perijove.gracePeriod" -}}
{{- $shutdown := fromJson (include "perijove.at" (dict "config" .config "path" (list "shutdown") "kind" "map")) }}
{{- $seconds := .more }}
{{- range list "delay" "grace" "linger" }}
{{- $seconds = add $seconds (include "perijove.seconds" (get $shutdown .) | atoi) }}
{{- end }}
{{- $seconds }}
{{- end }}

{{/* Whether something else than the chart sets the number of pods. Empty for no. */}}
{{- define "perijove.scaled" -}}
{{- if or .autoscaling.enabled .keda.enabled }}true{{ end }}
{{- end }}

{{/* Resource metrics of a HorizontalPodAutoscaler. */}}
{{- define "perijove.hpaResources" -}}
{{- range $name, $target := dict "cpu" .targetCPUUtilizationPercentage "memory" .targetMemoryUtilizationPercentage }}
{{- if $target }}
- type: Resource
  resource:
    name: {{ $name }}
    target: {type: Utilization, averageUtilization: {{ $target }}}
{{- end }}
{{- end }}
{{- end }}

{{/* The same as triggers of KEDA. */}}
{{- define "perijove.kedaResources" -}}
{{- range $name, $target := dict "cpu" .targetCPUUtilizationPercentage "memory" .targetMemoryUtilizationPercentage }}
{{- if $target }}
- type: {{ $name }}
  metricType: Utilization
  metadata: {value: {{ $target | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/*
The colours of a component that run, as a JSON list: one empty name without blue/green. The idle colour is not there
at all rather than at zero pods: a field `replicas` that comes and goes would be fought over with the autoscaler.
*/}}
{{- define "perijove.colours" -}}
{{- $other := ternary "green" "blue" (eq .active "blue") -}}
{{- if not .enabled }}[""]
{{- else if .preview }}{{ toJson (list .active $other) }}
{{- else }}{{ toJson (list .active) }}{{ end }}
{{- end }}

{{/* What is different for the colour that has the traffic, as JSON: for what has no colours of its own. */}}
{{- define "perijove.activeColour" -}}
{{- if .enabled }}{{ index . .active | toJson }}{{ else }}{}{{ end }}
{{- end }}
